"""`pegboard plugins`: what hangs, what is left behind, and how to be rid of it."""

import sys

import click
from flask import current_app
from flask.cli import with_appcontext

from pegboard.migrations import find_orphans, remove_history
from pegboard.plugins import get_registry, installed


@click.group()
def plugins() -> None:
    """List, diagnose and remove plugins."""


@plugins.command(name="list")
@with_appcontext
def list_plugins() -> None:
    """List the installed plugins, and whether each hangs."""
    registry = get_registry()
    hanging = {plugin.name for plugin in registry.plugins}
    failed = {problem.plugin: problem for problem in registry.skipped}
    for plugin in registry.plugins:
        click.echo(f"{plugin.name}  {plugin.label or plugin.package}  hangs")
    for candidate in installed():
        if candidate.name in hanging:
            continue
        state = f"left out: {failed[candidate.name].summary}" if candidate.name in failed else "off"
        click.echo(f"{candidate.name}  {candidate.distribution or candidate.package}  {state}")


@plugins.command()
@with_appcontext
def doctor() -> None:
    """Report tables and migration histories in the database whose plugin is absent."""
    found = find_orphans(current_app)
    for orphan in found:
        click.echo(str(orphan))
    if found:
        click.echo(
            "Install the plugin again, or drop what it left: pegboard plugins remove NAME works "
            "while the plugin hangs.",
            err=True,
        )
        sys.exit(1)
    click.echo("Every table and history in the database has its plugin.")


@plugins.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_appcontext
def remove(name: str, *, yes: bool) -> None:
    """Drop the data of plugin NAME: its tables and its migration history."""
    registry = get_registry()
    plugin = next((plugin for plugin in registry.plugins if plugin.name == name), None)
    if plugin is None:
        names = ", ".join(plugin.name for plugin in registry.plugins) or "none"
        message = (
            f"only a plugin that hangs can be removed, and {name} does not; these do: {names}."
        )
        raise click.ClickException(message)
    if dependents := registry.dependents(plugin):
        message = f"{name} is required by {', '.join(dependents)}; remove those first."
        raise click.ClickException(message)
    tables = ", ".join(plugin.metadata.tables) if plugin.metadata is not None else "no tables"
    if not yes:
        click.confirm(f"Drop all data of {name} ({tables})? This cannot be undone.", abort=True)
    remove_history(current_app, name)
    click.echo(
        f"The data of {name} is gone. Uninstall {plugin.label or plugin.package}, or disable it "
        f"(PEGBOARD_PLUGINS_DISABLED={name}), before the next pegboard db upgrade."
    )

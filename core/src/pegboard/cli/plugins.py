"""`pegboard plugins`: list plugins, find what absent ones left behind, and remove their data."""

import sys

import click
from flask import current_app
from flask.cli import ScriptInfo, pass_script_info, with_appcontext

from pegboard.cli.diagnosis import diagnose
from pegboard.migrations import find_orphans, remove_history
from pegboard.plugins import get_registry, installed_plugins


@click.group()
def plugins() -> None:
    """List, diagnose and remove plugins."""


@plugins.command(name="list")
@pass_script_info
def list_plugins(info: ScriptInfo) -> None:
    """List the installed plugins: active, disabled, or skipped and why.

    If the service cannot start, a plugin is enabled or broken instead of active, and the reasons
    with their hints follow on standard error; the exit status is 0.
    """
    found = diagnose(info)
    ordered = found.registry.plugins
    names = {plugin.name for plugin in ordered}
    for plugin in (*ordered, *(one for one in installed_plugins() if one.name not in names)):
        state = found.states.get(plugin.name, "disabled")
        click.echo(f"{plugin.name}  {plugin.label or plugin.package}  {state}")
    found.show_error()


@plugins.command()
@with_appcontext
def doctor() -> None:
    """Report tables and migration histories in the database whose plugin is not active."""
    found = find_orphans(current_app)
    inactive = {plugin.name for plugin in installed_plugins()} & {
        orphan.name for orphan in found if orphan.kind == "history"
    }
    for orphan in found:
        if orphan.kind == "history" and orphan.name in inactive:
            click.echo(f"history {orphan.name}: its plugin is installed, and not active")
        else:
            click.echo(str(orphan))
    if inactive:
        hint = (
            "Drop nothing: pegboard plugins list says why a plugin is not active. Tables of no "
            "active plugin may be of one of these."
        )
    else:
        hint = (
            "Activate the plugin again, or drop its data: pegboard plugins remove NAME works while "
            "the plugin is active."
        )
    if found:
        click.echo(hint, err=True)
        sys.exit(1)
    click.echo("Every table and history in the database belongs to an active plugin.")


@plugins.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_appcontext
def remove(name: str, *, yes: bool) -> None:
    """Drop the data of the active plugin NAME: its tables and its migration history."""
    registry = get_registry()
    plugin = next((plugin for plugin in registry.plugins if plugin.name == name), None)
    if plugin is None:
        names = ", ".join(plugin.name for plugin in registry.plugins) or "none"
        message = f"only an active plugin can be removed, and {name} is not; active: {names}."
        raise click.ClickException(message)
    if dependents := registry.dependents(plugin):
        message = f"{name} is required by {', '.join(dependents)}; remove those first."
        raise click.ClickException(message)
    tables = ", ".join(plugin.metadata.tables) if plugin.metadata is not None else "no tables"
    if not yes:
        click.confirm(f"Drop all data of {name} ({tables})? This cannot be undone.", abort=True)
    remove_history(current_app, name)
    click.echo(
        f"The data of {name} is dropped. Uninstall {plugin.label or plugin.package}, or disable it "
        f"(PEGBOARD_PLUGINS_DISABLED={name}), before the next pegboard db upgrade."
    )

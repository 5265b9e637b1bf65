"""`pegboard plugins`: list plugins, find what absent ones left behind, and remove their data."""

import sys

import click
from flask import current_app
from flask.cli import ScriptInfo, pass_script_info, with_appcontext

from pegboard.cli.diagnosis import diagnose
from pegboard.cli.inactive_owners import name_inactive_owners
from pegboard.cli.matrix import matrix
from pegboard.logs import not_logged
from pegboard.migrations import find_orphans, remove_history
from pegboard.plugins import Skipped, get_registry, installed_plugins


@click.group()
def plugins() -> None:
    """List, diagnose and remove plugins."""


plugins.add_command(matrix)


@plugins.command(name="list")
@pass_script_info
def list_plugins(info: ScriptInfo) -> None:
    """List the installed plugins: active, disabled, or skipped and why.

    If the service cannot start, a plugin is enabled or broken instead of active, and the problems
    with the codes that are named follow on standard error; the exit status is 0.
    """
    with not_logged(Skipped):
        found = diagnose(info)
    ordered = found.registry.plugins
    # Two distributions may have a plugin of one name.
    known = {(plugin.name, plugin.label) for plugin in ordered}
    rest = (one for one in installed_plugins() if (one.name, one.label) not in known)
    for plugin in (*ordered, *rest):
        click.echo(f"{plugin.name}  {plugin.label or plugin.package}  {found.state_of(plugin)}")
    found.show_error()


@plugins.command()
@with_appcontext
def doctor() -> None:
    """Report tables and migration histories in the database whose plugin is not active."""
    found = find_orphans(current_app)
    active = {plugin.name for plugin in get_registry().plugins}
    inactive = {plugin.name for plugin in installed_plugins()} - active
    histories = {orphan.name for orphan in found if orphan.kind == "history"}
    for orphan in found:
        if orphan.kind == "history" and orphan.name in inactive:
            click.echo(f"history {orphan.name}: its plugin is installed, and not active")
        else:
            click.echo(str(orphan))
    if not found:
        click.echo("Every table and history in the database belongs to an active plugin.")
        return
    has_tables = any(orphan.kind == "table" for orphan in found)
    # Which tables a plugin has that is not active is not known: it is not imported.
    is_owner_unknown = bool(inactive and has_tables)
    if is_installed := is_owner_unknown or bool(histories & inactive):
        hint = (
            "Drop nothing of an installed plugin: pegboard plugins list says why it is not active."
        )
        if is_owner_unknown:
            names = ", ".join(sorted(inactive))
            hint += f" A table of no active plugin may be of one of these: {names}."
        click.echo(hint, err=True)
    if histories - inactive or not is_installed:
        hint = (
            "Activate an absent plugin again, or drop its data: pegboard plugins remove NAME works "
            "while the plugin is active."
        )
        click.echo(hint, err=True)
    sys.exit(1)


@plugins.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_appcontext
def remove(name: str, *, yes: bool) -> None:
    """Drop the data of the active plugin NAME: its tables and its migration history."""
    registry = get_registry()
    plugin = next((plugin for plugin in registry.plugins if plugin.name == name), None)
    if plugin is None:
        if name in {one.name for one in installed_plugins()}:
            message = (
                f"{name} is installed, but not active, and nothing is dropped: only an active "
                "plugin says what is its. pegboard plugins list says why it is not."
            )
            raise click.ClickException(message)
        names = ", ".join(plugin.name for plugin in registry.plugins) or "none"
        message = f"{name} is not installed, and only an active plugin can be removed: {names}."
        raise click.ClickException(message)
    if dependents := registry.dependents(plugin):
        message = f"{name} is required by {', '.join(dependents)}; remove those first."
        raise click.ClickException(message)
    if plugin.migrations is None:
        click.echo(f"{name} has no migrations, and so no data in the database.")
        return
    tables = ", ".join(plugin.metadata.tables) if plugin.metadata is not None else "no tables"
    if not yes:
        click.confirm(f"Drop all data of {name} ({tables})? This cannot be undone.", abort=True)
    with name_inactive_owners():
        is_removed = remove_history(current_app, name)
    if not is_removed:
        click.echo(
            f"Nothing is dropped: the database has no version table of {name}. If it has tables "
            "of the plugin's names, they may be another program's."
        )
        return
    click.echo(
        f"The data of {name} is dropped. Uninstall {plugin.label or plugin.package}, or disable it "
        f"(PEGBOARD_PLUGINS_DISABLED={name}), before the next pegboard db upgrade."
    )

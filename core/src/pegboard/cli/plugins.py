"""`pegboard plugins`: list plugins, find what absent ones left behind, and remove their data."""

import click
from flask import current_app
from flask.cli import with_appcontext

from pegboard.cli.compat import compat
from pegboard.cli.grade import grade
from pegboard.cli.inactive_owners import name_inactive_owners
from pegboard.cli.matrix import matrix
from pegboard.cli.plugins_check import check
from pegboard.cli.plugins_doctor import doctor
from pegboard.cli.plugins_list import list_plugins, show
from pegboard.cli.plugins_time import time
from pegboard.migrations import remove_history
from pegboard.plugins import get_registry, installed_plugins


@click.group()
def plugins() -> None:
    """List, diagnose and remove plugins."""


plugins.add_command(compat)
plugins.add_command(grade)
plugins.add_command(matrix)
plugins.add_command(list_plugins)
plugins.add_command(show)
plugins.add_command(check)
plugins.add_command(doctor)
plugins.add_command(time)


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
        message = (
            f"{name} is required by {', '.join(dependents)}; remove the data of each in this order "
            f"and disable it, as in PEGBOARD_PLUGINS_DISABLED={','.join(dependents)}."
        )
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

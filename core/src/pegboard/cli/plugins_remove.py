"""`pegboard plugins remove`: drop the data of a plugin."""

import click
from flask import current_app
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.cli.inactive_owners import name_inactive_owners
from pegboard.inspection import Diagnosis
from pegboard.logs import not_logged
from pegboard.migrations import find_absent, remove_absent, remove_history
from pegboard.plugins import Plugin, Skipped, find_exclusion, get_registry, installed_plugins
from pegboard.settings import CoreSettings, get_settings


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_script_info
def remove(info: ScriptInfo, name: str, *, yes: bool) -> None:
    """Drop the data of the plugin NAME: its tables and its migration history.

    The plugin is active, or it is gone, and the database has recorded which tables are its.
    If the service cannot start because of other plugins, it is done without them.
    """
    with not_logged(Skipped):
        found = diagnose(info)
    partial = found.partial
    if found.error and (partial is None or not partial.has_settings):
        raise found.error
    assert partial is not None
    if partial.note:
        click.echo(partial.note, err=True)
    with partial.app.app_context():
        _remove(found, name, yes=yes)


def _remove(found: Diagnosis, name: str, *, yes: bool) -> None:
    registry = get_registry()
    plugin = next((plugin for plugin in registry.plugins if plugin.name == name), None)
    if plugin is None:
        if name in {one.name for one in installed_plugins()}:
            message = (
                f"{name} is installed, but not active, and nothing is dropped: only an active "
                "plugin says what is its. pegboard plugins list says why it is not."
            )
            raise click.ClickException(message)
        _remove_absent(name, yes=yes)
        return
    dependents = registry.dependents(plugin) + (_broken_dependents(plugin) if found.error else [])
    if dependents:
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


def _remove_absent(name: str, *, yes: bool) -> None:
    """Drop the data of a plugin that is gone."""
    found = find_absent(current_app, name)
    if found is None:
        names = ", ".join(plugin.name for plugin in get_registry().plugins) or "none"
        message = (
            f"{name} is not installed, and the database has no version table of it. These plugins "
            f"are active: {names}."
        )
        raise click.ClickException(message)
    tables = ", ".join(map(str, found.tables)) or "no tables"
    by = f", which {found.release} has created" if found.release else ""
    if not yes:
        click.confirm(f"Drop all data of {name} ({tables}{by})? This cannot be undone.", abort=True)
    with name_inactive_owners():
        remove_absent(current_app, name, report=click.echo)
    click.echo(f"The data of {name} is dropped: {tables}.")


def _broken_dependents(plugin: Plugin) -> list[str]:
    """Return the plugins that require one, and would be active if the service could start."""
    core = get_settings(CoreSettings)
    active = {one.name for one in get_registry().plugins}
    return [
        one.name
        for one in installed_plugins()
        if plugin.distribution
        and one.distribution
        and one.name not in active
        and find_exclusion(one, core) is None
        and plugin.distribution.canonical_name in one.distribution.requires
    ]

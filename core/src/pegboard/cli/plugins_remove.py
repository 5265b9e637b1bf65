"""`pegboard plugins remove`: drop the data of a plugin."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.database_only import database_only
from pegboard.cli.diagnosis import diagnose
from pegboard.cli.inactive_owners import name_inactive_owners
from pegboard.inspection import Diagnosis, find_state
from pegboard.logs import not_logged
from pegboard.migrations import (
    Absent,
    History,
    adopt_history,
    find_absent,
    remove_absent,
    remove_history,
)
from pegboard.plugins import (
    Candidate,
    Plugin,
    Skipped,
    WheelError,
    examine,
    find_exclusion,
    get_registry,
    installed_plugins,
    plugin_in_wheel,
    plugin_name,
)
from pegboard.settings import CoreSettings, configure, get_settings

_WITHOUT_WHEEL = "Without --wheel the tables are dropped that the database has recorded."


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--wheel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Undo the revisions of a plugin that is not active, which this wheel has.",
)
@pass_script_info
def remove(info: ScriptInfo, name: str, *, yes: bool, wheel: Path | None) -> None:
    """Drop the data of the plugin NAME: its tables and its migration history.

    Which tables these are an active plugin says itself. Of one that is disabled, broken or gone
    the database has recorded it; or with --wheel its wheel says it, whose revisions are undone. The
    code in the wheel is run, and nothing is installed. If plugins keep the service from starting,
    it is done without them.
    """
    click.get_current_context().with_resource(database_only())
    with not_logged(Skipped):
        found = diagnose(info)
    partial = found.partial
    if found.error and (partial is None or not partial.has_settings):
        raise found.error
    assert partial is not None
    if partial.note:
        click.echo(partial.note, err=True)
    with partial.app.app_context():
        if wheel is None:
            _remove(found, name, yes=yes)
        else:
            _remove_by_wheel(name, wheel, yes=yes)


def _remove(found: Diagnosis, name: str, *, yes: bool) -> None:
    registry = get_registry()
    try:
        name = plugin_name(name, found.installed)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    plugin = next((plugin for plugin in registry.plugins if plugin.name == name), None)
    if plugin is not None:
        # What is not active by choice has no say, unless its tables refer to these.
        skipped = {one.plugin for one in registry.skipped}
        broken = [one for one in _broken_dependents(plugin) if found.error or one in skipped]
        _reject_dependents(name, broken + registry.dependents(plugin))
        _remove_active(plugin, yes=yes)
    elif installed := found.find(name):
        _reject_dependents(name, _broken_dependents(installed[0]))
        _remove_inactive(installed[0], found, yes=yes)
    else:
        _remove_absent(name, yes=yes)


def _reject_dependents(name: str, dependents: list[str]) -> None:
    if dependents:
        message = (
            f"{name} is required by {', '.join(dependents)}; remove the data of each in this order "
            f"and disable it, as in PEGBOARD_PLUGINS_DISABLED={','.join(dependents)}."
        )
        raise click.ClickException(message)


def _remove_active(plugin: Plugin, *, yes: bool) -> None:
    """Drop the data of a plugin that says itself which tables are its."""
    name = plugin.name
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
    click.echo(f"The data of {name} is dropped. {_what_next(plugin)}")


def _remove_inactive(plugin: Candidate, found: Diagnosis, *, yes: bool) -> None:
    """Drop the data of an installed plugin that is not asked, as it is disabled or broken."""
    name = plugin.name
    recorded = find_absent(current_app, name)
    state = find_state(found, plugin).word
    if recorded is None:
        message = (
            f"{name} is not active ({state}), and the database has no version table of it: there "
            "is nothing to drop"
        )
        raise click.ClickException(message)
    click.echo(
        f"{name} is not active ({state}): its tables are those that the database has recorded, "
        "and its revisions are not undone.",
        err=True,
    )
    click.echo(f"{_remove_recorded(name, recorded, yes=yes)} {_what_next(plugin)}")


def _remove_by_wheel(name: str, wheel: Path, *, yes: bool) -> None:
    """Drop the data of a plugin that is not active by the revisions in its wheel."""
    if name in {plugin.name for plugin in get_registry().plugins}:
        message = f"{name} is active, and its own revisions are undone: leave out --wheel."
        raise click.ClickException(message)
    try:
        with plugin_in_wheel(wheel, name) as candidate:
            _reject_dependents(name, _broken_dependents(candidate))
            _remove_unpacked(candidate, _history_of(candidate, wheel), yes=yes)
    except WheelError as error:
        message = f"{error}. {_WITHOUT_WHEEL}"
        raise click.ClickException(message) from error


def _history_of(candidate: Candidate, wheel: Path) -> History:
    """Import the plugin of a wheel, and return its history; its settings need not be complete."""
    registry, problems = examine([candidate], configure())
    if not registry.plugins:
        told = "; ".join(one.summary for one in problems if one.plugin == candidate.name)
        message = f"the plugin in {wheel.name} cannot be used: {told}"
        raise WheelError(message)
    (plugin,) = registry.plugins
    if plugin.migrations is None:
        message = f"the plugin in {wheel.name} has no migrations"
        raise WheelError(message)
    return History(plugin.name, plugin.migrations, plugin.metadata, plugin.label or "")


def _remove_unpacked(candidate: Candidate, history: History, *, yes: bool) -> None:
    name = candidate.name
    tables = adopt_history(current_app, history)
    if tables is None:
        message = f"the database has no version table of {name}: there is nothing to drop"
        raise click.ClickException(message)
    listed = ", ".join(map(str, tables)) or "no tables"
    if not yes:
        question = f"Drop all data of {name} ({listed}) by the revisions of {candidate.label}?"
        click.confirm(f"{question} This cannot be undone.", abort=True)
    with name_inactive_owners():
        remove_history(current_app, name, report=click.echo)
    click.echo(f"The data of {name} is dropped: {listed}.")


def _what_next(plugin: Candidate) -> str:
    return (
        f"Uninstall {plugin.label or plugin.package}, or disable it "
        f"(PEGBOARD_PLUGINS_DISABLED={plugin.name}), before the next pegboard db upgrade."
    )


def _remove_absent(name: str, *, yes: bool) -> None:
    """Drop the data of a plugin that is gone."""
    recorded = find_absent(current_app, name)
    if recorded is None:
        names = ", ".join(plugin.name for plugin in get_registry().plugins) or "none"
        message = (
            f"{name} is not installed, and the database has no version table of it. These plugins "
            f"are active: {names}."
        )
        raise click.ClickException(message)
    click.echo(_remove_recorded(name, recorded, yes=yes))


def _remove_recorded(name: str, recorded: Absent, *, yes: bool) -> str:
    """Drop what the database has recorded; returns a sentence that says so."""
    tables = ", ".join(map(str, recorded.tables)) or "no tables"
    by = f", which {recorded.release} has created" if recorded.release else ""
    if not yes:
        click.confirm(f"Drop all data of {name} ({tables}{by})? This cannot be undone.", abort=True)
    with name_inactive_owners():
        remove_absent(current_app, name, report=click.echo)
    return f"The data of {name} is dropped: {tables}."


def _broken_dependents(plugin: Candidate) -> list[str]:
    """Return the plugins that require one, and would be active if nothing were broken.

    Also those that do so by way of others; each comes before those that it requires.
    """
    core = get_settings(CoreSettings)
    active = {one.name for one in get_registry().plugins}
    broken = [
        one
        for one in installed_plugins()
        if one.name not in {*active, plugin.name} and find_exclusion(one, core) is None
    ]
    found = [plugin]
    for needed in found:  # it grows meanwhile
        found += [
            one
            for one in broken
            if one not in found
            and needed.distribution
            and one.distribution
            and needed.distribution.canonical_name in one.distribution.requires
        ]
    return [one.name for one in found[:0:-1]]

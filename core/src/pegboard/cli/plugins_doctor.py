"""`pegboard plugins doctor`: what is left over, doubled, unused or changed around a service."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.inspection import (
    Finding,
    find_changes,
    find_doubled,
    find_leftovers,
    find_unread,
)
from pegboard.logs import no_warnings, not_logged
from pegboard.migrations import Orphan
from pegboard.plugins import Skipped, installed_plugins
from pegboard.settings import Unused


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def doctor(info: ScriptInfo, *, as_json: bool) -> None:
    """Report what is left over, doubled, unused or changed.

    Tables and migration histories in the database whose plugin is not active; settings that nobody
    reads; two versions of a distribution; and, which is no fault, plugins that have changed since
    the service was last started from this folder. Exits with 1 if there is something to be done, or
    the service cannot start.
    """
    with not_logged(Skipped), not_logged(Unused), no_warnings():
        found = diagnose(info)
        leftovers, unknown = find_leftovers(found)
    partial = found.partial
    folder = Path(partial.app.instance_path if partial else "instance")
    findings = [
        *filter(None, [unknown]),
        *find_unread(found),
        *find_doubled(),
        *find_changes(found, folder),
    ]
    active = {plugin.name for plugin in found.registry.plugins}
    inactive = {plugin.name for plugin in installed_plugins()} - active
    if as_json:
        content = {
            "leftovers": [{"kind": one.kind, "name": one.name} for one in leftovers],
            "findings": [vars(one) for one in findings],
            "can_start": found.error is None,
        }
        click.echo(json.dumps(content, indent=2))
    else:
        for line in _lines(leftovers, findings, inactive):
            click.echo(line)
        for hint in _hints(leftovers, inactive):
            click.echo(hint, err=True)
    found.show_error()
    if leftovers or found.error or any(one.is_problem for one in findings):
        sys.exit(1)


def _lines(
    leftovers: Sequence[Orphan], findings: Sequence[Finding], inactive: set[str]
) -> Iterator[str]:
    for orphan in leftovers:
        if orphan.kind == "history" and orphan.name in inactive:
            yield f"history {orphan.name}: its plugin is installed, and not active"
        else:
            yield str(orphan)
    if not leftovers and not any(one.kind == "database" for one in findings):
        yield "Every table and history in the database belongs to a plugin of the service."
    yield from map(str, findings)


def _hints(leftovers: Sequence[Orphan], inactive: set[str]) -> Iterator[str]:
    if not leftovers:
        return
    histories = {orphan.name for orphan in leftovers if orphan.kind == "history"}
    has_tables = any(orphan.kind == "table" for orphan in leftovers)
    # Which tables a plugin has that is not active is not known: it is not imported.
    is_owner_unknown = bool(inactive and has_tables)
    if is_installed := is_owner_unknown or bool(histories & inactive):
        hint = (
            "Drop nothing of an installed plugin: pegboard plugins list says why it is not active."
        )
        if is_owner_unknown:
            names = ", ".join(sorted(inactive))
            hint += f" A table of no active plugin may be of one of these: {names}."
        yield hint
    if histories - inactive or not is_installed:
        yield ("Activate an absent plugin again, or drop its data: pegboard plugins remove NAME.")

"""`pegboard config`: print every setting with its origin, and check that the service can start."""

import json

import click
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.inspection import settings_document
from pegboard.logs import not_logged
from pegboard.plugins import Skipped, get_registry
from pegboard.server import Transport, find_contradictions
from pegboard.settings import CoreSettings, Unused, Value, get_settings


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def show(info: ScriptInfo, *, as_json: bool) -> None:
    """Print every setting, its plugin, its value (secrets masked) and its origin.

    Variables that have no effect, and the reasons why the service cannot start if it cannot, follow
    on standard error; the exit status is 0.
    """
    with not_logged(Unused):
        found = diagnose(info)
    if as_json:
        click.echo(json.dumps(settings_document(found.registry), indent=2, ensure_ascii=False))
        found.show_error()
        return
    rows = [("SETTING", "PLUGIN", "VALUE", "ORIGIN"), *map(_row, found.registry.values)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join((*cells, row[3])).rstrip())
    for unused in found.registry.unused:
        click.echo(str(unused), err=True)
    found.show_error()


@config.command()
@pass_script_info
def check(info: ScriptInfo) -> None:
    """Exit with 1 and print every problem if the service cannot start with these settings.

    Variables that have no effect, and settings that keep each other from their effect, are printed,
    too, and are no problem. Whether an address is free, only the start knows.
    """
    with not_logged(Unused), not_logged(Skipped):
        app = info.load_app()
    registry, core = get_registry(app), get_settings(CoreSettings, app)
    Transport.of(core)
    for contradiction in find_contradictions(core):
        click.echo(str(contradiction), err=True)
    for unused in registry.unused:
        click.echo(str(unused), err=True)
    for problem in registry.skipped:
        click.echo(f"skipped: {problem}", err=True)
    names = ", ".join(plugin.name for plugin in registry.plugins) or "none"
    click.echo(f"The settings are valid. Plugins: {names}.")


def _row(value: Value) -> tuple[str, str, str, str]:
    declaration = value.declaration
    return declaration.key, declaration.owner or "core", value.shown, value.origin

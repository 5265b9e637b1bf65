"""`pegboard config`: print every setting with its origin, and check that the service can start."""

import click

from pegboard.app import create_app
from pegboard.plugins import build_registry, get_registry, select_plugins
from pegboard.settings import Value, configure


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
def show() -> None:
    """Print every setting, its plugin, its value (secrets masked) and its origin."""
    configuration = configure()
    registry = build_registry(select_plugins(None, configuration.core), configuration)
    rows = [("SETTING", "PLUGIN", "VALUE", "ORIGIN"), *map(_row, registry.values)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join((*cells, row[3])).rstrip())


@config.command()
def check() -> None:
    """Exit with 1 and print every problem if the service cannot start with these settings."""
    registry = get_registry(create_app())
    for problem in registry.skipped:
        click.echo(f"skipped: {problem}", err=True)
    names = ", ".join(plugin.name for plugin in registry.plugins) or "none"
    click.echo(f"The settings are valid. Plugins: {names}.")


def _row(value: Value) -> tuple[str, str, str, str]:
    declaration = value.declaration
    return declaration.key, declaration.owner or "core", value.shown, value.origin

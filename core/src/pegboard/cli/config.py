"""`pegboard config`: every setting, where its value comes from, and whether all is well."""

import click

from pegboard.app import create_app
from pegboard.plugins import assemble, choose, get_registry
from pegboard.settings import Value, configure


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
def show() -> None:
    """Print every setting, its plugin, its value (secrets masked) and its origin."""
    configuration = configure()
    registry = assemble(choose(None, configuration.core), configuration)
    rows = [("SETTING", "PLUGIN", "VALUE", "ORIGIN"), *map(_row, registry.values)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join((*cells, row[3])).rstrip())


@config.command()
def check() -> None:
    """Exit with 1 and say why when the service could not start with these settings."""
    registry = get_registry(create_app())
    for problem in registry.skipped:
        click.echo(f"left out: {problem}", err=True)
    names = ", ".join(plugin.name for plugin in registry.plugins) or "no plugin"
    click.echo(f"The settings are in order. Plugins: {names}.")


def _row(value: Value) -> tuple[str, str, str, str]:
    declaration = value.declaration
    return declaration.key, declaration.owner or "core", value.shown, value.origin

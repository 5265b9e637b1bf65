"""The `pegboard` command: the commands of `flask`, and Pegboard's own.

`main` is the command. `flask` and `app.cli` find the same commands by the entry points of the
distribution.
"""

import platform
from contextlib import nullcontext
from importlib.metadata import version
from typing import Any

import click
from flask.cli import FlaskGroup, ScriptInfo

from pegboard.app import create_app
from pegboard.cli.database_errors import explain_database_errors
from pegboard.cli.diagnosis import Diagnosis, diagnose
from pegboard.cli.own_commands import OWN_COMMANDS, ImportedCommands
from pegboard.logs import no_warnings


class PlatformGroup(FlaskGroup):
    """The commands, which are there whether or not the service can start.

    An unavailable database is reported as a problem instead of a traceback, in all commands.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with explain_database_errors():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; without warnings of the start if only its help is wanted."""
        with no_warnings() if "--help" in args else nullcontext():
            return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name. Raises `StartupError` if a plugin's could not be found."""
        if cmd_name in OWN_COMMANDS:
            return self.commands[cmd_name]  # without importing those of all distributions
        self._load_plugin_commands()
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        found = _diagnose(ctx)
        if found.error is None:
            return super().get_command(ctx, cmd_name)
        if cmd_name in found.commands:
            return found.commands[cmd_name]
        raise found.error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands; prints the problems of a service that cannot start."""
        self._load_plugin_commands()
        names = set(self.commands)
        try:
            with no_warnings():
                found = _diagnose(ctx)
        except Exception as error:  # noqa: BLE001 - the help is printed whatever fails
            click.echo(f"Error: {type(error).__name__}: {error}\n", err=True)
            return sorted(names)
        if found.error is None:
            return super().list_commands(ctx)
        found.show_error()
        click.echo(err=True)
        return sorted(names | found.commands.keys())


def _diagnose(ctx: click.Context) -> Diagnosis:
    return diagnose(ctx.ensure_object(ScriptInfo))


def _print_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or ctx.resilient_parsing:
        return
    libraries = ", ".join(f"{name} {version(name)}" for name in ("Flask", "SQLAlchemy"))
    click.echo(f"Pegboard {version('pegboard')} (Python {platform.python_version()}, {libraries})")
    ctx.exit()


main = PlatformGroup(
    name="pegboard",
    commands=ImportedCommands(OWN_COMMANDS),
    create_app=create_app,
    set_debug_flag=False,  # the configuration decides, not FLASK_DEBUG
    add_version_option=False,  # which would name Flask, and not Pegboard
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version of Pegboard.",
        )
    ],
    help="Serve and operate a service made of plugins.",
)

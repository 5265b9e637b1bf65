"""The `pegboard` command: the commands of `flask`, and Pegboard's own.

`main` is the command. `flask` and `app.cli` find the same commands by the entry points of the
distribution.
"""

import platform
from contextlib import nullcontext
from functools import partial
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any

import click
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo
from packaging.utils import canonicalize_name

from pegboard.app import create_app, disconnect
from pegboard.cli.database_errors import explain_errors_of_command
from pegboard.cli.own_commands import OWN_COMMANDS, ImportedCommands
from pegboard.logs import no_warnings
from pegboard.plugins import find_exclusion, installed_plugins
from pegboard.settings import configure, with_options

if TYPE_CHECKING:
    from pegboard.inspection import Diagnosis


class PlatformGroup(FlaskGroup):
    """The commands, which are there whether or not the service can start.

    A database that is unavailable or not at head is reported as a problem instead of a traceback,
    in all commands.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and close the connections of its app at the end."""
        # Not before the context of the app has ended: its session has a connection until then.
        info = ctx.ensure_object(ScriptInfo)
        ctx.call_on_close(partial(_disconnect, info))
        with explain_errors_of_command(partial(_loaded_app, info)):
            return super().invoke(ctx)

    def _load_plugin_commands(self) -> None:
        """Load the commands that distributions add to `flask`.

        Not those of a distribution whose plugin the settings keep out: it must not be imported.
        """
        if self._loaded_plugin_commands:
            return
        core = configure().core
        known: dict[str, bool] = {}
        for plugin in installed_plugins():
            if plugin.distribution is not None:
                name = plugin.distribution.canonical_name
                # One distribution may have several plugins.
                known[name] = known.get(name, False) or find_exclusion(plugin, core) is None
        for entry_point in entry_points(group="flask.commands"):
            # Of a distribution with broken metadata there may be no name.
            name = canonicalize_name(getattr(entry_point.dist, "name", None) or "")
            if known.get(name, True):
                self.add_command(entry_point.load(), entry_point.name)
        self._loaded_plugin_commands = True

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


def _loaded_app(info: ScriptInfo) -> Flask | None:
    return info._loaded_app  # noqa: SLF001 - to load it is no use now


def _disconnect(info: ScriptInfo) -> None:
    if (app := _loaded_app(info)) is not None:
        disconnect(app)


def _diagnose(ctx: click.Context) -> "Diagnosis":
    # Not loaded by a command that only serves.
    from pegboard.cli.diagnosis import diagnose  # noqa: PLC0415 - as above

    return diagnose(ctx.ensure_object(ScriptInfo))


def _print_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or ctx.resilient_parsing:
        return
    libraries = ", ".join(f"{name} {version(name)}" for name in ("Flask", "SQLAlchemy"))
    click.echo(f"Pegboard {version('pegboard')} (Python {platform.python_version()}, {libraries})")
    ctx.exit()


def _keep_safe(ctx: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        ctx.with_resource(with_options({"SAFE": True}))


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
        ),
        click.Option(
            ["--safe"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_keep_safe,
            help="Have no third-party plugin, for any command (PEGBOARD_SAFE).",
        ),
    ],
    help="Serve and operate a service made of plugins.",
)

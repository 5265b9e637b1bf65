"""The command group of an app, `app.cli`: the same commands as those of `pegboard` and `flask`."""

from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

import click
from flask.cli import AppGroup, routes_command, run_command, shell_command

GROUP = "flask.commands"


class AppCommands(AppGroup):
    """The commands that plugins add to an app, and those of installed distributions.

    `app.test_cli_runner()` runs these. As in Flask's own group the command of a distribution, such
    as `db`, wins over one of the app; it is imported when it is first looked up.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        for command in (routes_command, run_command, shell_command):
            self.add_command(command)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name, or None."""
        if entry := self._installed.get(cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *self._installed})

    @cached_property
    def _installed(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=GROUP)}

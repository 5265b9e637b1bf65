"""Pegboard's own commands, each imported when it is first used."""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click

OWN_COMMANDS = {
    "cache": "pegboard.cli.cache",
    "config": "pegboard.cli.config",
    "db": "pegboard.cli.db",
    "dev": "pegboard.cli.dev",
    "explain": "pegboard.cli.explain",
    "new": "pegboard.cli.new",
    "plugins": "pegboard.cli.plugins",
    "serve": "pegboard.cli.serve",
}
"""The modules of the commands. What all but `serve` import is a seventh of a service's memory."""


class ImportedCommands(MutableMapping[str, click.Command]):
    """Commands by name, some of which a module has under that name, which is imported for it."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._commands: dict[str, click.Command | str] = {**modules}

    def __getitem__(self, name: str) -> click.Command:
        found = self._commands[name]
        if isinstance(found, str):
            command: click.Command = getattr(import_module(found), name)
            found = self._commands[name] = command
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)

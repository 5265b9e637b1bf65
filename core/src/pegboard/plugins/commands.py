"""The commands of an app and whose each is, also of those that are added to `app.cli` itself."""

from collections.abc import Iterator
from dataclasses import replace

import click
import pluggy
from flask import Flask

from pegboard.plugins.collisions import find_shared_names
from pegboard.plugins.contributions import Plugin
from pegboard.plugins.parties import Collision
from pegboard.plugins.unique_names import COMMAND, UniqueName, names_of_core


class Commands:
    """The commands of an app, in the order in which they were added."""

    def __init__(self, app: Flask, manager: pluggy.PluginManager) -> None:
        self._app = app
        self._manager = manager
        self._names = [name for name in names_of_core() if name.kind is COMMAND]
        self._seen = dict(app.cli.commands)

    def add(self, plugin: Plugin, hook: str) -> list[Collision]:
        """Note what the app has since the last call, from a hook of a plugin; return collisions.

        Click replaces a command by another of its name, and says nothing.
        """
        names = [*self._names, *self._new(plugin, hook)]
        collisions = list(find_shared_names(names, self._manager))
        if not collisions:  # else the next call would tell them again
            self._names = names
        self._seen = dict(self._app.cli.commands)
        return collisions

    def _new(self, plugin: Plugin, hook: str) -> Iterator[UniqueName]:
        kind = replace(COMMAND, hook=hook)
        for name, command in self._app.cli.commands.items():
            if command is self._seen.get(name):
                continue
            is_own = any(one.name == name and one.owner is plugin for one in self._names)
            # What is given the app may wrap the plugin's own command.
            if not is_own or hook in {"pegboard_blueprints", "pegboard_commands"}:
                yield UniqueName(kind, name, plugin, _callback_of(command), returned=command)


def _callback_of(command: click.Command) -> object:
    """Return the function of a command; of a group without one, that of its first command."""
    if command.callback is None and isinstance(command, click.Group):
        return next(map(_callback_of, command.commands.values()), None)
    return command.callback

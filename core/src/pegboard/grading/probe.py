"""Starts one plugin in a process of its own, and prints as JSON what it brings and what it costs.

`python -m pegboard.grading.probe '{"name": ..., "needs": [...], "settings": {...}}'`
"""

import contextlib
import gc
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from flask import Blueprint, Flask
from werkzeug.routing import Rule

from pegboard.app import create_app
from pegboard.grading.import_watch import Effect, import_watched, is_within
from pegboard.grading.options import FIXED
from pegboard.grading.started import MARK
from pegboard.migrations import upgrade
from pegboard.plugins import (
    Candidate,
    Plugin,
    Registry,
    get_registry,
    hookimpl,
    installed_plugins,
    rules_of,
)
from pegboard.problems import StartupError
from pegboard.resources import Resource
from pegboard.settings import declarations_of

WARM_UP = 3
"""Requests that are sent before one is counted: the first ones fill what is cached."""


class Neighbour:
    """A plugin with one route, to measure what another adds to its requests."""

    name = "neighbour"

    @hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Serve `/pegboard-neighbour`."""
        blueprint = Blueprint("neighbour", __name__)
        blueprint.add_url_rule("/pegboard-neighbour", "answer", lambda: "{}")
        return [blueprint]


class Warnings(logging.Handler):
    """Keeps the warnings and errors that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.events: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one, with the package whose code logs it, whatever the name of the logger."""
        self.events.append({"text": record.getMessage(), "package": _package_of(record.pathname)})


def main(argument: str) -> None:
    """Print the findings as JSON, in the last line of standard output."""
    wanted = json.loads(argument)
    with TemporaryDirectory(prefix="pegboard-grade-") as folder:
        own = {"MIGRATIONS_DIRECTORY": f"{folder}/alembic", **wanted["settings"]}
        found = examine(wanted["name"], wanted["needs"], {**own, **FIXED})
    sys.stdout.write(f"\n{MARK}{json.dumps(found, default=str)}\n")


def examine(name: str, needs: list[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Start the plugin beside what it requires; return what is found, or why it cannot start."""
    candidate = next(one for one in installed_plugins() if one.name == name)
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    try:
        without = create_app(settings, plugins=[*needs, Neighbour()])
        loaded = set(sys.modules)
        effects = _import(candidate)
        at_run_time = sorted(set(sys.modules) - loaded)
        app = create_app(settings, plugins=[*needs, name, Neighbour()])
    except StartupError as error:
        return {"problems": [*map(str, error.problems)]}
    started_with = [*warnings.events]
    for one in (without, app):
        upgrade(one)
    registry = get_registry(app)
    plugin = next(one for one in registry.plugins if one.name == name)
    return {
        "problems": [],
        "warnings": started_with,
        "effects": effects,
        "test_modules": [one for one in at_run_time if _is_of_tests(one)],
        **_contributions(plugin, registry, app),
        "document": _document(app),
        "calls": [_calls(without), _calls(app)],
    }


def _is_of_tests(module: str) -> bool:
    return module == "pytest" or module.startswith("pegboard.testing")


def _import(candidate: Candidate) -> list[dict[str, str]]:
    """Import the plugin; return what that does beside defining things."""
    found: list[Effect] = []
    own = candidate.package
    with import_watched(own, found), contextlib.suppress(BaseException):  # the registry tells why
        candidate.load()
    return [
        {
            "text": one.text,
            "package": own if is_within(one.module, own) else one.module.partition(".")[0],
        }
        for one in found
    ]


def _package_of(file: str) -> str:
    """Return the top-level package of a module's file."""
    for name, module in [*sys.modules.items()]:
        if getattr(module, "__file__", None) == file:
            return name.partition(".")[0]
    return Path(file).stem


def _contributions(plugin: Plugin, registry: Registry, app: Flask) -> dict[str, Any]:
    callers = registry.manager.get_hookcallers(plugin.obj) or []
    declared = {
        name: caller.spec
        for name, caller in vars(registry.hook).items()
        if getattr(caller, "spec", None) is not None
    }
    settings = declarations_of(plugin.settings, plugin.name) if plugin.settings else ()
    rules = [*_rules(app, registry, plugin)]
    blueprints = {rule.endpoint.partition(".")[0] for rule in rules}
    return {
        "hooks": sorted(caller.name for caller in callers),
        "hookspecs": {
            name: spec.function.__doc__ or ""
            for name, spec in declared.items()
            if spec.function.__module__.partition(".")[0] == plugin.package
        },
        "settings": [
            {"key": one.key, "variable": one.variable, "doc": one.doc} for one in settings
        ],
        "commands": [one for command in plugin.commands for one in _commands(command, "")],
        "routes": [
            {"rule": rule.rule, "methods": sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})}
            for rule in rules
        ],
        "resources": sorted(
            one.blueprint.name
            for one in gc.get_objects()
            if issubclass(type(one), Resource)
            and one.blueprint.name in blueprints
            and app.blueprints[one.blueprint.name] is one.blueprint
        ),
        "tables": sorted(plugin.metadata.tables) if plugin.metadata is not None else [],
        "migrations": str(plugin.migrations) if plugin.migrations else None,
    }


def _document(app: Flask) -> dict[str, Any]:
    """Return what `pegboard openapi` prints, which needs no request and so no permission."""
    (api,) = app.extensions["flask-smorest"]["apis"].values()
    document: dict[str, Any] = api["ext_obj"].spec.to_dict()
    return document


def _commands(command: click.Command, path: str) -> Iterator[dict[str, Any]]:
    path = f"{path} {command.name}".strip()
    options = [one for one in command.params if isinstance(one, click.Option)]
    yield {
        "path": path,
        "help": command.help or "",
        "bare_options": [one.opts[0] for one in options if not one.help and not one.hidden],
    }
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from _commands(one, path)


def _rules(app: Flask, registry: Registry, plugin: Plugin) -> Iterator[Rule]:
    """Yield the rules that any hook of the plugin has added, of whatever view and blueprint."""
    for rule in rules_of(app):
        module = getattr(app.view_functions.get(rule.endpoint), "__module__", "")
        if registry.owner_of(rule.endpoint, module) is plugin:
            yield rule


def _calls(app: Flask) -> int:
    """Return how many Python functions are called for a request to the neighbour's route."""
    client = app.test_client()
    for _ in range(WARM_UP):
        client.get("/pegboard-neighbour")
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        client.get("/pegboard-neighbour")
    finally:
        sys.setprofile(None)
    return count


if __name__ == "__main__":
    main(sys.argv[1])

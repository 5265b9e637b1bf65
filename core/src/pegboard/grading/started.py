"""What a plugin brings and costs when it is started, as the probe's process tells it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pegboard.grading.processes import run_python
from pegboard.grading.subject import Subject

MARK = "pegboard-probe: "
"""Begins the line of the probe's output that is its answer; a plugin may print others."""


@dataclass(frozen=True)
class Command:
    """A command of the plugin."""

    path: str
    """Its name after those of its groups."""
    help: str
    bare_options: tuple[str, ...]
    """Its options without a help text."""


@dataclass(frozen=True)
class Route:
    """A route of the plugin."""

    rule: str
    methods: tuple[str, ...]


@dataclass(frozen=True)
class SettingText:
    """A setting of the plugin."""

    key: str
    variable: str
    doc: str


@dataclass(frozen=True)
class Event:
    """Something that happened at the start or the import."""

    text: str
    package: str
    """The import package whose code did it."""


@dataclass(frozen=True)
class Started:
    """An app with the plugin and what it requires."""

    problems: tuple[str, ...]
    """Why it does not start; the rest is empty then."""
    warnings: tuple[Event, ...] = ()
    """What was logged as a warning or an error."""
    effects: tuple[Event, ...] = ()
    """What the import of the plugin did beside defining things."""
    test_modules: tuple[str, ...] = ()
    """Modules for tests that it imports when it starts."""
    hooks: tuple[str, ...] = ()
    """The hooks that it implements."""
    hookspecs: Mapping[str, str] = field(default_factory=dict)
    """The docstrings of the hooks that it declares, by name."""
    settings: tuple[SettingText, ...] = ()
    commands: tuple[Command, ...] = ()
    routes: tuple[Route, ...] = ()
    resources: tuple[str, ...] = ()
    """The blueprints' names of its resources."""
    tables: tuple[str, ...] = ()
    migrations: str | None = None
    """The folder of its revisions."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """The OpenAPI document."""
    calls: tuple[int, ...] = (0, 0)
    """Calls of Python functions for a request to another's route: without and with the plugin."""

    @cached_property
    def operations(self) -> dict[str, Mapping[str, Any]]:
        """Its operations in the OpenAPI document, by method and path."""
        own: dict[str, set[str]] = {}
        for route in self.routes:
            own.setdefault(_template(route.rule), set()).update(route.methods)
        return {
            f"{method.upper()} {path}": operation
            for path, item in self.document.get("paths", {}).items()
            for method, operation in item.items()
            if method.upper() in own.get(path, ())
        }

    def undocumented(self, route: Route) -> list[str]:
        """Return the methods of a route that the OpenAPI document does not have."""
        path = _template(route.rule)
        return [one for one in route.methods if f"{one} {path}" not in self.operations]


def _template(rule: str) -> str:
    """Return a route as the document spells it: `/items/<int:item_id>` as `/items/{item_id}`."""
    parts = []
    for part in rule.split("<"):
        name, closed, rest = part.partition(">")
        parts.append(f"{{{name.rpartition(':')[2]}}}{rest}" if closed else part)
    return "".join(parts)


def start(subject: Subject) -> Started:
    """Start the plugin in a process of its own."""
    wanted = {
        "name": subject.name,
        "needs": subject.needs,
        "settings": dict(subject.options.settings),
    }
    done = run_python(subject, ["-m", "pegboard.grading.probe", json.dumps(wanted)])
    for line in reversed(done.output.splitlines()):
        if line.startswith(MARK):
            return _started(json.loads(line.removeprefix(MARK)))
    last = done.errors.strip().splitlines()[-1:] or [f"exit status {done.status}"]
    return Started((f"its process failed: {last[0]}",))


def _started(found: dict[str, Any]) -> Started:
    if found["problems"]:
        return Started(tuple(found["problems"]))
    lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
    known: dict[str, Any] = {
        **found,
        **lists,
        "warnings": tuple(Event(**one) for one in found["warnings"]),
        "effects": tuple(Event(**one) for one in found["effects"]),
        "settings": tuple(SettingText(**one) for one in found["settings"]),
        "commands": tuple(
            Command(one["path"], one["help"], tuple(one["bare_options"]))
            for one in found["commands"]
        ),
        "routes": tuple(Route(one["rule"], tuple(one["methods"])) for one in found["routes"]),
    }
    return Started(**known)

"""What one plugin brings: collected from its hooks, and checked to be of the right kind."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import pluggy
from flask import Blueprint
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from pegboard.api import HealthCheck
from pegboard.plugins.discovery import Candidate, Distribution
from pegboard.problems import PluginError, Problem, StartupError
from pegboard.settings import Settings, declarations_of


@dataclass(frozen=True)
class Plugin:
    """A plugin that hangs, with everything it hung on the hooks."""

    name: str
    obj: object
    package: str
    distribution: Distribution | None = None
    settings: type[Settings] | None = None
    metadata: MetaData | None = None
    migrations: Path | None = None
    blueprints: tuple[Blueprint, ...] = ()
    commands: tuple[click.Command, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()

    @property
    def label(self) -> str | None:
        """Its distribution and version, as an operator knows it."""
        return str(self.distribution) if self.distribution else None

    @property
    def title(self) -> str:
        """Its name, with its distribution and version."""
        return f"{self.name} ({self.label})" if self.label else self.name

    def problem(self, summary: str, hint: str) -> Problem:
        """Return a problem that names this plugin."""
        return Problem(summary, hint, self.name, self.label)


def call_hook(manager: pluggy.PluginManager, plugin: str, hook: str, **arguments: Any) -> list[Any]:
    """Call one plugin's implementation of a hook; returns its result, or nothing if it has none."""
    implementations = getattr(manager.hook, hook).get_hookimpls()
    return [
        implementation.function(*(arguments[name] for name in implementation.argnames))
        for implementation in implementations
        if implementation.plugin_name == plugin
    ]


def call_plugin(
    manager: pluggy.PluginManager, plugin: Plugin, hook: str, **arguments: Any
) -> list[Any]:
    """Call a plugin's implementation as `call_hook` does. Raises `PluginError`, naming the plugin.

    What the plugin says by a `StartupError` of its own is told in its words; a problem of it that
    names another plugin is that one's.
    """
    try:
        return call_hook(manager, plugin.name, hook, **arguments)
    except PluginError:
        raise
    except StartupError as error:
        for problem in error.problems:
            if problem.plugin is not None:
                raise PluginError(problem) from error
        summary = "; ".join(problem.summary for problem in error.problems)
        hint = " ".join(problem.hint for problem in error.problems)
        raise PluginError(plugin.problem(summary, hint)) from error
    except (Exception, SystemExit) as error:
        summary = f"{hook} failed: {type(error).__name__}: {error}"
        hint = f"Mend the plugin's implementation of {hook}."
        raise PluginError(plugin.problem(summary, hint)) from error


def collect(
    manager: pluggy.PluginManager, candidates: Iterable[Candidate]
) -> tuple[list[Plugin], list[Problem]]:
    """Call the hooks of each registered candidate; returns the plugins and what went wrong."""
    plugins, problems = [], []
    for candidate in candidates:
        try:
            plugins.append(_collect(manager, candidate))
        except PluginError as error:
            problems.append(error.problem)
    return plugins, problems


def _collect(manager: pluggy.PluginManager, candidate: Candidate) -> Plugin:
    def one(hook: str, wanted: str, fits: Callable[[Any], bool]) -> Any:
        results = _call(manager, candidate, hook)
        if not results or results[0] is None:
            return None
        if not fits(results[0]):
            raise _wrong(candidate, f"{hook} returned {results[0]!r}", f"Return {wanted}.")
        return results[0]

    def many(hook: str, wanted: str, kind: type) -> Any:
        def fits(value: Any) -> bool:
            return isinstance(value, Sequence) and all(isinstance(part, kind) for part in value)

        return tuple(one(hook, f"a sequence of {wanted}", fits) or ())

    base = one(
        "pegboard_models",
        "the plugin's declarative base, as in class Base(pegboard.Model, DeclarativeBase)",
        _is_a(DeclarativeBase),
    )
    migrations = one(
        "pegboard_migrations",
        "the pathlib.Path of a folder that exists",
        lambda value: isinstance(value, Path) and value.is_dir(),
    )
    if base and base.metadata.tables and not migrations:
        tables = ", ".join(base.metadata.tables)
        summary = f"it has models of {tables}, but no migrations to create them"
        raise _wrong(candidate, summary, "Return the folder of its revisions: pegboard_migrations.")
    settings = one("pegboard_settings", "a subclass of pegboard.Settings", _is_a(Settings))
    if settings is not None:
        try:
            declarations_of(settings, candidate.name)
        except Exception as error:
            summary = f"its settings cannot be read: {type(error).__name__}: {error}"
            raise _wrong(candidate, summary, "Mend the annotations of its Settings.") from error
    return Plugin(
        name=candidate.name,
        obj=manager.get_plugin(candidate.name),
        package=candidate.package,
        distribution=candidate.distribution,
        settings=settings,
        metadata=cast("type[DeclarativeBase]", base).metadata if base else None,
        migrations=migrations,
        blueprints=many("pegboard_blueprints", "flask.Blueprint or pegboard.Blueprint", Blueprint),
        commands=many("pegboard_commands", "click commands", click.Command),
        health_checks=many("pegboard_health_checks", "pegboard.HealthCheck", HealthCheck),
    )


def _is_a(parent: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, type) and issubclass(value, parent)


def _call(manager: pluggy.PluginManager, candidate: Candidate, hook: str) -> list[Any]:
    try:
        return call_hook(manager, candidate.name, hook)
    except (Exception, SystemExit) as error:
        raise _wrong(
            candidate,
            f"{hook} failed: {type(error).__name__}: {error}",
            f"Mend the plugin's implementation of {hook}.",
        ) from error


def _wrong(candidate: Candidate, summary: str, hint: str) -> PluginError:
    label = str(candidate.distribution) if candidate.distribution else None
    return PluginError(Problem(summary, hint, candidate.name, label))

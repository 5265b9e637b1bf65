"""What a plugin contributes: collected from its hooks, and checked to be of the right type."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import click
import pluggy
from flask import Blueprint
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from pegboard.api import HealthCheck
from pegboard.plugins.discovery import Candidate
from pegboard.problems import Code, PluginError, StartupError
from pegboard.settings import Settings, declarations_of


@dataclass(frozen=True)
class Plugin(Candidate):
    """An active plugin, with what its hooks contribute; `obj` is the registered object."""

    settings: type[Settings] | None = None
    """The class that declares its settings; None without settings."""
    metadata: MetaData | None = None
    """The tables of its models; None without models."""
    migrations: Path | None = None
    """The folder of its revisions; None without migrations."""
    blueprints: tuple[Blueprint, ...] = ()
    """The blueprints that the app registers."""
    commands: tuple[click.Command, ...] = ()
    """Its commands of the command line."""
    health_checks: tuple[HealthCheck, ...] = ()
    """What `/health/ready` asks."""


def call_hook(manager: pluggy.PluginManager, plugin: str, hook: str, **arguments: Any) -> list[Any]:
    """Call the hook of one plugin; return its result in a list, which is empty if it has none."""
    implementations = getattr(manager.hook, hook).get_hookimpls()
    return [
        implementation.function(*(arguments[name] for name in implementation.argnames))
        for implementation in implementations
        if implementation.plugin_name == plugin
    ]


def call_plugin(
    manager: pluggy.PluginManager, plugin: Candidate, hook: str, **arguments: Any
) -> list[Any]:
    """Call the hook of one plugin as `call_hook` does.

    Raises `PluginError` for whatever it raises. The problems of a `StartupError` are kept: one that
    names a plugin stays that plugin's, the others become problems of the plugin that was called.
    """
    try:
        return call_hook(manager, plugin.name, hook, **arguments)
    except PluginError:
        raise
    except StartupError as error:
        problems = (one if one.plugin else plugin.adopt(one) for one in error.problems)
        raise PluginError(*problems) from error
    except (Exception, SystemExit) as error:
        summary = f"{hook} failed: {type(error).__name__}: {error}"
        hint = f"Fix the plugin's implementation of {hook}."
        raise PluginError(plugin.problem(Code.HOOK_FAILED, summary, hint)) from error


def collect(manager: pluggy.PluginManager, candidate: Candidate) -> Plugin:
    """Call the hooks of a registered candidate. Raises `PluginError` for a result it cannot use."""

    def one(hook: str, wanted: str, fits: Callable[[Any], bool]) -> Any:
        results = call_plugin(manager, candidate, hook)
        if not results or results[0] is None:
            return None
        if not fits(results[0]):
            summary, hint = f"{hook} returned {results[0]!r}", f"Return {wanted}."
            raise PluginError(candidate.problem(Code.HOOK_RESULT_INVALID, summary, hint))
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
        hint = "Return the folder of its revisions from pegboard_migrations."
        raise PluginError(candidate.problem(Code.MIGRATIONS_MISSING, summary, hint))
    settings = one("pegboard_settings", "a subclass of pegboard.Settings", _is_a(Settings))
    if settings is not None:
        try:
            declarations_of(settings, candidate.name)
        except Exception as error:
            summary = f"its settings cannot be read: {type(error).__name__}: {error}"
            hint = "Fix the annotations of its Settings class."
            problem = candidate.problem(Code.SETTINGS_CLASS_INVALID, summary, hint)
            raise PluginError(problem) from error
    return Plugin(
        **vars(replace(candidate, obj=manager.get_plugin(candidate.name))),
        settings=settings,
        metadata=cast("type[DeclarativeBase]", base).metadata if base else None,
        migrations=migrations,
        blueprints=many("pegboard_blueprints", "flask.Blueprint or pegboard.Blueprint", Blueprint),
        commands=many("pegboard_commands", "click commands", click.Command),
        health_checks=many("pegboard_health_checks", "pegboard.HealthCheck", HealthCheck),
    )


def _is_a(parent: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, type) and issubclass(value, parent)

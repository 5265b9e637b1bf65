"""What a plugin contributes: collected from its hooks, and checked to be of the right type."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pluggy
from flask import Blueprint
from sqlalchemy import MetaData
from sqlalchemy.exc import ArgumentError, NoReferenceError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase

from pegboard.api import HealthCheck
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.model_names import find_long_names
from pegboard.plugins.origin import describe_error, locate_class, locate_function, locate_model
from pegboard.plugins.results import EXPECTED
from pegboard.plugins.settings_classes import find_unreadable_settings
from pegboard.problems import Code, PluginError, Problem, StartupError
from pegboard.redaction import reason_of
from pegboard.settings import Settings
from pegboard.start_times import step

_COLLECTED = (
    "pegboard_models",
    "pegboard_migrations",
    "pegboard_settings",
    "pegboard_blueprints",
    "pegboard_commands",
    "pegboard_health_checks",
    "pegboard_requires",
)
"""The hooks that say what a plugin has, without an app."""


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
    interfaces: tuple[type, ...] = ()
    """The interfaces of the services that it requires."""


def call_hook(manager: pluggy.PluginManager, plugin: str, hook: str, **arguments: Any) -> list[Any]:
    """Call the hook of one plugin; return its result in a list, which is empty if it has none."""
    implementations = getattr(manager.hook, hook).get_hookimpls()
    results = []
    for implementation in implementations:
        if implementation.plugin_name == plugin:
            with step(hook, plugin):
                given = (arguments[name] for name in implementation.argnames)
                results.append(implementation.function(*given))
    return results


def call_plugin(
    manager: pluggy.PluginManager, plugin: Candidate, hook: str, **arguments: Any
) -> list[Any]:
    """Call a hook of the core of one plugin; return its result as `call_hook` does.

    Raises `PluginError` for whatever it raises, and for a result that is not what the hook returns.
    The problems of a `StartupError` are kept: one that names a plugin stays that plugin's, the
    others become problems of the plugin that was called.
    """
    with naming_failures(plugin, hook):
        results = call_hook(manager, plugin.name, hook, **arguments)
    mistakes = [*filter(None, map(EXPECTED[hook].find_mistake, results))]
    if mistakes:
        code, place = Code.HOOK_RESULT_INVALID, place_of(manager, plugin.name, hook)
        raise PluginError(
            *(plugin.problem(code, f"{hook} {one.text}{place}", one.hint) for one in mistakes)
        )
    return results


def place_of(manager: pluggy.PluginManager, plugin: str, hook: str) -> str:
    """Return where a plugin implements a hook, as `locate_function` does."""
    found = getattr(manager.hook, hook).get_hookimpls()
    return next((locate_function(one.function) for one in found if one.plugin_name == plugin), "")


@contextmanager
def naming_failures(plugin: Candidate, hook: str) -> Iterator[None]:
    """Raise `PluginError` for whatever a hook of a plugin raises, as `call_plugin` does."""
    try:
        yield
    except PluginError:
        raise
    except StartupError as error:
        problems = (one if one.plugin else plugin.adopt(one) for one in error.problems)
        raise PluginError(*problems) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        summary = f"{hook} failed: {describe_error(error, plugin.package)}"
        hint = f"Fix the plugin's implementation of {hook}."
        raise PluginError(plugin.problem(Code.HOOK_FAILED, summary, hint)) from error


def collect(
    manager: pluggy.PluginManager, candidate: Candidate
) -> tuple[Plugin | None, list[Problem]]:
    """Call the hooks of a registered candidate; return what can be used, and what is wrong.

    It is None if the settings cannot be used: then all that is set for it would seem unknown.
    """
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for hook in _COLLECTED:
        try:
            found[hook] = next(iter(call_plugin(manager, candidate, hook)), None)
        except PluginError as error:
            problems += error.problems
    base = found.get("pegboard_models")
    if base:
        place = place_of(manager, candidate.name, "pegboard_models")
        # A folder that is wrong is a problem already.
        if base.metadata.tables and not found.get("pegboard_migrations", True):
            problems.append(_without_migrations(candidate, base, place))
        problems += find_long_names(candidate, base)
        if unresolved := [*_check_references(candidate, base, place)]:
            problems += unresolved
            base = None  # what compares tables would fail
    settings = found.get("pegboard_settings")
    unreadable = [*find_unreadable_settings(candidate, settings)] if settings is not None else []
    problems += unreadable
    if unreadable or "pegboard_settings" not in found:
        return None, problems
    plugin = Plugin(
        **vars(replace(candidate, obj=manager.get_plugin(candidate.name))),
        settings=settings,
        metadata=base.metadata if base else None,
        migrations=found.get("pegboard_migrations"),
        blueprints=tuple(found.get("pegboard_blueprints") or ()),
        commands=tuple(found.get("pegboard_commands") or ()),
        health_checks=tuple(found.get("pegboard_health_checks") or ()),
        interfaces=tuple(found.get("pegboard_requires") or ()),
    )
    return plugin, problems


def _without_migrations(candidate: Candidate, base: type[DeclarativeBase], place: str) -> Problem:
    tables = ", ".join(base.metadata.tables)
    summary = f"it has models of {tables}, but no migrations to create them{place}"
    hint = (
        "Return a folder of its package from pegboard_migrations, and write the revision with "
        f'pegboard db migrate {candidate.name} -m "Create the tables".'
    )
    return candidate.problem(Code.MIGRATIONS_MISSING, summary, hint)


def _check_references(
    candidate: Candidate, base: type[DeclarativeBase], place: str
) -> Iterator[Problem]:
    """Yield a problem for each foreign key to what there is not, else for a relationship.

    Each plugin has tables of its own, in which the name of another plugin's table means nothing.
    `place` is for what no line of a model is known of.
    """
    code = Code.MODEL_REFERENCE_UNRESOLVED
    is_resolved = True
    for table in base.metadata.tables.values():
        for key in sorted(table.foreign_keys, key=lambda one: one.parent.name):
            try:
                _ = key.column
            except (NoReferenceError, ArgumentError):
                is_resolved = False
                column = f"{table.name}.{key.parent.name}"
                where = locate_model(base, table, key.parent.name)
                summary = (
                    f"{column} refers to {key.target_fullname!r}, no column of this plugin{where}"
                )
                yield candidate.problem(code, summary, code.hint)
    if not is_resolved:
        return  # a relationship may fail for such a key alone
    try:
        base.registry.configure(cascade=True)
    except SQLAlchemyError as error:
        text = reason_of(error)
        named = (one for one in base.registry.mappers if str(one) in text)
        where = next((locate_class(one.class_) for one in named), "") or place
        summary = f"its models cannot be mapped: {text.rstrip('.')}{where}"
        hint = "Correct the relationship: name a class of this plugin, or pass another's model."
        yield candidate.problem(code, summary, hint)

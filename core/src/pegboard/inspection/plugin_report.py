"""What each installed plugin is and contributes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import distribution as find_distribution
from typing import Any

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from pegboard.inspection.diagnosis import Diagnosis
from pegboard.migrations import HistoryState, MigrationError, history_states
from pegboard.plugins import Candidate, Plugin, Registry, get_registry
from pegboard.start_times import Step


@dataclass(frozen=True)
class PluginReport:
    """What is known of one installed plugin."""

    name: str
    distribution: str | None
    version: str | None
    is_first_party: bool
    state: str
    """One word: active, enabled, disabled, skipped or broken."""
    reason: str
    """Why it is skipped or broken."""
    requires: tuple[str, ...]
    """What its distribution requires."""
    hooks: tuple[str, ...]
    """The hooks that it implements."""
    routes: tuple[str, ...]
    """Its routes, each with its methods."""
    tables: tuple[str, ...]
    settings: tuple[str, ...]
    """The keys of its settings."""
    commands: tuple[str, ...]
    health_checks: tuple[str, ...]
    migrations: HistoryState | None
    """None without migrations, or if the database cannot be asked."""
    has_migrations: bool
    start: Step | None
    """What it has cost to start it; None if that was not measured."""

    @property
    def is_known(self) -> bool:
        """Whether its contributions could be read: it was imported."""
        return bool(self.hooks)

    @property
    def migration_state(self) -> str:
        """How its tables are, in one word: head, behind, ahead, unknown, or - without any."""
        if self.migrations is not None:
            return self.migrations.state
        return "unknown" if self.has_migrations else "-"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "first_party": self.is_first_party,
            "state": self.state,
            "reason": self.reason or None,
            "requires": list(self.requires),
            "hooks": list(self.hooks),
            "routes": list(self.routes),
            "tables": list(self.tables),
            "settings": list(self.settings),
            "commands": list(self.commands),
            "health_checks": list(self.health_checks),
            "migrations": {
                "state": self.migration_state,
                "current": list(self.migrations.current),
                "heads": list(self.migrations.heads),
            }
            if self.migrations
            else ({"state": self.migration_state} if self.has_migrations else None),
            "start_ms": None if self.start is None else round(self.start.seconds * 1000, 2),
        }


@dataclass(frozen=True)
class Plugins:
    """The reports of all installed plugins."""

    reports: tuple[PluginReport, ...]
    database_error: str | None
    """Why the database could not be asked where its migrations are; None if it was."""
    can_start: bool
    """Whether the service can start."""

    def as_json(self, grades: Mapping[str, str]) -> dict[str, Any]:
        """Return them as JSON has them; `grades` are those that plugins claim."""
        return {
            "plugins": [
                {**one.as_json(), "claimed_grade": grades.get(one.name)} for one in self.reports
            ],
            "can_start": self.can_start,
            "database_error": self.database_error,
        }


def report_plugins(found: Diagnosis) -> Plugins:
    """Return what is known of the installed plugins."""
    partial = found.partial
    states: Mapping[str, HistoryState] = {}
    error = None
    if partial is not None and partial.has_settings:
        try:
            states = {one.history: one for one in history_states(partial.app)}
        except (SQLAlchemyError, MigrationError) as raised:
            error = " ".join(str(getattr(raised, "orig", raised)).split())
    elif partial is not None:
        error = "its settings cannot be used"
    costs = found.start.plugins() if found.app is not None else {}
    app = partial.app if partial else None
    reports = tuple(
        _report(one, found, app, states.get(one.name), costs.get(one.name))
        for one in found.installed
    )
    return Plugins(reports, error, can_start=found.error is None)


def _report(
    candidate: Candidate,
    found: Diagnosis,
    app: Flask | None,
    migrations: HistoryState | None,
    start: Step | None,
) -> PluginReport:
    state, reason = found.told_state(candidate)
    plugin = found.plugin(candidate.name) if found.has(candidate) else None
    declared = found.registry.values
    distribution = candidate.distribution
    requires = distribution.requires.values() if distribution else ()
    return PluginReport(
        name=candidate.name,
        distribution=distribution.name if distribution else None,
        version=distribution.version if distribution else None,
        is_first_party=candidate.is_first_party,
        state=state,
        reason=reason,
        requires=tuple(sorted(map(str, requires))),
        hooks=tuple(hooks_of(found.registry, plugin)) if plugin else (),
        routes=tuple(routes_of(app, plugin)) if plugin and app else (),
        tables=tuple(plugin.metadata.tables) if plugin and plugin.metadata else (),
        settings=tuple(
            one.declaration.key
            for one in declared
            if plugin and one.declaration.owner == plugin.name
        ),
        commands=tuple(one.name or "" for one in plugin.commands) if plugin else (),
        health_checks=tuple(one.name for one in plugin.health_checks) if plugin else (),
        migrations=migrations if plugin else None,
        has_migrations=plugin is not None and plugin.migrations is not None,
        start=start if plugin else None,
    )


def hooks_of(registry: Registry, plugin: Plugin) -> Iterator[str]:
    """Yield the names of the hooks that a plugin implements, those of other plugins included."""
    for caller in registry.manager.get_hookcallers(plugin.obj) or ():
        yield caller.name


def routes_of(app: Flask, plugin: Plugin) -> Iterator[str]:
    """Yield the routes of a plugin with their methods, as in `GET,POST /api/items/`."""
    registry = get_registry(app)
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        owner = registry.owner_of(rule.endpoint, view.__module__ if view else "")
        if owner is not None and owner.name == plugin.name:
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            yield f"{','.join(methods)} {rule.rule}"


def metadata_path(candidate: Candidate) -> str | None:
    """Return where the metadata of a plugin's distribution is."""
    if candidate.distribution is None:
        return None
    try:
        found = find_distribution(candidate.distribution.name)
    except (PackageNotFoundError, ValueError):  # what is wrong with it is told elsewhere
        return None
    return str(getattr(found, "_path", found))

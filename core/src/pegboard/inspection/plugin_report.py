"""What each installed plugin is and contributes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import distribution as find_distribution
from typing import Any

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from pegboard.inspection.building import Partial
from pegboard.inspection.diagnosis import Diagnosis
from pegboard.inspection.plugin_state import PluginState, find_state
from pegboard.migrations import HistoryState, MigrationError, history_states
from pegboard.plugins import Candidate, Plugin, Registry, get_registry, provided_by, title_of
from pegboard.redaction import reason_of
from pegboard.stages import get_stages
from pegboard.start_times import Step


@dataclass(frozen=True)
class KnownPlugin:
    """What is known of a plugin because it was imported."""

    hooks: tuple[str, ...] = ()
    """The hooks that it implements."""
    routes: tuple[str, ...] | None = ()
    """Its routes, each with its methods; None if no app can be built with the plugin."""
    stages: tuple[tuple[int, str], ...] | None = ()
    """The order and name of each of its stages; None as for routes."""
    provides: tuple[str, ...] = ()
    """The interfaces of the services that it provides."""
    requires: tuple[str, ...] = ()
    """The interfaces of the services that it requires."""
    tables: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """The keys of its settings."""
    commands: tuple[str, ...] = ()
    health_checks: tuple[str, ...] = ()
    has_migrations: bool = False
    migrations: HistoryState | None = None
    """None without migrations, or if it is not known."""
    start: Step | None = None
    """What it has cost to start it; None if that was not measured."""

    @property
    def migration_state(self) -> str:
        """How its tables are, in one word: head, behind, ahead, unknown, or - without any."""
        if self.migrations is not None:
            return self.migrations.state
        return "unknown" if self.has_migrations else "-"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "hooks": list(self.hooks),
            "routes": None if self.routes is None else list(self.routes),
            "stages": None
            if self.stages is None
            else [{"name": name, "order": order} for order, name in self.stages],
            "services": {"provides": list(self.provides), "requires": list(self.requires)},
            "tables": list(self.tables),
            "settings": list(self.settings),
            "commands": list(self.commands),
            "health_checks": list(self.health_checks),
            "migrations": self._migrations_as_json() if self.has_migrations else None,
            "start_ms": None if self.start is None else round(self.start.seconds * 1000, 2),
        }

    def _migrations_as_json(self) -> dict[str, Any]:
        state = {"state": self.migration_state}
        if self.migrations is None:
            return state
        current, heads = list(self.migrations.current), list(self.migrations.heads)
        return {**state, "current": current, "heads": heads}


@dataclass(frozen=True)
class PluginReport:
    """What there is to say of one installed plugin."""

    name: str
    distribution: str | None
    version: str | None
    is_first_party: bool
    state: PluginState
    requires: tuple[str, ...]
    """What its distribution requires."""
    known: KnownPlugin | None
    """What it contributes; None if it was not imported."""

    @property
    def label(self) -> str | None:
        """Name and version of its distribution, as `Candidate.label`."""
        return self.distribution and f"{self.distribution} {self.version}"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        known = self.known or KnownPlugin()
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "first_party": self.is_first_party,
            "state": self.state.word,
            "reason": self.state.reason or None,
            "requires": list(self.requires),
            **known.as_json(),
        }


@dataclass(frozen=True)
class Plugins:
    """The reports of all installed plugins."""

    reports: tuple[PluginReport, ...]
    migrations_error: str | None
    """Why it is not known how far the database is migrated; None if it is."""
    can_start: bool
    """Whether the service can start."""

    def as_json(self, grades: Mapping[str, str]) -> dict[str, Any]:
        """Return them as JSON has them; `grades` are those that plugins claim."""
        return {
            "plugins": [
                {**one.as_json(), "claimed_grade": grades.get(one.name)} for one in self.reports
            ],
            "can_start": self.can_start,
            "migrations_error": self.migrations_error,
        }


def report_plugins(found: Diagnosis) -> Plugins:
    """Return what there is to say of the installed plugins."""
    histories, error = _histories(found.partial)
    costs = found.start.plugins() if found.app is not None else {}
    reports = tuple(
        _report(one, found, _known(one, found, histories.get(one.name), costs.get(one.name)))
        for one in found.installed
    )
    return Plugins(reports, error, can_start=found.error is None)


def _histories(partial: Partial | None) -> tuple[Mapping[str, HistoryState], str | None]:
    """Return the migrations of each plugin, and why they are not known, if so."""
    if partial is None:
        return {}, None
    if not partial.has_settings:
        return {}, "its settings cannot be used"
    try:
        return {one.history: one for one in history_states(partial.app)}, None
    except (SQLAlchemyError, MigrationError) as raised:
        return {}, reason_of(raised)


def _report(candidate: Candidate, found: Diagnosis, known: KnownPlugin | None) -> PluginReport:
    distribution = candidate.distribution
    requires = distribution.requires.values() if distribution else ()
    return PluginReport(
        name=candidate.name,
        distribution=distribution.name if distribution else None,
        version=distribution.version if distribution else None,
        is_first_party=candidate.is_first_party,
        state=find_state(found, candidate),
        requires=tuple(sorted(map(str, requires))),
        known=known,
    )


def _known(
    candidate: Candidate, found: Diagnosis, migrations: HistoryState | None, start: Step | None
) -> KnownPlugin | None:
    plugin = found.plugin(candidate.name) if found.has(candidate) else None
    if plugin is None or not (hooks := tuple(hooks_of(found.registry, plugin))):
        return None
    declared = [one.declaration for one in found.registry.values]
    app = _app_with(found.partial, plugin)
    return KnownPlugin(
        hooks=hooks,
        routes=None if app is None else tuple(routes_of(app, plugin)),
        stages=None if app is None else tuple(_stages_of(app, plugin)),
        provides=tuple(map(title_of, provided_by(found.registry.manager, plugin))),
        requires=tuple(map(title_of, plugin.interfaces)),
        tables=tuple(plugin.metadata.tables) if plugin.metadata else (),
        settings=tuple(one.key for one in declared if one.owner == plugin.name),
        commands=tuple(one.name or "" for one in plugin.commands),
        health_checks=tuple(one.name for one in plugin.health_checks),
        has_migrations=plugin.migrations is not None,
        migrations=migrations,
        start=start,
    )


def _app_with(partial: Partial | None, plugin: Plugin) -> Flask | None:
    """Return the app, if there is one that has the plugin."""
    if partial is None or all(one.name != plugin.name for one in get_registry(partial.app).plugins):
        return None
    return partial.app


def _stages_of(app: Flask, plugin: Plugin) -> Iterator[tuple[int, str]]:
    """Yield the order and name of each stage of a plugin, in the order in which they run."""
    stages = get_stages(app)
    for stage in stages.stages:
        if stages.owners.get(stage.name) == plugin.name:
            yield int(stage.order), stage.name


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

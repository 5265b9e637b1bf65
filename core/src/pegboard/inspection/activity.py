"""Why a plugin is active or not: what its metadata, the settings and its requirements say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from pegboard.inspection.diagnosis import Diagnosis
from pegboard.inspection.plugin_report import metadata_path
from pegboard.inspection.plugin_state import find_state
from pegboard.plugins import (
    Candidate,
    Registry,
    check_requirements,
    find_exclusion,
    provided_by,
    title_of,
)
from pegboard.problems import Problem
from pegboard.settings import CoreSettings, Value, configure

_LISTS = {
    "allow-list": "plugins",
    "deny-list": "plugins_disabled",
    "safe": "safe",
    "policy": "plugins_policy",
}


@dataclass(frozen=True)
class Reason:
    """One thing that is asked before a plugin is active."""

    about: str
    """What is asked, in one word."""
    is_met: bool
    text: str
    """The answer, in one line."""


@dataclass(frozen=True)
class Activity:
    """Why a plugin is active or not."""

    name: str
    label: str | None
    """Name and version of its distribution."""
    state: str
    reasons: tuple[Reason, ...]
    hints: tuple[str, ...]
    """What to do for it to be active."""


def explain_plugin(found: Diagnosis, candidate: Candidate) -> Activity:
    """Return why a plugin is active or not. A plugin that a list keeps out is not imported."""
    reasons = [*_reasons(found, candidate)]
    core = configure().core
    hints = [one.hint for one in _problems(found, candidate)]
    hints += _how_to_admit(candidate, core)
    state = find_state(found, candidate).word
    return Activity(
        candidate.name, candidate.label, state, tuple(reasons), tuple(dict.fromkeys(hints))
    )


def _reasons(found: Diagnosis, candidate: Candidate) -> Iterator[Reason]:
    yield from _metadata(candidate)
    configuration = configure()
    core = configuration.core
    values = {one.declaration.field: one for one in configuration.values}
    yield from _lists(candidate, core, values)
    exclusion = find_exclusion(candidate, core)
    unmet = _unmet_requirements(candidate, found)
    yield from _requirements(candidate, unmet)
    if found.has(candidate):
        yield from _services(candidate, found.registry)
    told = [*_problems(found, candidate)]
    if exclusion is not None:
        text = "not imported, and nothing of it is run"
        yield Reason("import", found.has(candidate), text)
    elif candidate.fault is None:
        for problem in told:
            if problem.summary not in {one.summary for one in unmet}:
                yield Reason("check", is_met=False, text=f"{problem.summary} [{problem.code}]")
        if not told and found.has(candidate):
            yield Reason("check", is_met=True, text="imported, its hooks and settings are right")
        elif not told:
            text = "create_app was given other plugins (plugins=…)"
            yield Reason("create_app", is_met=False, text=text)
    if names := _others_at_fault(found, candidate):
        text = f"it cannot start, because of: {', '.join(names)}"
        yield Reason("service", is_met=False, text=text)


def _metadata(candidate: Candidate) -> Iterator[Reason]:
    kind = "Pegboard's own" if candidate.is_first_party else "third-party"
    where = metadata_path(candidate)
    text = f"{candidate.label or 'no distribution'}, {kind}" + (f", in {where}" if where else "")
    yield Reason("metadata", candidate.fault is None, candidate.fault or text)
    if candidate.entry_point is not None:
        package = candidate.package
        try:
            is_there = find_spec(package) is not None  # a package that has no dot is not imported
        except (ImportError, ValueError):
            is_there = False
        value = candidate.entry_point.value
        text = f"{candidate.name} = {value}"
        yield Reason("entry point", is_there, text if is_there else f"{text}: no {package}")


def _lists(candidate: Candidate, core: CoreSettings, values: dict[str, Value]) -> Iterator[Reason]:
    name = candidate.name
    policy = core.plugins_policy.get(name, core.plugins_policy.get("*", "abort"))
    facts = {
        "allow-list": (
            core.plugins is None or name in core.plugins,
            "PEGBOARD_PLUGINS is not set: every installed plugin may be active"
            if core.plugins is None
            else f"PEGBOARD_PLUGINS is {','.join(core.plugins) or 'empty'}",
        ),
        "deny-list": (
            name not in core.plugins_disabled,
            f"PEGBOARD_PLUGINS_DISABLED is {','.join(core.plugins_disabled) or 'empty'}",
        ),
        "safe": (
            candidate.is_first_party or not core.safe,
            f"PEGBOARD_SAFE (--safe) is {'on' if core.safe else 'off'}",
        ),
        "policy": (True, f"{policy} if it has a problem"),
    }
    for about, (is_met, text) in facts.items():
        origin = values[_LISTS[about]].origin
        yield Reason(about, is_met, text if origin == "default" else f"{text} ({origin})")


def _unmet_requirements(candidate: Candidate, found: Diagnosis) -> list[Problem]:
    if candidate.distribution is None:
        return []
    active = [one for one in found.registry.plugins if one.name != candidate.name]
    skipped = {one.plugin or "": one for one in found.registry.skipped}
    problems = check_requirements([*active, candidate], skipped)
    return [*dict.fromkeys(one for one in problems if one.plugin == candidate.name)]


def _requirements(candidate: Candidate, unmet: Sequence[Problem]) -> Iterator[Reason]:
    for problem in unmet:
        yield Reason("requirement", is_met=False, text=f"{problem.summary} [{problem.code}]")
    if candidate.distribution is not None and not unmet:
        requires = candidate.distribution.requires.values()
        text = ", ".join(sorted(map(str, requires))) or "nothing"
        yield Reason("requirement", is_met=True, text=text)


def _services(candidate: Candidate, registry: Registry) -> Iterator[Reason]:
    """Yield what services join it with other plugins; one that nobody provides is a problem."""
    providers = {
        interface: plugin.name
        for plugin in registry.plugins
        for interface in provided_by(registry.manager, plugin)
    }
    for plugin in registry.plugins:
        for interface in plugin.interfaces if plugin.name == candidate.name else ():
            if provider := providers.get(interface):
                text = f"the service {title_of(interface)}, provided by {provider}"
                yield Reason("requires", is_met=True, text=text)
    for interface, provider in providers.items():
        if provider == candidate.name:
            users = [one.name for one in registry.plugins if interface in one.interfaces]
            by = ", ".join(users) or "no plugin"
            text = f"the service {title_of(interface)}, required by {by}"
            yield Reason("provides", is_met=True, text=text)


def _others_at_fault(found: Diagnosis, candidate: Candidate) -> list[str]:
    """Return what else keeps the service from starting: the names of plugins, or the core."""
    told = [*_problems(found, candidate)]
    problems = found.error.problems if found.error else ()
    return sorted({one.plugin or "the core" for one in problems if one not in told})


def _problems(found: Diagnosis, candidate: Candidate) -> Iterator[Problem]:
    for problem in found.problems:
        if problem.plugin == candidate.name and problem.distribution in {None, candidate.label}:
            yield problem


def _how_to_admit(candidate: Candidate, core: CoreSettings) -> Iterator[str]:
    if core.safe and not candidate.is_first_party:
        yield "Start without --safe and PEGBOARD_SAFE."
    if candidate.name in core.plugins_disabled:
        yield f"Take {candidate.name} off PEGBOARD_PLUGINS_DISABLED."
    if core.plugins is not None and candidate.name not in core.plugins:
        yield f"Add {candidate.name} to PEGBOARD_PLUGINS."

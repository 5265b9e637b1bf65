"""What plugins require: checked against what is installed, and the order that follows from it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.metadata import find_version, path_of, plugin_names, requires_of
from pegboard.problems import Code, Problem

CORE = NormalizedName("pegboard")


def check_requirements(
    candidates: Sequence[Candidate], skipped: Mapping[str, Problem]
) -> Iterator[Problem]:
    """Yield a problem for each requirement of a candidate's distribution that is not met.

    A required distribution must be installed in a fitting version, and a plugin of it be active;
    `skipped` tells why one is not, by the plugin's name.
    """
    active = {one.distribution.canonical_name for one in candidates if one.distribution}
    for candidate in candidates:
        if candidate.distribution is None:
            continue
        for name, requirement in sorted(candidate.distribution.requires.items()):
            found = _find(name)
            yield from _unmet(candidate, candidate.distribution.name, requirement, found)
            if found and name not in active and (plugins := plugin_names(found)):
                yield _inactive(candidate, name, plugins, skipped)


def _unmet(
    candidate: Candidate, own: str, requirement: Requirement, found: Distribution | None
) -> Iterator[Problem]:
    """Yield a problem unless what is found of a required distribution has a fitting version.

    `own` is the distribution that requires it.
    """
    if found is None:
        yield _missing(candidate, requirement, "which is not installed")
        return
    version = find_version(found)
    if version is None:
        yield candidate.problem(
            Code.PLUGIN_METADATA_INVALID,
            f"it requires {requirement}, whose metadata in {path_of(found)} has no version",
            f"Install {requirement.name} anew.",
        )
    elif not requirement.specifier.contains(version, prereleases=True):
        if canonicalize_name(requirement.name) == CORE:
            yield candidate.problem(
                Code.PLUGIN_CORE_INCOMPATIBLE,
                f"it requires {requirement}, but the running core is {version}",
                f"Install a version of {own} made for this core, or the core it was made for.",
            )
        else:
            yield _missing(candidate, requirement, f"but {version} is installed")


def _missing(candidate: Candidate, requirement: Requirement, state: str) -> Problem:
    hint = f"Run pip install '{requirement}'."
    core, name = _find(CORE), canonicalize_name(requirement.name)
    if core is not None and (other := requires_of(core).get(name)) is not None:
        # What the plugin alone wants may leave the core without what it needs.
        hint = (
            f"The core requires {other}: run pip install '{CORE}=={find_version(core)}' "
            f"'{requirement}', which tells whether both go together."
        )
    return candidate.problem(
        Code.PLUGIN_REQUIREMENT_MISSING, f"it requires {requirement}, {state}", hint
    )


def _inactive(
    candidate: Candidate, name: str, plugins: Sequence[str], skipped: Mapping[str, Problem]
) -> Problem:
    """Return the problem of a distribution whose plugins are required and not active."""
    reasons = [skipped[plugin] for plugin in plugins if plugin in skipped]
    names = ", ".join(plugins)
    told = "".join(f"{one.plugin} is skipped: {one.summary} [{one.code}]. " for one in reasons)
    return candidate.problem(
        Code.PLUGIN_REQUIREMENT_INACTIVE,
        f"it requires {name}, whose plugin {names} is not active",
        f"{told}Activate {names} (PEGBOARD_PLUGINS, PEGBOARD_PLUGINS_DISABLED), or disable "
        f"{candidate.name} too.",
    )


def _find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def find_skippable(candidates: Iterable[Candidate], allowed: Iterable[str]) -> frozenset[str]:
    """Return the names of the plugins without which the service may start.

    They are those of `allowed` that no plugin requires which must be active.
    """
    skippable = set(allowed)
    while True:
        needed = {
            name
            for candidate in candidates
            if candidate.distribution and candidate.name not in skippable
            for name in candidate.distribution.requires
        }
        required = {
            candidate.name
            for candidate in candidates
            if candidate.distribution and candidate.distribution.canonical_name in needed
        }
        if not required & skippable:
            return frozenset(skippable)
        skippable -= required


def in_order(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[Problem]]:
    """Put each candidate after those that its distribution requires, else by name.

    Returns them as they are, and a problem, when they require each other in a circle.
    """
    by_name = {candidate.name: candidate for candidate in candidates}
    by_distribution: dict[NormalizedName, list[str]] = {}
    for candidate in by_name.values():
        if candidate.distribution:
            key = candidate.distribution.canonical_name
            by_distribution.setdefault(key, []).append(candidate.name)
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, candidate in sorted(by_name.items()):
        requires = candidate.distribution.requires if candidate.distribution else {}
        needed = [other for key in requires for other in by_distribution.get(key, ())]
        sorter.add(name, *(other for other in needed if other != name))
    try:
        return [by_name[name] for name in sorter.static_order()], []
    except CycleError as error:
        circle = error.args[1]
        summary = f"plugins require each other in a circle: {' → '.join(circle)}"
        hint = "Drop one of these requirements from a distribution's metadata."
        problem = by_name[circle[0]].problem(Code.PLUGIN_REQUIREMENT_CYCLE, summary, hint)
        return list(by_name.values()), [problem]

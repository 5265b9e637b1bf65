"""The state of an installed plugin."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pegboard.inspection.diagnosis import Diagnosis
from pegboard.plugins import Candidate
from pegboard.problems import Code, Problem


@dataclass(frozen=True)
class PluginState:
    """The state of an installed plugin."""

    word: str
    """One of active, enabled, disabled, skipped, broken."""
    reason: str = ""
    """Why it is skipped, and by what code it is broken; empty for another one."""


def find_state(found: Diagnosis, plugin: Candidate) -> PluginState:
    """Return the state of an installed plugin of a service."""
    if found.error and (reason := _reason(found.error.problems, plugin, in_full=False)):
        return PluginState("broken", reason)
    if reason := _reason(found.registry.skipped, plugin, in_full=True):
        return PluginState("skipped", reason)
    if not found.has(plugin):
        return PluginState("disabled")
    # A plugin without a problem is not active as long as there is no service.
    return PluginState("enabled" if found.error else "active")


def _reason(problems: Iterable[Problem], plugin: Candidate, *, in_full: bool) -> str:
    """Return what problems say of a plugin, by their codes alone or in full."""
    parts = (part for one in problems for part in _parts(one, plugin, in_full=in_full))
    return "; ".join(dict.fromkeys(parts))


def _parts(problem: Problem, plugin: Candidate, *, in_full: bool) -> Iterator[str]:
    """Yield what a problem says of a plugin; another distribution may have one of its name."""
    if problem.plugin != plugin.name:
        return
    is_of_a_name = problem.code == Code.COLLISION_PLUGIN_NAME
    if problem.distribution in {None, plugin.label}:
        # That of a name is told of two plugins, and shown of one.
        is_whole = in_full or is_of_a_name
        yield f"{problem.summary} [{problem.code}]" if is_whole else str(problem.code)
    elif is_of_a_name:
        yield f"{problem.distribution} has a plugin of the same name [{problem.code}]"

"""The hooks that a plugin's object implements, and what is wrong with how it does."""

import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import pluggy

from pegboard.plugins.discovery import Candidate, installed_plugins
from pegboard.plugins.origin import locate_function
from pegboard.plugins.results import EXPECTED
from pegboard.plugins.unmarked_hooks import NEAR, PREFIX, find_nearly_named, find_unmarked
from pegboard.problems import Code, Problem


@dataclass(frozen=True)
class Implemented:
    """A function of a plugin's object that is marked as the implementation of a hook."""

    hook: str
    function: Callable[..., object]
    is_optional: bool
    """Whether the hook need not be declared by anyone."""

    @property
    def place(self) -> str:
        """Where the function is, as `locate_function` says it."""
        return locate_function(self.function)


def implementations_of(manager: pluggy.PluginManager, obj: Any) -> list[Implemented]:
    """Return the implementations of hooks that an object has."""
    found = []
    for name in dir(obj):
        options = manager.parse_hookimpl_opts(obj, name)
        if options is not None:
            hook = options.get("specname") or name
            is_optional = bool(options.get("optionalhook"))
            found.append(Implemented(hook, getattr(obj, name), is_optional))
    return found


def known_hooks(manager: pluggy.PluginManager) -> list[str]:
    """Return the names of the hooks that the core and the plugins declare."""
    return [name for name, caller in vars(manager.hook).items() if getattr(caller, "spec", None)]


def check_hooks(
    manager: pluggy.PluginManager,
    candidate: Candidate,
    obj: Any,
    failed: Collection[Candidate],
    declared: Collection[tuple[str, Any]],
) -> Iterator[Problem]:
    """Yield a problem for each hook that an object implements wrongly, or without the marker.

    `declared` are the hooks that plugins declare. `failed` are the plugins of which it is not known
    what hooks they declare: a plugin that requires one of them may implement these.
    """
    found = implementations_of(manager, obj)
    yield from find_wrong_arguments(manager, candidate, found)
    yield from _never_run(candidate, found, dict(declared))
    yield from find_unmarked(manager, candidate, obj, declared, known_hooks(manager))
    yield from find_nearly_named(candidate, obj)
    yield from _implemented_twice(candidate, found)
    requires = candidate.distribution.requires if candidate.distribution else {}
    if not any(one.distribution and one.distribution.canonical_name in requires for one in failed):
        yield from _unknown(manager, candidate, found)


def _never_run(
    candidate: Candidate, found: Iterable[Implemented], declared: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield a problem for each async implementation of a plugin's hook that is not async itself.

    Of the core's hooks what they return is checked.
    """
    for one in found:
        specification = declared.get(one.hook)
        if (
            specification is not None
            and inspect.iscoroutinefunction(one.function)
            and not inspect.iscoroutinefunction(specification)
        ):
            yield candidate.problem(
                Code.HOOK_RESULT_INVALID,
                f"{one.hook} is an async function, which nothing would run{one.place}",
                "Write it without async, as the declaration of the hook is.",
            )


def find_wrong_arguments(
    manager: pluggy.PluginManager, candidate: Candidate, found: Iterable[Implemented]
) -> Iterator[Problem]:
    """Yield a problem for each implementation with an argument that pluggy never gives."""
    for one in found:
        specification = getattr(getattr(manager.hook, one.hook, None), "spec", None)
        if specification is None:
            continue
        known: Sequence[str] = specification.argnames
        if _lacks_self(one.function, known):
            owner = type(getattr(one.function, "__self__", None)).__name__
            yield candidate.problem(
                Code.HOOK_ARGUMENTS_INVALID,
                f"{one.hook} is a method of {owner} without self{one.place}",
                "Put self before its arguments, or @staticmethod above @pegboard.hookimpl.",
            )
        elif wrong := [*never_given(one.function, known)]:
            yield candidate.problem(
                Code.HOOK_ARGUMENTS_INVALID,
                f"{one.hook} takes {', '.join(wrong)}, which the hook does not give{one.place}",
                f"Its arguments are {', '.join(known)}; take these or fewer, without *, ** and "
                "defaults."
                if known
                else "The hook has no arguments; take none.",
            )


def _lacks_self(function: Callable[..., object], known: Collection[str]) -> bool:
    """Return whether a method has no parameter for its object: none at all, or the hook's first."""
    if not inspect.ismethod(function):
        return False
    first = next(iter(inspect.signature(function.__func__).parameters), None)
    return first is None or first in known


def never_given(
    function: Callable[..., object], known: Collection[str] | None = None
) -> Iterator[str]:
    """Yield the parameters that pluggy leaves out: it gives only those without a default.

    So are those that are not among the arguments of the hook, if these are known.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                yield f"*{name}"
            case parameter.VAR_KEYWORD:
                yield f"**{name}"
            case parameter.KEYWORD_ONLY:
                yield f"{name} by keyword alone"
            case _ if parameter.default is not parameter.empty:
                yield f"{name} with a default"
            case _ if known is not None and name not in known:
                yield name


def _implemented_twice(candidate: Candidate, found: Iterable[Implemented]) -> Iterator[Problem]:
    seen: set[str] = set()
    for one in found:
        if one.hook in seen and one.hook in EXPECTED:
            yield candidate.problem(
                Code.HOOK_IMPLEMENTED_TWICE,
                f"it implements {one.hook} twice, and the core takes one result{one.place}",
                "Keep one of the two implementations.",
            )
        seen.add(one.hook)


def _unknown(
    manager: pluggy.PluginManager, candidate: Candidate, found: Iterable[Implemented]
) -> Iterator[Problem]:
    """Yield a problem for each implementation of a hook that nobody declares."""
    known = known_hooks(manager)
    for one in found:
        if one.hook in known:
            continue
        if one.is_optional:
            near = _resembled(manager, one.hook)
            hint = f"Did you mean {near}?"
        else:
            near = next(iter(difflib.get_close_matches(one.hook, known, n=1)), None)
            owner = _inactive_owner(manager, one.hook)
            first = f"Did you mean {near}? " if near else ""
            hint = (
                f"{owner or first}The hooks: {', '.join(sorted(known))}. "
                "A hook of a plugin that may be absent is implemented with "
                "@pegboard.hookimpl(optionalhook=True)."
            )
        if near or not one.is_optional:
            summary = f"it implements {one.hook}, which is no hook{one.place}"
            yield candidate.problem(Code.HOOK_UNKNOWN, summary, hint)


def _inactive_owner(manager: pluggy.PluginManager, hook: str) -> str:
    """Return what to do if an installed plugin that is not active has the hook, by its name."""
    active = {name for name, _ in manager.list_name_plugin()}
    for plugin in installed_plugins():
        if plugin.name not in active and hook.startswith(f"{PREFIX}{plugin.name}_"):
            return (
                f"It may be one of plugin {plugin.title}, which is not active: activate it, and "
                "require its distribution. "
            )
    return ""


def _resembled(manager: pluggy.PluginManager, name: str) -> str | None:
    """Return the hook of the core or of an active plugin that a name is a misspelling of.

    The names of plugins are compared by themselves: the hooks of two often end alike, and one of
    them may be absent.
    """
    plugins = [plugin for plugin, _ in manager.list_name_plugin()]
    given = name.removeprefix(PREFIX).split("_")
    found: list[tuple[float, str]] = []
    for hook in known_hooks(manager):
        part = hook.removeprefix(PREFIX)
        owners = [plugin for plugin in plugins if part.startswith(f"{plugin}_")]
        length = max((owner.count("_") + 1 for owner in owners), default=0)
        words = part.split("_")
        likeness = min(
            SequenceMatcher(None, "_".join(one), "_".join(other)).ratio()
            for one, other in ((given[:length], words[:length]), (given[length:], words[length:]))
        )
        found.append((likeness, hook))
    likeness, nearest = max(found)
    return nearest if likeness >= NEAR else None

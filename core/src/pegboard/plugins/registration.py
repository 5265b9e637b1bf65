"""Registering plugins with pluggy, and checking the hooks that they implement."""

import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pluggy

from pegboard.plugins.contributions import call_hook
from pegboard.plugins.core_names import advise
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.hooks import CoreHooks
from pegboard.plugins.markers import PROJECT, Implementation
from pegboard.plugins.objects import check_object
from pegboard.plugins.origin import describe_error, line_at_fault, locate_function
from pegboard.plugins.parties import Collision, titled
from pegboard.plugins.results import EXPECTED
from pegboard.problems import Code, Problem, StartupError
from pegboard.start_times import step


def register(
    manager: pluggy.PluginManager, candidate: Candidate, registered: Sequence[Candidate]
) -> tuple[Any, list[Problem | Collision]]:
    """Import a candidate and register it after others; return its object, and what went wrong.

    The object is None if its hooks cannot be looked at.
    """
    if candidate.fault is not None:
        hint = f"Install {candidate.label} anew, or remove what is left of it."
        return None, [candidate.problem(Code.PLUGIN_METADATA_INVALID, candidate.fault, hint)]
    try:
        with step("import", candidate.name):
            obj = candidate.load()
    except StartupError as error:
        line = line_at_fault(error, candidate.package)
        place = f", at {line}" if line else ""
        return None, [
            replace(candidate.adopt(one), summary=one.summary + place) for one in error.problems
        ]
    # Importing a plugin runs its code, which may fail in any way or end the process.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
        return None, [
            candidate.problem(
                Code.PLUGIN_IMPORT_FAILED,
                f"it cannot be imported: {describe_error(error, candidate.package)}",
                f"{_remedy(candidate, error)}, or disable the plugin (PEGBOARD_PLUGINS_DISABLED).",
            )
        ]
    if (problem := check_object(manager, candidate, obj)) is not None:
        return None, [problem]
    mistakes: list[Problem | Collision] = [*_wrong_arguments(manager, candidate, obj)]
    try:
        if not mistakes:
            manager.register(obj, candidate.name)
    except pluggy.PluginValidationError as error:
        if manager.has_plugin(candidate.name):  # older releases of pluggy keep half of it
            manager.unregister(name=candidate.name)
        mistakes.append(_wrong_declaration(candidate, error))
    except ValueError:
        name = manager.get_name(obj)
        other = next(one for one in registered if one.name == name)
        collision = Collision(
            Code.PLUGIN_REGISTERED_TWICE,
            later=candidate,
            earlier=other,
            later_summary=f"it is the same object as plugin {other.name}",
            earlier_summary=f"it is the same object as plugin {candidate.name}",
            change="Give each plugin a module of its own",
        )
        return None, [collision]
    return obj, mistakes


def _remedy(candidate: Candidate, error: BaseException) -> str:
    """Return what to do about an error of importing a plugin, without a full stop."""
    entry_point = candidate.entry_point
    place = line_at_fault(error, candidate.package)
    if advice := advise(error, candidate, place):
        return advice
    if entry_point is None:
        return f"Fix {place or candidate.package}"
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and f"{entry_point.module}.".startswith(f"{missing}."):
        return (
            f"Name in the entry point {candidate.name} a module that there is, in place of "
            f"{entry_point.module}"
        )
    return f"Fix {place or entry_point.value}"


def add_hookspecs(
    manager: pluggy.PluginManager,
    candidates: Iterable[Candidate],
    declared: list[tuple[str, Any]],
) -> Iterator[Problem | Collision]:
    """Add the hooks that plugins declare (`pegboard_hookspecs`); yield what goes wrong.

    Their names and functions are appended to `declared`. Of each hook pluggy refuses one
    implementation; `check_hooks` finds all with wrong arguments.
    """
    owners: dict[str, Candidate | None] = dict.fromkeys(known_hooks(manager))
    by_name = {candidate.name: candidate for candidate in candidates}
    refused: dict[str, pluggy.PluginValidationError] = {}
    for candidate in by_name.values():
        try:
            for specifications in call_hook(manager, candidate.name, "pegboard_hookspecs"):
                for name, specification in _declared(manager, specifications):
                    declared.append((name, specification))
                    if name in owners:
                        yield _same_hook(name, candidate, owners[name])
                        continue
                    owners[name] = candidate
                    try:
                        manager.add_hookspecs(type(name, (), {name: staticmethod(specification)}))
                    except pluggy.PluginValidationError as error:
                        refused.setdefault(str(manager.get_name(error.plugin)), error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - code of a plugin may fail in any way
            yield candidate.problem(
                Code.HOOK_SPECIFICATIONS_INVALID,
                f"pegboard_hookspecs failed: {describe_error(error, candidate.package)}",
                "Return a module or class whose functions are marked with pegboard.hookspec.",
            )
    for name, refusal in refused.items():
        if not any(_wrong_arguments(manager, by_name[name], refusal.plugin)):
            yield _wrong_declaration(by_name[name], refusal)


def known_hooks(manager: pluggy.PluginManager) -> list[str]:
    """Return the names of the hooks that the core and the plugins declare."""
    return [name for name, caller in vars(manager.hook).items() if getattr(caller, "spec", None)]


def _declared(manager: pluggy.PluginManager, specifications: Any) -> list[tuple[str, Any]]:
    """Return the hooks that a module or class declares; raises `ValueError` if there are none."""
    found = [
        (name, getattr(specifications, name))
        for name in dir(specifications)
        if manager.parse_hookspec_opts(specifications, name) is not None
    ]
    if not found:
        message = f"did not find any {PROJECT!r} hooks in {specifications!r}"
        raise ValueError(message)
    return found


def _same_hook(name: str, later: Candidate, earlier: Candidate | None) -> Collision:
    return Collision(
        Code.COLLISION_HOOK,
        later,
        earlier,
        later_summary=f"hook {name} belongs to {titled(earlier)} {'too' if earlier else 'already'}",
        earlier_summary=f"hook {name} belongs to {titled(later)} too",
    )


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
    yield from _wrong_arguments(manager, candidate, obj)
    known = known_hooks(manager)
    requires = candidate.distribution.requires if candidate.distribution else {}
    is_sure = not any(
        one.distribution and one.distribution.canonical_name in requires for one in failed
    )
    implemented: set[str] = set()
    for name in dir(obj):
        options = manager.parse_hookimpl_opts(obj, name)
        if options is None:
            # Only the name of a hook is looked at: another may be a proxy such as `current_app`.
            # Only what `pegboard_hookspecs` returns declares a hook, and none of the core's.
            if isinstance(inspect.getattr_static(obj, name, None), Implementation):
                yield _marks_nothing(candidate, obj, name)
            elif name in known and (
                hasattr(CoreHooks, name) or (name, getattr(obj, name)) not in declared
            ):
                yield _not_marked(manager, candidate, obj, name)
            continue
        hook = options.get("specname") or name
        if hook in implemented and hook in EXPECTED:
            yield candidate.problem(
                Code.HOOK_IMPLEMENTED_TWICE,
                f"it implements {hook} twice, and the core takes one result",
                "Keep one of the two implementations.",
            )
        implemented.add(hook)
        if hook in known or options.get("optionalhook") or not is_sure:
            continue
        near = difflib.get_close_matches(hook, known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        yield candidate.problem(
            Code.HOOK_UNKNOWN,
            f"it implements {hook}, which is no hook{locate_function(getattr(obj, name))}",
            f"{hint}The hooks: {', '.join(sorted(known))}. A hook of a plugin that may be absent "
            "is implemented with @pegboard.hookimpl(optionalhook=True).",
        )


def _not_marked(
    manager: pluggy.PluginManager, candidate: Candidate, obj: Any, name: str
) -> Problem:
    state = "is not marked as an implementation"
    hint = "Put @pegboard.hookimpl above it."
    if manager.parse_hookspec_opts(obj, name) is not None:
        state = "is marked as the declaration of one"
        hint = "Put @pegboard.hookimpl above it, in place of @pegboard.hookspec."
    place = locate_function(getattr(obj, name))
    summary = f"{name} has the name of a hook, but {state}{place}"
    return candidate.problem(Code.HOOK_NOT_MARKED, summary, hint)


def _marks_nothing(candidate: Candidate, obj: Any, name: str) -> Problem:
    hook = inspect.getattr_static(obj, name).hook
    return candidate.problem(
        Code.HOOK_NOT_MARKED,
        f"{name} is what marks an implementation of {hook}, and marks no function",
        f"Put it above the function: @pegboard.hookimpl(...), with the declaration of {hook}.",
    )


def _wrong_arguments(
    manager: pluggy.PluginManager, candidate: Candidate, obj: Any
) -> Iterator[Problem]:
    """Yield a problem for each hook that takes an argument which its declaration does not have."""
    for name in dir(obj):
        options = manager.parse_hookimpl_opts(obj, name)
        if options is None:
            continue
        hook = options.get("specname") or name
        specification = getattr(getattr(manager.hook, hook, None), "spec", None)
        if specification is None:
            continue
        known, function = specification.argnames, getattr(obj, name)
        if _lacks_self(function, known):
            yield candidate.problem(
                Code.HOOK_ARGUMENTS_INVALID,
                f"{hook} is a method of {type(obj).__name__} without self"
                f"{locate_function(function)}",
                "Put self before its arguments, or @staticmethod above @pegboard.hookimpl.",
            )
            continue
        wrong = [one for one in _required(function) if one not in known]
        if wrong:
            yield candidate.problem(
                Code.HOOK_ARGUMENTS_INVALID,
                f"{hook} takes {', '.join(wrong)}, which the hook does not give"
                f"{locate_function(function)}",
                f"Its arguments are {', '.join(known)}; take these or fewer."
                if known
                else "The hook has no arguments; take none.",
            )


def _lacks_self(function: Callable[..., object], known: Collection[str]) -> bool:
    """Return whether a method has no parameter for its object: none at all, or the hook's first."""
    if not inspect.ismethod(function):
        return False
    first = next(iter(inspect.signature(function.__func__).parameters), None)
    return first is None or first in known


def _required(function: Callable[..., object]) -> Iterator[str]:
    """Yield the arguments that a function cannot be called without."""
    for name, parameter in inspect.signature(function).parameters.items():
        is_variadic = parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        if not is_variadic and parameter.default is parameter.empty:
            yield name


def _wrong_declaration(candidate: Candidate, error: Exception) -> Problem:
    return candidate.problem(
        Code.HOOK_ARGUMENTS_INVALID,
        f"a hook is declared wrongly: {' '.join(str(error).split())}",
        "Declare it as the hook's reference does.",
    )

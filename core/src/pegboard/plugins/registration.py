"""Registering plugins with pluggy, and checking the hooks that they implement."""

import difflib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pluggy

from pegboard.plugins.contributions import call_hook
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.objects import check_object
from pegboard.plugins.origin import describe_error
from pegboard.plugins.parties import Collision, titled
from pegboard.plugins.results import EXPECTED
from pegboard.problems import Code, Problem


def register(
    manager: pluggy.PluginManager, candidate: Candidate, registered: Sequence[Candidate]
) -> list[Problem | Collision]:
    """Import a candidate and register it after others; return what went wrong."""
    if candidate.fault is not None:
        hint = f"Install {candidate.label} anew, or remove what is left of it."
        return [candidate.problem(Code.PLUGIN_METADATA_INVALID, candidate.fault, hint)]
    try:
        obj = candidate.load()
    # Importing a plugin runs its code, which may fail in any way or end the process.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
        where = candidate.entry_point.value if candidate.entry_point else candidate.package
        return [
            candidate.problem(
                Code.PLUGIN_IMPORT_FAILED,
                f"it cannot be imported: {describe_error(error, candidate.package)}",
                f"Fix {where}, or disable the plugin (PEGBOARD_PLUGINS_DISABLED).",
            )
        ]
    if (problem := check_object(manager, candidate, obj)) is not None:
        return [problem]
    try:
        manager.register(obj, candidate.name)
    except pluggy.PluginValidationError as error:
        return [*_wrong_arguments(manager, candidate, obj, error)]
    except ValueError:
        name = manager.get_name(obj)
        other = next(one for one in registered if one.name == name)
        summary, mirrored = (
            f"it is the same object as plugin {one.name}" for one in (other, candidate)
        )
        change = "Give each plugin a module of its own"
        code = Code.PLUGIN_REGISTERED_TWICE
        return [Collision(code, candidate, other, summary, mirrored, change)]
    return []


def add_hookspecs(
    manager: pluggy.PluginManager, candidates: Iterable[Candidate]
) -> Iterator[Problem | Collision]:
    """Add the hooks that plugins declare (`pegboard_hookspecs`); yield what goes wrong."""
    by_name = {candidate.name: candidate for candidate in candidates}
    owners: dict[str, Candidate | None] = dict.fromkeys(known_hooks(manager))
    refused: dict[str, pluggy.PluginValidationError] = {}
    for candidate in by_name.values():
        try:
            for specifications in call_hook(manager, candidate.name, "pegboard_hookspecs"):
                declared = _declared(manager, specifications)
                if not declared:
                    manager.add_hookspecs(specifications)  # raises what is wrong
                for name in declared:
                    if name in owners:
                        yield _same_hook(name, candidate, owners[name])
                        continue
                    owners[name] = candidate
                    _add_hookspec(manager, specifications, name, refused)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - code of a plugin may fail in any way
            yield candidate.problem(
                Code.HOOK_SPECIFICATIONS_INVALID,
                f"pegboard_hookspecs failed: {describe_error(error, candidate.package)}",
                "Return a module or class whose functions are marked with pegboard.hookspec.",
            )
    for candidate in by_name.values():
        yield from _wrong_arguments(
            manager, candidate, manager.get_plugin(candidate.name), refused.get(candidate.name)
        )


def _add_hookspec(
    manager: pluggy.PluginManager,
    specifications: Any,
    name: str,
    refused: dict[str, pluggy.PluginValidationError],
) -> None:
    """Add one hook; what pluggy refuses of a plugin's implementations is put into `refused`.

    pluggy would leave out the hooks after the first whose implementation it refuses.
    """
    try:
        alone: Any = SimpleNamespace(**{name: getattr(specifications, name)})
        manager.add_hookspecs(alone)
    except pluggy.PluginValidationError as error:
        refused[str(manager.get_name(error.plugin))] = error


def known_hooks(manager: pluggy.PluginManager) -> list[str]:
    """Return the names of the hooks that the core and the plugins declare."""
    return [name for name, caller in vars(manager.hook).items() if getattr(caller, "spec", None)]


def _declared(manager: pluggy.PluginManager, specifications: Any) -> list[str]:
    return [
        name
        for name in dir(specifications)
        if manager.parse_hookspec_opts(specifications, name) is not None
    ]


def _same_hook(name: str, later: Candidate, earlier: Candidate | None) -> Collision:
    return Collision(
        Code.COLLISION_HOOK,
        later,
        earlier,
        f"hook {name} belongs to {titled(earlier)} already",
        f"hook {name} belongs to {titled(later)} too",
    )


def check_hooks(manager: pluggy.PluginManager, candidate: Candidate) -> Iterator[Problem]:
    """Yield a problem for each unknown hook it implements, and each hook without the marker."""
    known = known_hooks(manager)
    obj: Any = manager.get_plugin(candidate.name)
    implemented: set[str] = set()
    for name in dir(obj):
        options = manager.parse_hookimpl_opts(obj, name)
        if options is None:
            # Only the name of a hook is looked at: another may be a proxy such as `current_app`.
            if name in known and manager.parse_hookspec_opts(obj, name) is None:
                yield candidate.problem(
                    Code.HOOK_NOT_MARKED,
                    f"{name} has the name of a hook, but is not marked as an implementation",
                    "Put @pegboard.hookimpl above it.",
                )
            continue
        hook = options.get("specname") or name
        if hook in implemented and hook in EXPECTED:
            yield candidate.problem(
                Code.HOOK_IMPLEMENTED_TWICE,
                f"it implements {hook} twice, and the core takes one result",
                "Keep one of the two implementations.",
            )
        implemented.add(hook)
        if hook in known or options.get("optionalhook"):
            continue
        near = difflib.get_close_matches(hook, known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        yield candidate.problem(
            Code.HOOK_UNKNOWN,
            f"it implements {hook}, which is no hook",
            f"{hint}The hooks: {', '.join(sorted(known))}. A hook of a plugin that may be absent "
            "is implemented with @pegboard.hookimpl(optionalhook=True).",
        )


def _wrong_arguments(
    manager: pluggy.PluginManager, candidate: Candidate, obj: Any, error: Exception | None
) -> Iterator[Problem]:
    """Yield a problem for each hook that takes an argument which its declaration does not have.

    If that does not explain the `error` of pluggy, yield a problem with its text.
    """
    is_explained = False
    for name in dir(obj):
        options = manager.parse_hookimpl_opts(obj, name)
        if options is None:
            continue
        hook = options.get("specname") or name
        specification = getattr(getattr(manager.hook, hook, None), "spec", None)
        if specification is None:
            continue
        known = specification.argnames
        wrong = [
            one for one in inspect.signature(getattr(obj, name)).parameters if one not in known
        ]
        if wrong:
            is_explained = True
            yield candidate.problem(
                Code.HOOK_ARGUMENTS_INVALID,
                f"{hook} takes {', '.join(wrong)}, which the hook does not give",
                f"Its arguments are {', '.join(known)}; take these or fewer."
                if known
                else "The hook has no arguments; take none.",
            )
    if error is not None and not is_explained:
        yield candidate.problem(
            Code.HOOK_ARGUMENTS_INVALID,
            f"a hook is declared wrongly: {' '.join(str(error).split())}",
            "Declare it as the hook's reference does.",
        )

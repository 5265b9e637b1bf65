"""Registering plugins with pluggy, and checking the hooks that they implement."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import pluggy

from pegboard.plugins.contributions import call_hook
from pegboard.plugins.discovery import Candidate
from pegboard.problems import Code, Problem


def register(manager: pluggy.PluginManager, candidate: Candidate) -> list[Problem]:
    """Import a candidate and register it; return what went wrong."""
    try:
        obj = candidate.load()
    # Importing a plugin runs its code, which may fail in any way or end the process.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
        where = candidate.entry_point.value if candidate.entry_point else candidate.package
        return [
            candidate.problem(
                Code.PLUGIN_IMPORT_FAILED,
                f"it cannot be imported: {type(error).__name__}: {error}",
                f"Fix {where}, or disable the plugin (PEGBOARD_PLUGINS_DISABLED).",
            )
        ]
    try:
        manager.register(obj, candidate.name)
    except pluggy.PluginValidationError as error:
        return [_wrong_arguments(candidate, error)]
    except ValueError:
        summary = f"it is the same object as plugin {manager.get_name(obj)}"
        hint = "Give each plugin a module of its own, or disable one of the two."
        return [candidate.problem(Code.PLUGIN_REGISTERED_TWICE, summary, hint)]
    return []


def add_hookspecs(manager: pluggy.PluginManager, candidates: Iterable[Candidate]) -> list[Problem]:
    """Add the hooks that plugins declare (`pegboard_hookspecs`); return what went wrong."""
    problems = []
    by_name = {candidate.name: candidate for candidate in candidates}
    for candidate in by_name.values():
        try:
            for specifications in call_hook(manager, candidate.name, "pegboard_hookspecs"):
                manager.add_hookspecs(specifications)
        except pluggy.PluginValidationError as error:
            offender = by_name.get(str(manager.get_name(error.plugin)), candidate)
            problems.append(_wrong_arguments(offender, error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - code of a plugin may fail in any way
            problems.append(
                candidate.problem(
                    Code.HOOK_SPECIFICATIONS_INVALID,
                    f"pegboard_hookspecs failed: {type(error).__name__}: {error}",
                    "Return a module or class whose functions are marked with pegboard.hookspec, "
                    "none of which another plugin declares already.",
                )
            )
    return problems


def check_hooks(manager: pluggy.PluginManager, candidate: Candidate) -> Iterator[Problem]:
    """Yield a problem for each unknown hook it implements, and each hook without the marker."""
    known = [name for name, caller in vars(manager.hook).items() if getattr(caller, "spec", None)]
    obj: Any = manager.get_plugin(candidate.name)
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


def _wrong_arguments(candidate: Candidate, error: pluggy.PluginValidationError) -> Problem:
    sentence = " ".join(str(error).split())
    return candidate.problem(
        Code.HOOK_ARGUMENTS_INVALID,
        f"a hook has the wrong arguments: {sentence}",
        "Take the arguments that the hook's reference names, or fewer.",
    )

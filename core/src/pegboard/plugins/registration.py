"""Registering plugins, and the hooks that they declare, with pluggy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pluggy

from pegboard.plugins.contributions import call_hook, place_of
from pegboard.plugins.core_names import advise
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.implementations import (
    find_wrong_arguments,
    implementations_of,
    known_hooks,
    never_given,
)
from pegboard.plugins.markers import PROJECT
from pegboard.plugins.objects import check_object
from pegboard.plugins.origin import (
    describe_error,
    join_places,
    line_at_fault,
    locate_error,
    locate_function,
)
from pegboard.plugins.parties import Collision, titled
from pegboard.problems import Code, Problem, StartupError
from pegboard.start_times import step


class _Owner(NamedTuple):
    """Who declares a hook, and where; None is the core."""

    plugin: Candidate | None
    place: str


def register(
    manager: pluggy.PluginManager, candidate: Candidate, registered: Sequence[Candidate]
) -> tuple[Any, list[Problem | Collision]]:
    """Import a candidate and register it after others; return its object, and what went wrong.

    The object is None if its hooks cannot be looked at.
    """
    obj, problems = _load(candidate)
    if problems:
        return None, problems
    if (problem := check_object(manager, candidate, obj)) is not None:
        return None, [problem]
    mistakes: list[Problem | Collision] = [
        *find_wrong_arguments(manager, candidate, implementations_of(manager, obj))
    ]
    try:
        if not mistakes:
            manager.register(obj, candidate.name)
    except pluggy.PluginValidationError as error:
        if manager.has_plugin(candidate.name):  # older releases of pluggy keep half of it
            manager.unregister(name=candidate.name)
        mistakes.append(_wrong_mark(manager, candidate, obj, error))
    except ValueError:
        name = manager.get_name(obj)
        return None, [_same_object(candidate, next(one for one in registered if one.name == name))]
    return obj, mistakes


def _load(candidate: Candidate) -> tuple[object, list[Problem | Collision]]:
    """Import a candidate; return its object, and why it cannot be imported."""
    if candidate.fault is not None:
        hint = (
            f"Install {candidate.label} anew, or remove what is left of it; if its wheel is so, "
            "its author corrects pyproject.toml."
        )
        return None, [candidate.problem(Code.PLUGIN_METADATA_INVALID, candidate.fault, hint)]
    try:
        with step("import", candidate.name):
            return candidate.load(), []
    except StartupError as error:
        line = line_at_fault(error, candidate.package)
        place = f", at {line}" if line else ""
        return None, [
            replace(candidate.adopt(one), summary=one.summary + place) for one in error.problems
        ]
    except KeyboardInterrupt:
        raise
    # Importing a plugin runs its code, which may fail in any way or end the process.
    except BaseException as error:  # noqa: BLE001 - as above
        return None, [
            candidate.problem(
                Code.PLUGIN_IMPORT_FAILED,
                f"it cannot be imported: {describe_error(error, candidate.package)}",
                f"{_remedy(candidate, error)}, or disable the plugin (PEGBOARD_PLUGINS_DISABLED).",
            )
        ]


def _same_object(later: Candidate, earlier: Candidate) -> Collision:
    return Collision(
        Code.PLUGIN_REGISTERED_TWICE,
        later,
        earlier,
        later_summary=f"it is the same object as plugin {earlier.name}",
        earlier_summary=f"it is the same object as plugin {later.name}",
        change="Give each plugin a module of its own",
    )


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
    owners: dict[str, _Owner] = dict.fromkeys(known_hooks(manager), _Owner(None, ""))
    by_name = {candidate.name: candidate for candidate in candidates}
    refused: dict[str, pluggy.PluginValidationError] = {}
    for candidate in by_name.values():
        try:
            for specifications in call_hook(manager, candidate.name, "pegboard_hookspecs"):
                for name, specification in _declared(manager, specifications):
                    declared.append((name, specification))
                    if (mistake := _wrong_name(name, specification, candidate, owners)) is not None:
                        yield mistake
                        continue
                    owners[name] = _Owner(candidate, locate_function(specification))
                    yield from _unusable_arguments(name, specification, candidate)
                    try:
                        manager.add_hookspecs(type(name, (), {name: staticmethod(specification)}))
                    except pluggy.PluginValidationError as error:
                        refused.setdefault(str(manager.get_name(error.plugin)), error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - code of a plugin may fail in any way
            yield _unreadable(manager, candidate, error)
    for name, refusal in refused.items():
        plugin = by_name[name]
        marked = implementations_of(manager, refusal.plugin)
        if not any(find_wrong_arguments(manager, plugin, marked)):
            yield _wrong_mark(manager, plugin, refusal.plugin, refusal)


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


def _unreadable(
    manager: pluggy.PluginManager, candidate: Candidate, error: BaseException
) -> Problem:
    place = ""
    if not locate_error(error, candidate.package):
        place = place_of(manager, candidate.name, "pegboard_hookspecs")
    return candidate.problem(
        Code.HOOK_SPECIFICATIONS_INVALID,
        f"pegboard_hookspecs failed: {describe_error(error, candidate.package)}{place}",
        "Return a module or class whose functions are marked with pegboard.hookspec.",
    )


def _wrong_name(
    name: str, specification: Any, candidate: Candidate, owners: Mapping[str, _Owner]
) -> Problem | Collision | None:
    """Return what is wrong with the name of a hook: it is taken, or lacks the plugin's prefix."""
    place = locate_function(specification)
    # A module that is given to `create_app` may be named after a package such as pegboard_shop.
    prefix = f"{PROJECT}_{candidate.name.removeprefix(f'{PROJECT}_')}_"
    has_prefix = name.startswith((prefix, f"{PROJECT}_{candidate.name}_"))
    owner = owners.get(name)
    if owner is not None and (owner.plugin is None or has_prefix):
        return _same_hook(name, candidate, place, owner)
    if has_prefix:
        return None
    return candidate.problem(
        Code.HOOK_SPECIFICATIONS_INVALID,
        f"its hook {name} has not the prefix {prefix}{place}",
        f"Begin its name with {prefix}, which no hook of another plugin has.",
    )


def _unusable_arguments(name: str, specification: Any, candidate: Candidate) -> Iterator[Problem]:
    if wrong := [*never_given(specification)]:
        yield candidate.problem(
            Code.HOOK_SPECIFICATIONS_INVALID,
            f"its hook {name} has {', '.join(wrong)}, which no implementation can take"
            f"{locate_function(specification)}",
            "Declare its arguments without *, ** and defaults.",
        )


def _same_hook(name: str, later: Candidate, place: str, other: _Owner) -> Collision:
    earlier = other.plugin
    return Collision(
        Code.COLLISION_HOOK,
        later,
        earlier,
        later_summary=f"hook {name} belongs to {titled(earlier)} {'too' if earlier else 'already'}",
        earlier_summary=f"hook {name} belongs to {titled(later)} too",
        later_place=place,
        earlier_place=other.place,
    )


def _wrong_mark(
    manager: pluggy.PluginManager, candidate: Candidate, obj: Any, error: Exception
) -> Problem:
    """Return the problem of an implementation that pluggy refuses, for another reason than these.

    Its message names the plugin and the hook in the first lines.
    """
    text = str(error)
    found = [one for one in implementations_of(manager, obj) if f"hook {one.hook!r}" in text]
    hook = found[0].hook if found else "an implementation"
    reason = text.splitlines()[-1].removeprefix(f"hook {hook!r}").strip()
    place = join_places(one.place for one in found)
    return candidate.problem(
        Code.HOOK_ARGUMENTS_INVALID,
        f"{hook} is marked wrongly: {reason}{place}",
        "Correct the options of the mark above it, or write the function as they demand.",
    )

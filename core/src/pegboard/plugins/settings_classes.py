"""What is wrong with the class in which a plugin declares its settings."""

import inspect
import typing
from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.origin import locate_class
from pegboard.problems import Code, Problem
from pegboard.settings import Declaration, Settings, declarations_of, is_readable

_TYPES = (
    "Write it as str, int, float or bool, as tuple[T, ...] or dict[str, T] of one of these, or any "
    "of them | None; make of the value what it stands for where it is used."
)


def find_unreadable_settings(candidate: Candidate, settings: type[Settings]) -> Iterator[Problem]:
    """Yield a problem for a class whose annotations cannot be evaluated."""
    try:
        declarations_of(settings, candidate.name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - evaluating annotations runs code of the plugin
        place = locate_class(settings, _unresolved(settings))
        summary = f"its settings cannot be read: {type(error).__name__}: {error}{place}"
        hint = "Fix the annotations of its Settings class."
        yield candidate.problem(Code.SETTINGS_CLASS_INVALID, summary, hint)


def find_wrong_types(candidate: Candidate, settings: type[Settings]) -> Iterator[Problem]:
    """Yield a problem for each setting whose type none can have."""
    for one in declarations_of(settings, candidate.name):
        if not is_readable(one.annotation):
            yield candidate.problem(
                Code.SETTINGS_CLASS_INVALID,
                f"its setting {one.field} of {settings.__qualname__} is of the type "
                f"{inspect.formatannotation(one.annotation)}, which no setting can be of"
                f"{locate_class(settings, one.field)}",
                _TYPES,
            )


def find_wrong_formers(candidate: Candidate, settings: type[Settings]) -> Iterator[Problem]:
    """Yield a problem for each setting with a former name that is none, or that goes too early."""
    for one in declarations_of(settings, candidate.name):
        if one.former is not None and (wrong := _wrong_former(candidate, one)):
            text, hint = wrong
            yield candidate.problem(
                Code.SETTINGS_CLASS_INVALID,
                f"its setting {one.field} of {settings.__qualname__} {text}"
                f"{locate_class(settings, one.field)}",
                hint,
            )


def _wrong_former(candidate: Candidate, setting: Declaration) -> tuple[str, str] | None:
    """Return what is wrong with what a setting was called, and what to do."""
    former = setting.former.key if setting.former else ""
    if former == setting.key:
        return "has its own name as the former one", "Write the former name, or remove formerly=."
    if not former.isidentifier():
        return (
            f"was formerly {former}, which no setting can be called",
            "Write the name that the field had.",
        )
    try:
        gone_in = Version(setting.gone_in)
    except InvalidVersion:
        return (
            f"has a former name that goes in {setting.gone_in!r}, which is no version",
            "Write the version of the distribution in which the former name goes, as in '2.0'.",
        )
    current = candidate.distribution.version if candidate.distribution else None
    if current is not None and gone_in <= Version(current):
        return (
            f"has a former name that goes in {setting.gone_in}, and this is {current}",
            "Remove formerly=, or write a later version.",
        )
    return None


def _unresolved(settings: type[Settings]) -> str:
    """Return the first field whose annotation cannot be evaluated; empty if none is found."""
    for name, annotation in inspect.get_annotations(settings).items():
        body = {"__annotations__": {name: annotation}, "__module__": settings.__module__}
        try:
            typing.get_type_hints(type(settings.__name__, (), body))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - as above
            return name
    return ""

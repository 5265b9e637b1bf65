"""What is wrong with the class in which a plugin declares its settings."""

import inspect
import typing
from collections.abc import Iterator

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.origin import locate_class
from pegboard.problems import Code, Problem
from pegboard.settings import Settings, declarations_of, is_readable

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

"""Deprecating public names, arguments, hooks and settings, for the core and for plugins.

What is deprecated works as before for one minor release, and warns: with the plugin that uses it,
what to use in its place, and the version in which it goes. Tests see a `DeprecationWarning`,
operators a line in the log, once for each use.
"""

import functools
import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Deprecation", "deprecated", "deprecated_hook", "moved_names", "renamed_argument"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_HOOK = "pegboard_deprecations"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deprecation:
    """What takes the place of something that is deprecated, and until when that works."""

    instead: str
    """What to use: a name, of something that has moved with its module."""
    gone_in: str
    """The version in which the former goes: one minor release after the one that deprecates it."""


class Place(NamedTuple):
    """A line of the code that uses something."""

    module: str
    file: str
    line: int


def deprecated(instead: str, gone_in: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Deprecate a function or method: each call warns; the arguments are those of `Deprecation`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        what = f"{function.__module__}.{function.__qualname__}"

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            warn(what, Deprecation(instead, gone_in))
            return function(*args, **kwargs)

        return call

    return decorate


def renamed_argument(
    former: str, name: str, gone_in: str
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take a keyword argument by its former name, too, which warns.

    A call that gives both raises `TypeError`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if former in kwargs:
                if name in kwargs:
                    message = f"{function.__qualname__}() got {former}, the former name of {name}"
                    raise TypeError(message)
                what = f"the argument {former} of {function.__module__}.{function.__qualname__}"
                warn(what, Deprecation(name, gone_in))
                kwargs[name] = kwargs.pop(former)
            return function(*args, **kwargs)

        return call

    return decorate


def moved_names(module: str, names: Mapping[str, Deprecation]) -> Callable[[str], Any]:
    """Return a `__getattr__` for a module whose names have moved to others.

    ::

        __getattr__ = moved_names(__name__, {"Tool": Deprecation("shop.tools.Tool", "2.0")})

    Type checkers do not see the names; what else the module lacks raises `AttributeError`.
    """

    def find(name: str) -> Any:
        if name not in names:
            message = f"module {module!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules.get(module))
        warn(f"{module}.{name}", names[name])
        place, _, new = names[name].instead.rpartition(".")
        return getattr(import_module(place), new)

    return find


def deprecated_hook(instead: str, gone_in: str, *, argument: str | None = None) -> Callable[[F], F]:
    """Deprecate a hook, or one argument of it, in its declaration; stands below `hookspec`.

    An app whose plugin implements the hook, or takes that argument, warns when it is built. The
    hook is called as before.
    """

    def mark(function: F) -> F:
        marks: dict[str | None, Deprecation] = {**deprecations_of(function)}
        setattr(function, _HOOK, {**marks, argument: Deprecation(instead, gone_in)})
        return function

    return mark


def deprecations_of(hook: object) -> Mapping[str | None, Deprecation]:
    """Return the deprecated arguments of a hook's declaration; None stands for the hook itself."""
    found: Mapping[str | None, Deprecation] = getattr(hook, _HOOK, {})
    return found


def warn(
    what: str,
    deprecation: Deprecation,
    *,
    user: str | None = None,
    place: Place | None = None,
) -> None:
    """Warn that something deprecated is used.

    `user` is who uses it, and `place` where; by default the plugin whose code is being run.
    """
    found = place or _calling()
    message = (
        f"{user or _title(found.module)} uses {what}, which is deprecated and goes in "
        f"{deprecation.gone_in}: use {deprecation.instead}"
    )
    _log(message)
    registry = sys.modules[found.module].__dict__ if found.module in sys.modules else {}
    warnings.warn_explicit(
        message,
        DeprecationWarning,
        found.file,
        found.line,
        found.module,
        registry.setdefault("__warningregistry__", {}),
    )


def _calling() -> Place:
    """Return the line outside of the core that is being run, the innermost."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in {"pegboard", "importlib", "functools"}:
            return Place(module, frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return Place(__name__, __file__, 1)


@functools.cache
def _title(module: str) -> str:
    """Return the plugin that a module belongs to, with its distribution; else the module."""
    package = module.partition(".")[0]
    for distribution in distributions():
        try:
            for entry in distribution.entry_points.select(group="pegboard.plugins"):
                if entry.module.partition(".")[0] == package:
                    label = f"{distribution.metadata['Name']} {distribution.version}"
                    return f"plugin {entry.name} ({label})"
        except Exception:  # noqa: BLE001, S112 - what broken metadata leads to differs between releases
            continue
    return module


@functools.lru_cache(maxsize=1000)
def _log(message: str) -> None:
    logger.warning("%s", message)

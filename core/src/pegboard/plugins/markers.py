"""The decorators that declare and implement hooks, which type checkers can compare.

Both are pluggy's, with more: an implementation may name the declaration that it is checked against,
and the plugins before and after which it is called.
"""

import inspect
from collections.abc import Callable, Collection
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

import pluggy
from flask import Flask

PROJECT = "pegboard"

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)
_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

PROVIDES = "pegboard_provides"
"""The hook whose implementations are marked with the interface of what they return."""

_SPEC = f"{PROJECT}_spec"
_IMPL = f"{PROJECT}_impl"
_OPTIONS = {*pluggy.HookimplOpts.__annotations__}
"""The options of pluggy."""


class Hook(Protocol[_P, _R_co]):
    """The declaration of a hook, as type checkers see it; when it runs it is a plain function."""

    @property
    def pegboard_spec(self) -> Any:
        """The options of pluggy; no other function has any."""

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Do nothing: what runs are the implementations."""


class Implementation(Generic[_P, _R]):
    """Marks a function as the implementation of one hook, whose arguments and result it has."""

    def __init__(self, hook: str, mark: Callable[[Any], Any]) -> None:
        self.hook = hook
        """The name of the hook."""
        self._mark = mark

    @overload
    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]: ...

    @overload
    def __call__(self, function: Callable[[], _R]) -> Callable[[], _R]: ...

    def __call__(self, function: Any) -> Any:
        """Mark the function, and return it."""
        return self._mark(function)


class MethodImplementation(Generic[_P, _R]):
    """Marks a method as `Implementation` marks a function."""

    def __init__(self, mark: Callable[[Any], Any]) -> None:
        self._mark = mark

    def __call__(
        self, function: Callable[Concatenate[Any, _P], _R]
    ) -> Callable[Concatenate[Any, _P], _R]:
        """Mark the method, and return it."""
        return cast("Callable[Concatenate[Any, _P], _R]", self._mark(function))


class Provider(Generic[_T]):
    """Marks a function or a method as what makes the service that has an interface."""

    def __init__(self, mark: Callable[[Any], Any]) -> None:
        self._mark = mark

    @overload
    def __call__(self, function: Callable[[Flask], _T]) -> Callable[[Flask], _T]: ...

    @overload
    def __call__(self, function: Callable[[Any, Flask], _T]) -> Callable[[Any, Flask], _T]: ...

    @overload
    def __call__(self, function: Callable[[], _T]) -> Callable[[], _T]: ...

    def __call__(self, function: Any) -> Any:
        """Mark the function, and return it."""
        return self._mark(function)


class HookspecMarker:
    """Marks the declaration of a hook."""

    @overload
    def __call__(self, function: Callable[_P, _R], /) -> Hook[_P, _R]: ...

    @overload
    def __call__(
        self, *, firstresult: bool = ..., historic: bool = ..., warn_on_impl: Warning | None = ...
    ) -> Callable[[Callable[_P, _R]], Hook[_P, _R]]: ...

    def __call__(self, *function: Any, **options: Any) -> Any:
        """Mark a function, or return what does so with options of pluggy."""
        if function and not inspect.isroutine(function[0]):
            message = (
                f"hookspec is given {function[0]!r}, which is no function: write @pegboard.hookspec"
            )
            raise TypeError(message)
        return pluggy.HookspecMarker(PROJECT)(*function, **options)


class HookimplMarker:
    """Marks the implementation of a hook."""

    @overload
    def __call__(
        self,
        hook: Hook[_P, _R],
        /,
        *,
        before: str | Collection[str] = ...,
        after: str | Collection[str] = ...,
        optionalhook: bool = ...,
        tryfirst: bool = ...,
        trylast: bool = ...,
    ) -> Implementation[_P, _R]: ...

    @overload
    def __call__(self, function: _F, /) -> _F: ...

    @overload
    def __call__(
        self,
        *,
        before: str | Collection[str] = ...,
        after: str | Collection[str] = ...,
        optionalhook: bool = ...,
        tryfirst: bool = ...,
        trylast: bool = ...,
        wrapper: bool = ...,
        hookwrapper: bool = ...,
        specname: str | None = ...,
    ) -> Callable[[_F], _F]: ...

    def __call__(self, *given: Any, **options: Any) -> Any:
        """Mark a function; or return what does so, for one hook or with options."""
        if not given:
            return _marking(options)
        (function,) = given
        if hasattr(function, _SPEC):
            name = str(function.__name__)
            return Implementation(name, _marking({**options, "specname": name}))
        return _marking(options)(function)

    def method(
        self,
        hook: Hook[_P, _R],
        /,
        *,
        before: str | Collection[str] = (),
        after: str | Collection[str] = (),
        optionalhook: bool = False,
    ) -> MethodImplementation[_P, _R]:
        """Return what marks a method of a plugin's class as the implementation of a hook."""
        if not hasattr(hook, _SPEC):
            message = (
                f"hookimpl.method is given {hook!r}, which is no declaration of a hook: write "
                "@pegboard.hookimpl.method(pegboard.hookspec.pegboard_setup)"
            )
            raise TypeError(message)
        name = str(getattr(hook, "__name__", ""))
        options = {"before": before, "after": after, "optionalhook": optionalhook}
        return MethodImplementation(_marking({**options, "specname": name}))

    def provides(self, interface: Callable[..., _T], /) -> Provider[_T]:
        """Return what marks a function of a plugin that makes a service from the app.

        `interface` is a class, as a `Protocol`, that says what other plugins may do with it. Raises
        `TypeError` for what is no class.
        """
        if not isinstance(interface, type):
            message = f"hookimpl.provides is given {interface!r}, which is no class"
            raise TypeError(message)
        return Provider(_marking({"specname": PROVIDES}, interface=interface))


def _marking(options: dict[str, Any], **more: Any) -> Callable[[Any], Any]:
    """Return what marks a function with options of pluggy, and with those that are the core's."""
    more |= {key: _names(key, options.pop(key, ())) for key in ("before", "after")}
    if both := [name for name in more["before"] if name in more["after"]]:
        message = (
            f"hookimpl is given {both[0]!r} in before= and in after=: write each plugin in one of "
            "the two"
        )
        raise TypeError(message)
    if not isinstance(options.get("specname"), str | None):
        message = (
            f"hookimpl is given specname={options['specname']!r}: write the name of a hook, as a "
            "text"
        )
        raise TypeError(message)
    for key, value in options.items():
        if key not in _OPTIONS:
            message = (
                f"hookimpl is given {key}={value!r}, and has no option of this name: write one of "
                f"{', '.join(sorted({*_OPTIONS, 'before', 'after'}))}"
            )
            raise TypeError(message)
        if key != "specname" and not isinstance(value, bool):
            message = f"hookimpl is given {key}={value!r}: write True or False"
            raise TypeError(message)

    def mark(function: Any) -> Any:
        if not inspect.isroutine(function):  # pluggy would not look at it
            message = (
                f"hookimpl is given {function!r}, which is no function and no declaration of a "
                "hook: write @pegboard.hookimpl, or "
                "@pegboard.hookimpl(pegboard.hookspec.pegboard_setup)"
            )
            raise TypeError(message)
        marked = pluggy.HookimplMarker(PROJECT)(**options)(function)
        getattr(marked, _IMPL).update(more)
        return marked

    return mark


def _names(key: str, given: Any) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        message = (
            f"hookimpl is given {key}={given!r}: write the name of a plugin, or a list of names"
        )
        raise TypeError(message)
    return tuple(names)

"""Functions of a plugin whose results are cached for all apps, and depend on one of them."""

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, NoneType
from typing import Any

from flask import current_app

from pegboard.grading import is_within
from pegboard.plugins import get_registry
from pegboard.settings import get_settings

_Cached = functools._lru_cache_wrapper  # noqa: SLF001 - the type has no other name
_PLAIN = (str, bytes, int, float, tuple, type, NoneType)


@contextmanager
def app_dependent_caches(package: str, found: list[str]) -> Iterator[None]:
    """Add the functions with `functools.cache` that ask, inside the block, for the current app.

    They ask for its settings, its registry, the request or the app itself. Those that have an
    object among their arguments, such as the app, do not count.
    """
    names = {}
    for name, function in _cached_functions(package):
        function.cache_clear()  # or it would not be called
        names[_code_of(function)] = name
    if not names:
        yield
        return
    asking = {_code_of(one) for one in (get_settings, get_registry, _get_current_app)}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or frame.f_code not in asking:
            return
        caller = frame.f_back
        while caller is not None:
            name = names.get(caller.f_code)
            if name is not None and name not in found and _is_for_all(caller):
                found.append(name)
            caller = caller.f_back

    profile = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(profile)


_proxy: Any = current_app
_get_current_app = _proxy._get_current_object  # noqa: SLF001 - also of `request` and `g`


def _cached_functions(package: str) -> Iterator[tuple[str, Any]]:
    for name, module in [*sys.modules.items()]:
        if is_within(name, package):
            for key, value in [*vars(module).items()]:
                if isinstance(value, _Cached) and is_within(str(value.__module__), package):
                    yield f"{value.__module__}.{key}", value


def _code_of(function: Any) -> CodeType | None:
    code: CodeType | None = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    return code


def _is_for_all(frame: FrameType) -> bool:
    """Return whether no argument of a function may tell apps apart."""
    code = frame.f_code
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return all(isinstance(frame.f_locals.get(one), _PLAIN) for one in arguments)

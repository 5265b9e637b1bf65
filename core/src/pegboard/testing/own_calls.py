"""What the code of a plugin itself does to the process: calls that leave no state to compare."""

import codecs
import faulthandler
import gc
import os
import random
import shutil
import sys
import threading
import urllib.request
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from time import monotonic, sleep
from typing import Any
from unittest import mock

from pegboard.grading import HOSTS, is_within, line_that_runs, place_of


def regular_package(module: str) -> str:
    """Return the outermost package of a module, or the module, that is no namespace package.

    Returns the first part of the name if there is none.
    """
    package = ""
    with suppress(ImportError):
        for part in module.split("."):
            package = f"{package}.{part}".lstrip(".")
            spec = find_spec(package)
            if spec is not None and spec.origin is not None:
                return package
    return module.partition(".")[0]


_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

Started = tuple[threading.Thread, str]
"""A thread, and the line that has started it."""


def outlasting(started: Collection[Started], timeout: float) -> list[str]:
    """Return the threads that do not end, though the app that had them is not used any more.

    They have `timeout` seconds; an app is freed when none of them refers to it.
    """
    pause, deadline = _FIRST_PAUSE, monotonic() + timeout
    while any(thread.is_alive() for thread, _ in started) and monotonic() < deadline:
        gc.collect()
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return [f"the thread {one.name!r} ({place})" for one, place in started if one.is_alive()]


_REGISTRIES = (
    (random, "seed"),
    (codecs, "register"),
    (codecs, "register_error"),
    (shutil, "register_archive_format"),
    (shutil, "register_unpack_format"),
    (urllib.request, "install_opener"),
    (os, "register_at_fork"),
    (sys, "addaudithook"),
    (faulthandler, "register"),
)
"""Functions that change what a process has, where it cannot be read, or not by its users."""


class OwnCalls:
    """What the code of a plugin itself does to the process; what libraries do is not its doing."""

    def __init__(self, module: str) -> None:
        """Watch for the plugin whose entry point names the module."""
        self._package = regular_package(module)
        self._calls: list[str] = []
        self._filters: list[tuple[Any, str]] = []
        self._listeners: list[tuple[type, str, Any]] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note calls inside the block."""
        from sqlalchemy.event import api  # noqa: PLC0415 - what the plugin imports first is watched

        make_key = api._event_key  # noqa: SLF001 - all ways to listen lead there

        def listen(target: Any, name: str, function: Any) -> Any:
            is_own = is_within(str(getattr(function, "__module__", "")), self._package)
            if is_own and isinstance(target, type) and _is_of_hosts(target):
                self._listeners.append((target, name, function))
            return make_key(target, name, function)

        with mock.patch.object(api, make_key.__name__, listen), ExitStack() as stack:
            for name in ("simplefilter", "filterwarnings"):
                noted = self._noted(getattr(warnings, name), self._note_filters)
                stack.enter_context(mock.patch.object(warnings, name, noted))
            for module, name in _REGISTRIES:
                note = partial(self._note_call, f"{module.__name__}.{name}")
                noted = self._noted(getattr(module, name), note)
                stack.enter_context(mock.patch.object(module, name, noted))
            yield

    @property
    def package(self) -> str:
        """The import package of the plugin."""
        return self._package

    def is_own(self, module: str) -> bool:
        """Return whether a module is in the package."""
        return is_within(module, self._package)

    @contextmanager
    def threads(self) -> Iterator[list[Started]]:
        """Note the threads that code of the plugin starts inside the block."""
        started: list[Started] = []
        start = threading.Thread.start

        def note(thread: threading.Thread) -> None:
            start(thread)
            module, place = line_that_runs()
            if is_within(module, self._package):
                started.append((thread, place))

        with mock.patch.object(threading.Thread, "start", note):
            yield started

    def left(self) -> Iterator[str]:
        """Yield what is still so."""
        from sqlalchemy import event  # noqa: PLC0415 - as above

        yield from self._calls
        for entry, place in self._filters:
            if any(entry is one for one in warnings.filters):
                yield f"the filters of warnings are set ({place})"
        for target, name, function in self._listeners:
            if event.contains(target, name, function):
                yield f"{target.__name__} has a listener of {name!r}, which hears every app"

    def _note_call(self, name: str, place: str, _before: list[Any]) -> None:
        self._calls.append(f"{name} is called ({place})")

    def _note_filters(self, place: str, before: list[Any]) -> None:
        known = {id(one) for one in before}
        self._filters += [(one, place) for one in warnings.filters if id(one) not in known]

    def _noted(
        self, call: Callable[..., Any], note: Callable[[str, list[Any]], None]
    ) -> Callable[..., Any]:
        """Return the function, which tells of calls that code of the plugin makes itself."""

        def noted(*arguments: Any, **options: Any) -> Any:
            frame = sys._getframe(1)  # noqa: SLF001 - `inspect.stack` reads files
            before = [*warnings.filters]
            found = call(*arguments, **options)
            if is_within(str(frame.f_globals.get("__name__", "")), self._package):
                note(place_of(frame.f_code.co_filename, frame.f_lineno), before)
            return found

        return noted


def _is_of_hosts(target: type) -> bool:
    return target.__module__.partition(".")[0] in HOSTS

"""What all code of a process shares, and what a plugin does to it."""

import asyncio
import builtins
import codecs
import csv
import decimal
import faulthandler
import gc
import locale
import logging
import mimetypes
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import sys
import threading
import time
import tracemalloc
import urllib.request
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest import mock

from pegboard.grading import HOSTS, is_within, line_that_runs, place_of

_LOGGERS = sorted({*HOSTS, "sqlalchemy.engine", "sqlalchemy.orm", "sqlalchemy.pool"})


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


def process_state() -> dict[str, str]:
    """Return what all code of a process shares, by what to call it."""
    variables = {
        f"os.environ[{name!r}]": repr(value)
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    signals = {f"the handler of {one.name}": repr(signal.getsignal(one)) for one in signal.Signals}
    limits = {
        f"the limit {name}": repr(resource.getrlimit(getattr(resource, name)))
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    }
    loggers = {f"the logger {name}": _describe(logging.getLogger(name)) for name in _LOGGERS}
    return {
        "the variables of os.environ": ", ".join(sorted(variables)),
        **variables,
        **signals,
        **limits,
        **loggers,
        "the root logger": _describe(logging.getLogger()),
        "the level up to which logging is disabled": repr(logging.root.manager.disable),
        "the working directory": str(Path.cwd()),
        "sys.path": repr(sys.path),
        "the default time-out of sockets": repr(socket.getdefaulttimeout()),
        "sys.excepthook": repr(sys.excepthook),
        "threading.excepthook": repr(threading.excepthook),
        "sys.unraisablehook": repr(sys.unraisablehook),
        "sys.displayhook": repr(sys.displayhook),
        "sys.settrace and sys.setprofile": repr((sys.gettrace(), sys.getprofile())),
        "sys.tracebacklimit": repr(getattr(sys, "tracebacklimit", None)),
        "the hooks of asynchronous generators": repr(tuple(sys.get_asyncgen_hooks())),
        "the tracking of coroutines": repr(sys.get_coroutine_origin_tracking_depth()),
        "the tracing of memory": repr(tracemalloc.is_tracing()),
        "faulthandler": "on" if faulthandler.is_enabled() else "off",
        "the writing of bytecode": repr((sys.dont_write_bytecode, sys.pycache_prefix)),
        "sys.meta_path": _names(sys.meta_path),
        "sys.path_hooks": _names(sys.path_hooks),
        "sys.stdin, sys.stdout and sys.stderr": repr((sys.stdin, sys.stdout, sys.stderr)),
        "the names of builtins": ", ".join(sorted(vars(builtins))),
        "the names of log levels": _pairs(logging.getLevelNamesMapping()),
        "the class of loggers": repr(logging.getLoggerClass()),
        "the factory of log records": repr(logging.getLogRecordFactory()),
        "the types of files": _pairs(_file_types()),
        "the context of decimals": repr(decimal.getcontext()),
        "decimal.DefaultContext": repr(decimal.DefaultContext),
        "the mask of new files": oct(_umask()),
        "the time zone": repr(time.tzname),
        "the priority": repr(os.getpriority(os.PRIO_PROCESS, 0)),
        "the timers": repr([bool(signal.getitimer(one)[0]) for one in _TIMERS]),
        "the blocked signals": repr(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "the threads": repr(sorted(one.name for one in threading.enumerate() if not one.daemon)),
        "the stack of new threads": repr(threading.stack_size()),
        "the policy of event loops": _event_loop_policy(),
        "the start of new processes": _start_method(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the garbage collector": f"{gc.isenabled()}, {gc.get_threshold()}, {gc.get_debug()}",
        "the recursion limit": repr(sys.getrecursionlimit()),
        "the switch interval": repr(sys.getswitchinterval()),
        "the digits of numbers in texts": repr(sys.get_int_max_str_digits()),
        "the dialects of csv": repr(csv.list_dialects()),
        "the longest field of csv": repr(csv.field_size_limit()),
    }


_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


_LISTS = {
    *("the variables of os.environ", "the names of builtins", "the names of log levels"),
    "the types of files",
}
"""What is long: of these a message shows what differs."""


def changed_state(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return what is otherwise than before, as a sentence each."""
    found = []
    for name, was in before.items():
        now = after.get(name, "not there")
        if was != now and name in _LISTS:
            old, new = {*was.split(", ")}, {*now.split(", ")}
            told = [f"have {', '.join(sorted(new - old))}"] if new - old else []
            told += [f"lack {', '.join(sorted(old - new))}"] if old - new else []
            found.append(f"{name} {' and '.join(told)}")
        elif was != now:
            found.append(f"{name} was {was} and is {now}")
    return found


def _pairs(found: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(found.items()))


def _names(found: Iterable[object]) -> str:
    """Return names by which objects without one of their own can be told apart."""
    return ", ".join(getattr(one, "__qualname__", type(one).__qualname__) for one in found)


def _file_types() -> dict[str, str]:
    if not mimetypes.inited:
        mimetypes.init()
    return mimetypes.types_map


def _event_loop_policy() -> str:
    with warnings.catch_warnings():  # it is deprecated, and has an effect as long as it is there
        warnings.simplefilter("ignore", DeprecationWarning)
        return _names([asyncio.get_event_loop_policy()])


def _start_method() -> str:
    """Return how new processes are started; whoever starts one chooses the default for all."""
    return (
        multiprocessing.get_start_method(allow_none=True)
        or (multiprocessing.get_all_start_methods()[0])
    )


def _umask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _describe(logger: logging.Logger) -> str:
    handlers = ", ".join(type(one).__name__ for one in logger.handlers) or "none"
    is_off = "" if logger.propagate and not logger.disabled else ", cut off"
    filters = f" and the filters {_names(logger.filters)}" if logger.filters else ""
    return f"{logging.getLevelName(logger.level)} with the handlers {handlers}{filters}{is_off}"


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

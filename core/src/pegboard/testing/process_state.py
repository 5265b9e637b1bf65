"""What all code of a process shares, and what a plugin does to it."""

import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any
from unittest import mock

HOSTS = ("flask", "werkzeug", "sqlalchemy", "flask_sqlalchemy", "pegboard", "marshmallow", "click")
"""The packages of which a plugin may replace nothing."""

_WITH_CONSTANTS = {*HOSTS} - {"sqlalchemy", "pegboard"}  # these change theirs when they are used
_LOGGERS = (*HOSTS, "sqlalchemy.engine", "sqlalchemy.orm", "sqlalchemy.pool")


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


def is_within(module: str, package: str) -> bool:
    """Return whether a module is the package, or is in it."""
    return module == package or module.startswith(f"{package}.")


def process_state() -> dict[str, str]:
    """Return what all code of a process shares, by what to call it."""
    variables = {
        f"os.environ[{name!r}]": repr(value)
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    signals = {f"the handler of {one.name}": repr(signal.getsignal(one)) for one in signal.Signals}
    loggers = {f"the logger {name}": _describe(logging.getLogger(name)) for name in _LOGGERS}
    return {
        "os.environ": ", ".join(sorted(variables)),
        **variables,
        **signals,
        **loggers,
        "the root logger": _describe(logging.getLogger()),
        "the working directory": str(Path.cwd()),
        "sys.path": repr(sys.path),
        "the default time-out of sockets": repr(socket.getdefaulttimeout()),
        "sys.excepthook": repr(sys.excepthook),
        "threading.excepthook": repr(threading.excepthook),
        "the threads": repr(sorted(one.name for one in threading.enumerate() if not one.daemon)),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the garbage collector": f"{gc.isenabled()}, {gc.get_threshold()}",
        "the recursion limit": repr(sys.getrecursionlimit()),
        "the switch interval": repr(sys.getswitchinterval()),
    }


def _describe(logger: logging.Logger) -> str:
    handlers = ", ".join(type(one).__name__ for one in logger.handlers) or "none"
    is_off = "" if logger.propagate and not logger.disabled else ", cut off"
    return f"{logging.getLevelName(logger.level)} with the handlers {handlers}{is_off}"


def host_values() -> dict[str, object]:
    """Return the functions and constants of the hosts' modules and classes, by their names."""
    found: dict[str, object] = {}
    for name, module in [*sys.modules.items()]:
        host = name.partition(".")[0]
        if host not in HOSTS or not isinstance(module, ModuleType):
            continue
        kinds = _CONSTANTS if host in _WITH_CONSTANTS else FunctionType
        for key, value in [*vars(module).items()]:
            if _is_kept(key, value, kinds):
                found[f"{name}.{key}"] = value
            if isinstance(value, type) and value.__module__ == name:
                for member, one in [*vars(value).items()]:
                    if _is_kept(member, one, kinds):
                        found[f"{name}.{key}.{member}"] = one
    return found


_CONSTANTS = (FunctionType, bool, int, float, str, bytes, tuple, type)


def _is_kept(name: str, value: object, kinds: Any) -> bool:
    """Return whether a value is compared: each function, and constants with a public name."""
    return isinstance(value, FunctionType) or (
        isinstance(value, kinds) and not name.startswith("_")
    )


def changed_values(before: dict[str, object]) -> list[str]:
    """Return what other values the hosts have now."""
    found = []
    for name, value in host_values().items():
        known = before.get(name, value)
        if isinstance(value, FunctionType):
            if known is not value:
                found.append(f"{name} is another function")
        elif known is not value and known != value:
            found.append(f"{name} was {known!r:.80} and is {value!r:.80}")
    return found


class OwnCalls:
    """What the code of a plugin itself does to the process; what libraries do is not its doing."""

    def __init__(self, module: str) -> None:
        """Watch for the plugin whose entry point names the module."""
        self._package = regular_package(module)
        self._seeds: list[str] = []
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

        with (
            mock.patch.object(random, "seed", self._noted(random.seed, self._note_seed)),
            mock.patch.object(api, make_key.__name__, listen),
            ExitStack() as stack,
        ):
            for name in ("simplefilter", "filterwarnings"):
                noted = self._noted(getattr(warnings, name), self._note_filters)
                stack.enter_context(mock.patch.object(warnings, name, noted))
            yield

    @contextmanager
    def threads(self, found: list[str]) -> Iterator[None]:
        """Add the threads that code of the plugin starts inside the block, and that go on."""
        started: list[tuple[threading.Thread, str]] = []
        start = threading.Thread.start

        def note(thread: threading.Thread) -> None:
            start(thread)
            module, place = line_that_runs()
            if is_within(module, self._package):
                started.append((thread, place))

        with mock.patch.object(threading.Thread, "start", note):
            yield
        found += [
            f"the thread {thread.name!r} runs since the import ({place})"
            for thread, place in started
            if thread.is_alive()
        ]

    def left(self) -> Iterator[str]:
        """Yield what is still so."""
        from sqlalchemy import event  # noqa: PLC0415 - as above

        for place in self._seeds:
            yield f"random.seed is called ({place})"
        for entry, place in self._filters:
            if any(entry is one for one in warnings.filters):
                yield f"the filters of warnings are set ({place})"
        for target, name, function in self._listeners:
            if event.contains(target, name, function):
                yield f"{target.__name__} has a listener of {name!r}, which hears every app"

    def _note_seed(self, place: str, _before: list[Any]) -> None:
        self._seeds.append(place)

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
                note(_place(frame.f_code.co_filename, frame.f_lineno), before)
            return found

        return noted


def _is_of_hosts(target: type) -> bool:
    return target.__module__.partition(".")[0] in HOSTS


def line_that_runs() -> tuple[str, str]:
    """Return the module and the line of the code outside the standard library and the hosts."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect.stack` reads files, which is audited
    lines = []
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        lines.append((name, frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    own = [
        one
        for one in lines
        if one[0].partition(".")[0]
        not in {*sys.stdlib_module_names, *HOSTS, "psycopg2", "__main__"}
        and not one[1].startswith("<frozen")
    ]
    module, path, line = own[0] if own else lines[-1]
    return module, _place(path, line)


def _place(path: str, line: int) -> str:
    return f"{Path(path).parent.name}/{Path(path).name}, line {line}"

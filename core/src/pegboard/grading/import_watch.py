"""What the import of a plugin does beside defining things: connections, threads, files, processes.

The grade and the contract of plugins both ask here.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from types import FrameType

HOSTS = {
    *("flask", "werkzeug", "flask_sqlalchemy", "marshmallow", "click"),
    *("sqlalchemy", "pegboard", "redis", "alembic", "psycopg2", "jinja2", "itsdangerous"),
    *("flask_migrate", "flask_cors", "flask_smorest", "webargs", "apispec", "pluggy", "orjson"),
}
"""The packages, beside the standard library, that all plugins share."""

_CONNECTING = {
    *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
    *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
    "sqlite3.connect",
}
_STARTING = {
    *("subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec"),
    *("os.fork", "os.forkpty", "pty.spawn"),
}
_CHANGING_FILES = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.utime"),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Effect:
    """Something that an import does."""

    text: str
    """What it is, and the line that does it."""
    module: str
    """The module whose import does it: a function is called for the module that calls it."""
    is_connection: bool
    """Whether it leaves the machine or asks a database."""


def is_within(module: str, package: str) -> bool:
    """Return whether a module is the package, or is in it."""
    return module == package or module.startswith(f"{package}.")


@contextmanager
def import_watched(package: str, found: list[Effect]) -> Iterator[None]:
    """Note what imports of the package and of its libraries do inside the block, each once."""
    psycopg2: Any = import_module("psycopg2")
    from sqlalchemy import Engine, event  # noqa: PLC0415 - what the plugin imports first is watched

    is_watching = True

    def note(what: str, *, is_connection: bool = True) -> None:
        text = f"{what} at {line_that_runs()[1]}"
        effect = Effect(text, _module_in_import() or package, is_connection)
        if is_watching and effect not in found:
            found.append(effect)

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        if not is_watching:
            return
        if what := _local(name, arguments):
            note(what, is_connection=False)
        # Without an address the socket is connected, of which there was a note.
        if name in _CONNECTING and arguments[-1] is not None:
            note(f"{name} {arguments[-1]!r:.80}")

    def connect(_dialect: Any, _record: Any, _arguments: Any, options: Any) -> None:
        note(f"a connection to the database {options.get('host', '')}".strip())

    def execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(f"the statement {statement!r:.80}")

    driver = _telling(lambda *_: note("a connection of psycopg2"), psycopg2._connect)  # noqa: SLF001 - however it was imported
    start = _telling(
        lambda thread: note(f"the thread {thread.name!r}", is_connection=False),
        threading.Thread.start,  # of which Python 3.11 has no event
    )
    sys.addaudithook(audit)
    event.listen(Engine, "do_connect", connect)
    event.listen(Engine, "before_cursor_execute", execute)
    try:
        with (
            patch.object(psycopg2, "_connect", driver),
            patch.object(threading.Thread, "start", start),
        ):
            yield
    finally:
        is_watching = False
        event.remove(Engine, "do_connect", connect)
        event.remove(Engine, "before_cursor_execute", execute)


def _telling(tell: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        tell(*arguments)
        return function(*arguments, **options)

    return call


def _local(name: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what an event says of a process that starts, or a file that is changed."""
    if name in _STARTING:
        return f"a process, by {name} {next(iter(arguments), '')!r:.80}"
    if name not in _CHANGING_FILES and not (name == "open" and arguments[2] & _WRITING):
        return None
    path = arguments[0]
    # A file that is open has been noted; Python itself keeps what it has compiled.
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    text = os.fsdecode(path)
    if text.startswith("/dev/") or "__pycache__" in text:
        return None
    return f"a file, by {name} {text!r:.80}"


def _module_in_import() -> str | None:
    """Return the innermost module that is being imported and is none of the standard library."""
    for module, frame in _frames():
        if (
            frame.f_code.co_name == "<module>"
            and module.partition(".")[0] not in sys.stdlib_module_names
            and module != "__main__"
        ):
            return module
    return None


def line_that_runs() -> tuple[str, str]:
    """Return the module and the line of the code outside the standard library and the hosts."""
    lines = [(name, frame.f_code.co_filename, frame.f_lineno) for name, frame in _frames()]
    own = [
        one
        for one in lines
        if one[0].partition(".")[0] not in {*sys.stdlib_module_names, *HOSTS, "__main__"}
        and not one[1].startswith("<frozen")
    ]
    module, path, line = own[0] if own else lines[-1]
    return module, place_of(path, line)


def place_of(path: str, line: int) -> str:
    """Return a line for people."""
    return f"{Path(path).parent.name}/{Path(path).name}, line {line}"


def _frames() -> "Iterator[tuple[str, FrameType]]":
    """Yield what is running, the innermost first, each with the name of its module."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect.stack` reads files, which is audited
    while frame is not None:
        yield str(frame.f_globals.get("__name__", "")), frame
        frame = frame.f_back

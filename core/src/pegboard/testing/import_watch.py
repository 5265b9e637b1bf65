"""What the import of a plugin does beside importing: connections, processes, files."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pegboard.testing.process_state import is_within, line_that_runs

_CONNECTING = {
    *("socket.connect", "socket.sendto", "socket.sendmsg"),
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


def _own_doing(name: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what an event says of a process that is started or a file that is changed."""
    if name in _STARTING:
        return (
            f"a process, by {name} {arguments[0]!r:.80}" if arguments else f"a process, by {name}"
        )
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


@contextmanager
def import_watched(package: str, found: list[str]) -> Iterator[None]:
    """Note each connection and statement inside the block, each process and each change of a file.

    Processes and files are those of the package itself, not those of the libraries it imports.
    """
    psycopg2: Any = import_module("psycopg2")
    from sqlalchemy import Engine, event  # noqa: PLC0415 - what the plugin imports first is watched

    connect_by_driver = psycopg2._connect  # noqa: SLF001 - however it was imported
    is_watching = True

    def note(what: str) -> None:
        if is_watching:
            found.append(f"{what} at {line_that_runs()[1]}")

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        if is_watching and (what := _own_doing(name, arguments)):
            module, place = line_that_runs()
            if is_within(module, package):
                found.append(f"{what} at {place}")
        # Without an address the socket is connected, of which there was a note.
        if is_watching and name in _CONNECTING and arguments[-1] is not None:
            note(f"{name} {arguments[-1]!r:.80}")

    def connect(_dialect: Any, _record: Any, _arguments: Any, options: Any) -> None:
        note(f"a connection to the database {options.get('host', '')}".strip())

    def execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(f"the statement {statement!r:.80}")

    def drive(*arguments: Any, **options: Any) -> Any:
        note("a connection of psycopg2")
        return connect_by_driver(*arguments, **options)

    sys.addaudithook(audit)
    psycopg2._connect = drive  # noqa: SLF001 - as above
    event.listen(Engine, "do_connect", connect)
    event.listen(Engine, "before_cursor_execute", execute)
    try:
        yield
    finally:
        is_watching = False
        psycopg2._connect = connect_by_driver  # noqa: SLF001 - as above
        event.remove(Engine, "do_connect", connect)
        event.remove(Engine, "before_cursor_execute", execute)

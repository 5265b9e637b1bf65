"""What a plugin does in a fresh process: at its import, to the process, and after a fork.

`python -m pegboard.testing.probe '<JSON of a Task>'` prints what it has seen as JSON. It uses as
little as possible of what a plugin could use, and no fixture.
"""

import contextlib
import json
import logging
import os
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from importlib import import_module
from typing import Any, TypedDict

from pegboard.testing.process_state import (
    OwnCalls,
    changed_values,
    host_values,
    line_that_runs,
    process_state,
)

FORK_TIMEOUT = 20.0
"""Seconds that a forked process has to answer its requests."""

_CONNECTING = {
    *("socket.connect", "socket.sendto", "socket.sendmsg"),
    *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
    "sqlite3.connect",
}


class Task(TypedDict):
    """What to try."""

    plugin: str
    plugins: list[str]
    config: dict[str, Any]


@dataclass
class Seen:
    """What a plugin did."""

    error: str = ""
    """Why it could not be imported, or its app not be built."""
    origin: str = ""
    """The file of its module."""
    at_import: list[str] = field(default_factory=list)
    """Connections and statements, each with the line of the plugin."""
    changed: list[str] = field(default_factory=list)
    """What is otherwise in the process than without the plugin."""
    before_fork: dict[str, int] = field(default_factory=dict)
    """The status of each path in the process that has built the app."""
    after_fork: dict[str, int] = field(default_factory=dict)
    """The same in a process that was forked afterwards; empty if it did not answer in time."""


def probe(task: Task) -> Seen:
    """Import the plugin, build an app of the plugins, send requests, fork, and send them again."""
    from pegboard import create_app  # noqa: PLC0415 - what the plugin imports first is watched
    from pegboard.migrations import upgrade  # noqa: PLC0415 - as above
    from pegboard.plugins import installed_plugins  # noqa: PLC0415 - as above

    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="pegboard-") as folder:
        config = {
            "ENV": "testing",
            "DATABASE_URL": f"sqlite:///{folder}/probe.db",
            "MIGRATIONS_DIRECTORY": f"{folder}/alembic",
            **task["config"],
        }
        # What an app without the plugin imports and sets is not the plugin's doing.
        needed = [name for name in task["plugins"] if name != task["plugin"]]
        with _quiet():
            upgrade(create_app({**config, "DATABASE_URL": "sqlite://"}, plugins=needed))
        candidate = next(one for one in installed_plugins() if one.name == task["plugin"])
        assert candidate.entry_point is not None
        own = OwnCalls(candidate.entry_point.module)
        before, hosts = process_state(), host_values()
        try:
            with own.watched():
                with own.threads(seen.changed), _watched(seen.at_import):
                    candidate.load()
                seen.origin = str(sys.modules[candidate.entry_point.module].__file__)
                with _quiet():
                    app = create_app(config, plugins=task["plugins"])
                    upgrade(app)
                    seen.before_fork = requests(app)
                    seen.after_fork = _in_fork(lambda: requests(app))
        except BaseException as error:  # noqa: BLE001 - whatever it raises is told
            seen.error = f"{type(error).__name__}: {error}"
        after = process_state()
        seen.changed += [
            f"{name} was {before[name]} and is {after[name]}"
            for name in before
            if before[name] != after[name]
        ]
        seen.changed += [*changed_values(hosts), *own.left()]
    return seen


def requests(app: Any) -> dict[str, int]:
    """Send a `GET` to each route without arguments; returns the status by path."""
    paths = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments
    }
    return {path: _status(app, path) for path in sorted(paths)}


def _status(app: Any, path: str) -> int:
    try:
        status: int = app.test_client().get(path, buffered=True).status_code
    except Exception:  # noqa: BLE001 - a test's app lets errors of views pass
        return HTTPStatus.INTERNAL_SERVER_ERROR
    return status


@contextlib.contextmanager
def _watched(found: list[str]) -> Iterator[None]:
    """Note each connection and statement inside the block."""
    psycopg2: Any = import_module("psycopg2")
    from sqlalchemy import Engine, event  # noqa: PLC0415 - as above

    connect_by_driver = psycopg2._connect  # noqa: SLF001 - however it was imported
    is_watching = True

    def note(what: str) -> None:
        if is_watching:
            found.append(f"{what} at {line_that_runs()[1]}")

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
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


def _in_fork(run: Callable[[], dict[str, int]]) -> dict[str, int]:
    """Run the function in a forked process; returns nothing if it takes too long or fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            os.write(writer, json.dumps(run()).encode())
        os._exit(0)
    os.close(writer)
    text = b""
    while select.select([reader], [], [], FORK_TIMEOUT)[0] and (part := os.read(reader, 65536)):
        text += part
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    found: dict[str, int] = json.loads(text or b"{}")
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Write no log: the report is read from the standard output, the errors from elsewhere."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


if __name__ == "__main__":
    report = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        result = probe(json.loads(sys.argv[1]))
    json.dump(asdict(result), report)
    report.flush()
    # What a plugin left running must not keep the process.
    os._exit(0)

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
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any, TypedDict

FORK_TIMEOUT = 20.0
"""Seconds that a forked process has to answer its requests."""

_CONNECTING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "sqlite3.connect")
_HOSTS = ("flask", "werkzeug", "sqlalchemy", "flask_sqlalchemy", "pegboard", "marshmallow", "click")
"""The packages of which a plugin may replace nothing."""


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
        before, hosts = process_state(), _functions()
        try:
            with _watched(seen.at_import):
                candidate.load()
            assert candidate.entry_point is not None
            seen.origin = str(sys.modules[candidate.entry_point.module].__file__)
            with _quiet():
                app = create_app(config, plugins=task["plugins"])
                upgrade(app)
                seen.before_fork = requests(app)
                seen.after_fork = _in_fork(lambda: requests(app))
        except BaseException as error:  # noqa: BLE001 - whatever it raises is told
            seen.error = f"{type(error).__name__}: {error}"
        after = process_state()
        seen.changed = [
            f"{name} was {before[name]} and is {after[name]}"
            for name in before
            if before[name] != after[name]
        ] + [
            f"{name} is another function"
            for name, one in _functions().items()
            if hosts.get(name, one) is not one
        ]
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


def process_state() -> dict[str, str]:
    """Return what all code of a process shares, by what to call it."""
    root = logging.getLogger()
    variables = {
        f"os.environ[{name!r}]": repr(value)
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    signals = {f"the handler of {one.name}": repr(signal.getsignal(one)) for one in signal.Signals}
    return {
        "os.environ": ", ".join(sorted(variables)),
        **variables,
        **signals,
        "the working directory": str(Path.cwd()),
        "sys.path": repr(sys.path),
        "the level of the root logger": logging.getLevelName(root.level),
        "the handlers of the root logger": repr([type(one).__name__ for one in root.handlers]),
        "the default time-out of sockets": repr(socket.getdefaulttimeout()),
        "sys.excepthook": repr(sys.excepthook),
        "threading.excepthook": repr(threading.excepthook),
        "the threads": repr(sorted(one.name for one in threading.enumerate() if not one.daemon)),
    }


def _functions() -> dict[str, object]:
    """Return the functions of the modules and classes that a plugin may not replace."""
    found: dict[str, object] = {}
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] not in _HOSTS or not isinstance(module, ModuleType):
            continue
        for key, value in [*vars(module).items()]:
            if isinstance(value, FunctionType):
                found[f"{name}.{key}"] = value
            elif isinstance(value, type) and value.__module__ == name:
                for member, one in [*vars(value).items()]:
                    if isinstance(one, FunctionType):
                        found[f"{name}.{key}.{member}"] = one
    return found


@contextlib.contextmanager
def _watched(found: list[str]) -> Iterator[None]:
    """Note each connection and statement inside the block."""
    from sqlalchemy import Engine, event  # noqa: PLC0415 - as above

    is_watching = True

    def note(what: str) -> None:
        if is_watching:
            found.append(f"{what} at {_place()}")

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        if is_watching and name in _CONNECTING:
            note(f"{name} {arguments[-1]!r:.80}")

    def connect(_dialect: Any, _record: Any, _arguments: Any, options: Any) -> None:
        note(f"a connection to the database {options.get('host', '')}".strip())

    def execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(f"the statement {statement!r:.80}")

    sys.addaudithook(audit)
    event.listen(Engine, "do_connect", connect)
    event.listen(Engine, "before_cursor_execute", execute)
    try:
        yield
    finally:
        is_watching = False
        event.remove(Engine, "do_connect", connect)
        event.remove(Engine, "before_cursor_execute", execute)


def _place() -> str:
    """Return the line of the code outside the standard library and the core that runs."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - `inspect.stack` reads files, which is audited
    lines = []
    while frame is not None:
        lines.append(
            (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, frame.f_lineno)
        )
        frame = frame.f_back
    own = [
        (path, line)
        for name, path, line in lines
        if name.partition(".")[0] not in {*sys.stdlib_module_names, *_HOSTS, "__main__"}
        and not path.startswith("<frozen")
    ]
    path, line = own[0] if own else lines[-1][1:]
    return f"{Path(path).parent.name}/{Path(path).name}, line {line}"


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

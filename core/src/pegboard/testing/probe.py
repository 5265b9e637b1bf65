"""What a plugin does in a fresh process: at its import, to the process, and after a fork.

`python -m pegboard.testing.probe '<JSON of a Task>'` prints what it has seen as JSON. It uses as
little as possible of what a plugin could use, and no fixture.
"""

import contextlib
import gc
import json
import logging
import os
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, NotRequired, TypedDict

from pegboard.grading import Effect, import_watched
from pegboard.testing.host_values import changed_values, host_values
from pegboard.testing.own_calls import OwnCalls, outlasting
from pegboard.testing.process_state import changed_state, process_state

FORK_TIMEOUT = 20.0
"""Seconds that a forked process has to answer its requests."""
_SILENT = 1000
"""A level of the log that no plugin sets."""
THREAD_TIMEOUT = 20.0
"""Seconds that threads of an app have to end after it."""


class Task(TypedDict):
    """What to try."""

    plugin: str
    plugins: list[str]
    config: dict[str, Any]
    patience: NotRequired[float]
    """Seconds that threads of an app have to end after it; `THREAD_TIMEOUT` if not given."""
    restored: NotRequired[list[int]]
    """The signals that have their default handlers again."""
    limits: NotRequired[list[tuple[int, tuple[int, int]]]]
    """The limits that are set again: what `resource.setrlimit` takes."""


@dataclass
class Seen:
    """What a plugin did."""

    error: str = ""
    """Why it could not be imported, or its app not be built."""
    origin: str = ""
    """The file of its module."""
    at_import: list[str] = field(default_factory=list)
    """Connections, statements, processes, threads and files, each with the line of the plugin."""
    changed: list[str] = field(default_factory=list)
    """What is otherwise in the process than without the plugin."""
    before_fork: dict[str, int] = field(default_factory=dict)
    """The status of each path in the process that has built the app."""
    after_fork: dict[str, int] = field(default_factory=dict)
    """The same in a process that was forked afterwards; empty if it did not answer in time."""


def probe(task: Task) -> Seen:
    """Import the plugin, build an app of the plugins, send requests, fork, and send them again."""
    for number in task.get("restored", ()):
        signal.signal(number, signal.SIG_DFL)
    for number, limits in task.get("limits", ()):
        with contextlib.suppress(ValueError, OSError):  # a hard limit that was lowered stays
            resource.setrlimit(number, limits)
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
        # Nor is the end of that app, whose database is a file that is removed with it.
        gc.collect()
        candidate = next(one for one in installed_plugins() if one.name == task["plugin"])
        assert candidate.entry_point is not None
        own = OwnCalls(candidate.entry_point.module)
        patience = task.get("patience", THREAD_TIMEOUT)
        before, hosts = process_state(), host_values()
        effects: list[Effect] = []
        try:
            with own.watched(), import_watched(own.package, effects):
                candidate.load()
            seen.origin = str(sys.modules[candidate.entry_point.module].__file__)
            seen.changed += changed_values(hosts, own.is_own)
            # Among them are now modules that only the plugin imports.
            hosts = host_values()
            with own.watched(), own.threads() as in_app, _quiet():
                _use(config, task["plugins"], seen)
            seen.changed += [
                f"{one} goes on when its app is gone" for one in outlasting(in_app, patience)
            ]
        except BaseException as error:  # noqa: BLE001 - whatever it raises is told
            seen.error = f"{type(error).__name__}: {error}"
        # Libraries may write files and start threads and processes when they are imported.
        seen.at_import = [
            one.text for one in effects if one.is_connection or own.is_own(one.module)
        ]
        seen.changed += changed_state(before, process_state())
        seen.changed += [*changed_values(hosts, own.is_own), *own.left()]
    return seen


def _use(config: dict[str, Any], plugins: list[str], seen: Seen) -> None:
    """Build an app, use it here and in a forked process, and let go of it."""
    from pegboard import create_app  # noqa: PLC0415 - as above
    from pegboard.app import disconnect  # noqa: PLC0415 - as above
    from pegboard.migrations import upgrade  # noqa: PLC0415 - as above

    app = create_app(config, plugins=plugins)
    upgrade(app)
    seen.before_fork = requests(app)
    seen.after_fork = _in_fork(lambda: requests(app))
    disconnect(app)


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
    before = logging.root.manager.disable
    logging.disable(_SILENT)
    try:
        yield
    finally:
        if logging.root.manager.disable == _SILENT:  # else the plugin has set it
            logging.disable(before)


if __name__ == "__main__":
    report = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        result = probe(json.loads(sys.argv[1]))
    json.dump(asdict(result), report)
    report.flush()
    # What a plugin left running must not keep the process.
    os._exit(0)

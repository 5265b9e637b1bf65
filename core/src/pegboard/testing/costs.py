"""What requests cost: the SQL statements and the round trips to Redis that this process sends."""

import gc
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import Pool
from werkzeug.test import Client

from pegboard.testing import traffic

_COMMENTS = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)+", re.DOTALL)
"""Comments before a statement; SQLite has nothing else for a trigger whose text is too long."""

_UNCOUNTED = re.compile(
    r"$|(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA|SHOW|SET)\b", re.IGNORECASE
)
"""Statements about transactions and connections, some of which the drivers send unseen."""

_HANDSHAKE = {"AUTH", "CLIENT", "HELLO", "INFO", "READONLY", "SELECT"}
"""Commands that begin a connection to Redis."""


@dataclass
class Cost:
    """What one request has sent, or the code between requests."""

    of: str
    """The request, as in `GET /api/notes/`; or what else it is the cost of."""
    statements: list[str] = field(default_factory=list)
    """The SQL statements, without those that begin and end transactions."""
    round_trips: list[list[str]] = field(default_factory=list)
    """The names of the commands of each round trip to Redis, without those that connect."""


class Recorder:
    """Records costs: of each request, and of the code of the block around them."""

    def __init__(self) -> None:
        """Begin with the block, which this thread runs."""
        self.requests: list[Cost] = []
        """The costs of the requests that the test's clients have sent, in their order."""
        self.block = Cost("the code beside the requests")
        """The cost of what the thread of the test does beside its requests."""
        self._uncounted: set[str] = set()
        self._current = threading.local()
        self._current.cost = self.block

    def note_statement(self, text: str) -> None:
        """Add a statement to the cost of what this thread does; other threads do not count."""
        cost: Cost | None = getattr(self._current, "cost", None)
        if cost is not None and not _UNCOUNTED.match(text, _begin_of(text)):
            cost.statements.append(" ".join(text.split()))

    def _note_uncounted(self, connection: object) -> None:
        """Remember that this thread sends a statement on a connection that tells nothing."""
        if getattr(self._current, "cost", None) is not None:
            kind = type(connection)
            self._uncounted.add(f"{kind.__module__}.{kind.__qualname__}")

    def note_commands(self, packed: bytes) -> bytes:
        """Add a round trip to the cost of what this thread does."""
        cost: Cost | None = getattr(self._current, "cost", None)
        names = traffic.names_of(packed)
        if cost is not None and not set(names) <= _HANDSHAKE:
            cost.round_trips.append(names)
        return packed

    @contextmanager
    def within(self, cost: Cost | None) -> Iterator[None]:
        """Let what this thread does in a block be of that cost; with None it does not count."""
        before = getattr(self._current, "cost", None)
        self._current.cost = cost
        try:
            yield
        finally:
            self._current.cost = before


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Record for a block what the requests of test clients cost."""
    recorder = Recorder()
    send = Client.run_wsgi_app

    def run(client: Client, environ: dict[str, Any], buffered: bool = False) -> Any:  # noqa: FBT001, FBT002 - as it is
        query = environ.get("QUERY_STRING")
        path = environ["PATH_INFO"] + (f"?{query}" if query else "")
        cost = Cost(f"{environ['REQUEST_METHOD']} {path}")
        recorder.requests.append(cost)
        with recorder.within(cost):
            body, *rest = send(client, environ, buffered)
        return (_Body(body, recorder, cost), *rest)

    ping = DefaultDialect._do_ping_w_event  # noqa: SLF001 - what only the pool calls

    def ping_uncounted(dialect: DefaultDialect, connection: Any) -> bool:
        with recorder.within(None):
            return ping(dialect, connection)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(DefaultDialect, "_do_ping_w_event", ping_uncounted))
        stack.enter_context(traffic.watched(recorder.note_commands))
        stack.enter_context(_STATEMENTS.told(recorder))
        stack.enter_context(mock.patch.object(Client, "run_wsgi_app", run))
        yield recorder


def uncounted_by(recorder: Recorder) -> list[str]:
    """Return the types of connections that were used, and whose statements nobody can count."""
    return sorted(recorder._uncounted)  # noqa: SLF001 - no test needs it


def _begin_of(text: str) -> int:
    """Return where a statement begins after the comments before it."""
    comments = _COMMENTS.match(text)
    return comments.end() if comments else 0


class _Body:
    """The body of an answer, whose statements are those of its request."""

    def __init__(self, parts: Iterable[bytes], recorder: Recorder, cost: Cost) -> None:
        self._body = parts
        self._parts = iter(parts)
        self._recorder = recorder
        self._cost = cost

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._recorder.within(self._cost):
            return next(self._parts)

    def close(self) -> None:
        with self._recorder.within(self._cost):
            getattr(self._body, "close", lambda: None)()


class _Statements:
    """Tells of each statement as the driver sends it, which changes nothing in how it is sent."""

    def __init__(self) -> None:
        self._recorders: list[Recorder] = []
        """Those that are told: a connection can call one only, and blocks may be nested."""
        self._known: dict[int, Any] = {}

    @contextmanager
    def told(self, recorder: Recorder) -> Iterator[None]:
        """Tell a recorder for a block of each statement of this process."""
        from psycopg2.extensions import connection as PostgresConnection  # noqa: PLC0415, N812

        self._recorders.append(recorder)
        if len(self._recorders) == 1:
            event.listen(Pool, "checkout", self._attach)
            event.listen(Engine, "before_cursor_execute", self._note_uncounted)
        try:
            # Those that are in use already.
            for one in gc.get_objects():
                if issubclass(type(one), sqlite3.Connection | PostgresConnection):
                    self._attach(one)
            yield
        finally:
            self._recorders.remove(recorder)
            if not self._recorders:
                self._end()

    def _attach(self, connection: Any, *_: object) -> None:
        if _can_tell(connection) and id(connection) not in self._known:
            self._known[id(connection)] = connection
            _tell(connection, self._tell_all)

    def _note_uncounted(self, connection: Connection, *_: object) -> None:
        driver = connection.connection.dbapi_connection
        if not _can_tell(driver):
            for recorder in self._recorders:
                recorder._note_uncounted(driver)  # noqa: SLF001 - of this module

    def _end(self) -> None:
        event.remove(Pool, "checkout", self._attach)
        event.remove(Engine, "before_cursor_execute", self._note_uncounted)
        for one in self._known.values():
            _tell(one, None)
        self._known.clear()

    def _tell_all(self, text: str) -> None:
        for recorder in self._recorders:
            recorder.note_statement(text)


_STATEMENTS = _Statements()
"""One for the process, as what it watches is."""


def _can_tell(connection: object) -> bool:
    """Return whether it is of SQLite, or one of psycopg2 that Pegboard has made."""
    return isinstance(connection, sqlite3.Connection) or hasattr(connection, "on_statement")


def _tell(connection: Any, note: Callable[[str], None] | None) -> None:
    if isinstance(connection, sqlite3.Connection):
        with suppress(sqlite3.ProgrammingError):  # another thread's, or closed
            connection.set_trace_callback(note)
    else:
        connection.on_statement = note

"""Connections of an event loop, whose statements wait for no thread.

To hand a statement to a thread and its rows back costs more than the statement: the thread and the
loop wake each other, and wait for the interpreter's lock. So a server's event loop has a few
connections of its own, which count as connections of the engine's pool.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import psycopg2
from psycopg2 import extensions
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from pegboard.database.connection import AsyncConnection, WatchedConnection
from pegboard.database.postgresql import PING_LIMIT, READ_ONLY_INTERVAL, TRUSTED_IDLE
from pegboard.database.statements import CompiledStatement

MOST = 4
"""Connections of one loop at most. More do not make it faster, as it sends one at a time."""

TICK = 0.1
"""Seconds between two checks of what is under way."""

_CHECK = "SHOW transaction_read_only"

_EVENTS = ("connect", "first_connect", "checkout", "checkin", "reset")
"""The events of a pool by which a plugin may prepare connections."""


@dataclass(slots=True, eq=False)
class _Work:
    """A statement that is to be executed."""

    statement: CompiledStatement
    parameters: Mapping[str, Any]
    found: asyncio.Future[list[tuple[Any, ...]]]
    deadline: float
    """Until when it waits for a connection, by `time.monotonic`."""

    def fail(self, error: Exception) -> None:
        if not self.found.done():
            self.found.set_exception(error)


class AsyncPool:
    """The connections of one event loop to the database of one engine."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to nothing yet."""
        self.engine = engine
        self.loop = loop
        self._size, self._timeout = 0, 0.0
        if isinstance(engine.pool, QueuePool) and engine.dialect.driver == "psycopg2":
            self._size = min(MOST, engine.pool.size() // 2)
            self._timeout = engine.pool.timeout()
        self._links: set[_Link] = set()
        self._idle: list[_Link] = []
        self._queue: deque[_Work] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._disposals = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._process = os.getpid()
        event.listen(engine, "engine_disposed", self._dispose)

    @property
    def is_usable(self) -> bool:
        """Whether statements can be executed; otherwise a thread has to."""
        return self._size > 0

    async def execute(
        self, statement: CompiledStatement, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run a statement as a transaction of its own.

        Raises as `pegboard.database.execute_alone` does.
        """
        parameters = statement.parameters(values)
        found = self.loop.create_future()
        work = _Work(statement, parameters, found, time.monotonic() + self._timeout)
        self.begin(work)
        return await work.found

    def begin(self, work: _Work) -> None:
        """Execute it on a connection that is idle, or as soon as there is one."""
        if self._idle:
            self._idle.pop().run(work)
        else:
            self._queue.append(work)
            self._open_another()
        if self._timer is None:
            self._start_timer()

    def put_back(self, link: "_Link") -> None:
        """Execute what waits for a connection."""
        while self._queue:
            work = self._queue.popleft()
            if not work.found.done():
                link.run(work)
                return
        self._idle.append(link)

    def forget(self, link: "_Link") -> None:
        """Have one connection less."""
        self._links.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        if self._queue:
            self._open_another()

    def close(self) -> None:
        """Close the connections; what is under way fails."""
        self._size = 0
        event.remove(self.engine, "engine_disposed", self._dispose)
        for link in [*self._links]:
            link.end()
        self._fail_queue(psycopg2.InterfaceError("the service is stopping"))
        if self._timer is not None:
            self._timer.cancel()

    def _fail_queue(self, error: Exception) -> None:
        while self._queue:
            self._queue.popleft().fail(error)

    def _open_another(self) -> None:
        if len(self._links) + len(self._opening) < self._size:
            task = self.loop.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        disposals = self._disposals
        try:
            slot, connection = await asyncio.to_thread(self._connect)
        except Exception as error:  # noqa: BLE001 - a plugin's listener may raise any
            if not self._links:
                self._fail_queue(error)
            return
        link = _Link(self, slot, connection)
        if self._size == 0 or disposals != self._disposals:
            link.end()
            return
        self._links.add(link)
        self.put_back(link)

    def _connect(self) -> tuple[PoolProxiedConnection, AsyncConnection]:
        """Return a connection, and the one of the engine's pool in whose place it is."""
        slot = self.engine.pool.connect()
        try:
            return slot, self._replaced(slot.driver_connection)
        except BaseException:
            slot.invalidate()
            slot.close()
            raise

    def _replaced(self, driver: object) -> AsyncConnection:
        """Close a connection, and return one to the same server that never waits."""
        if (
            not isinstance(driver, WatchedConnection)
            or driver.connect_async is None
            or _has_listeners(self.engine)
        ):
            self._size = 0
            message = "connections are made or prepared by a plugin"
            raise psycopg2.InterfaceError(message)
        driver.close()
        connection = driver.connect_async(driver.target)
        # What SQLAlchemy has registered for the types of this database.
        connection.string_types.update(driver.string_types)
        connection.binary_types.update(driver.binary_types)
        return connection

    def _dispose(self, _: Engine) -> None:
        """Close the connections, from any thread."""
        if os.getpid() == self._process:  # else they are those of the process that has forked
            self.loop.call_soon_threadsafe(self._retire)

    def _retire(self) -> None:
        self._disposals += 1
        for link in [*self._links]:
            link.retire()

    def _start_timer(self) -> None:
        self._due = time.monotonic() + TICK
        self._timer = self.loop.call_later(TICK, self._end_overdue)

    def _end_overdue(self) -> None:
        """Give up what takes too long.

        A loop that stood still has yet to read what came meanwhile, so its own delay does not
        count.
        """
        now = self._due
        self._timer = None
        for link in [*self._links]:
            link.end_if_overdue(now)
        while self._queue and self._queue[0].deadline <= now:
            self._queue.popleft().fail(
                PoolTimeoutError("No connection to the database became free in time.")
            )
        if self._queue or len(self._idle) < len(self._links):
            self._start_timer()


class _Link:
    """One connection, and the statement that it executes."""

    def __init__(
        self, pool: AsyncPool, slot: PoolProxiedConnection, connection: AsyncConnection
    ) -> None:
        self._pool = pool
        self._slot = slot
        self._connection = connection
        self._socket = connection.fileno()
        self._is_sending = False
        self._is_retired = False
        self._cursor: Any = None
        """What executes a statement; the connection itself does not keep it alive."""
        self._then: Callable[[Exception | None], None] | None = None
        """What to do at the end of the statement; None while there is none."""
        self._deadline = 0.0
        self._checked_at = self._used_at = time.monotonic()
        pool.loop.add_reader(self._socket, self._advance)

    def run(self, work: _Work) -> None:
        """Execute a statement; first make sure of a connection that lay idle."""
        now = time.monotonic()
        if now - self._checked_at < READ_ONLY_INTERVAL and now - self._used_at <= TRUSTED_IDLE:
            self._run(work)
        else:
            self._execute(_CHECK, {}, PING_LIMIT, lambda error: self._go_on(work, error))

    def _go_on(self, work: _Work, error: Exception | None) -> None:
        """Execute a statement once the server's answer to the check is known."""
        if error is None and not (
            self._connection.is_for_writes and self._cursor.fetchone() == ("on",)
        ):
            self._checked_at = time.monotonic()
            self._run(work)
        else:
            self.end()
            self._pool.begin(work)

    def _run(self, work: _Work) -> None:
        text = self._connection.settings + work.statement.text
        limit = self._connection.limit
        self._execute(text, work.parameters, limit, lambda error: self._answer(work, error))

    def _answer(self, work: _Work, error: Exception | None) -> None:
        statement, is_closed = work.statement, bool(self._connection.closed)
        if error is None:
            if not work.found.done():
                work.found.set_result(statement.fetch(self._cursor))
        else:
            if isinstance(error, psycopg2.Error):
                error = statement.failure(error, is_closed=is_closed)
            work.fail(error)
            is_closed |= isinstance(error, DBAPIError) and error.connection_invalidated
        self._cursor = None
        if is_closed or self._is_retired:
            self.end()
        else:
            self._used_at = time.monotonic()
            self._pool.put_back(self)

    def _execute(
        self,
        text: str,
        parameters: Mapping[str, Any],
        limit: float,
        then: Callable[[Exception | None], None],
    ) -> None:
        self._then = then
        self._deadline = time.monotonic() + limit
        self._cursor = self._connection.cursor()
        try:
            self._cursor.execute(text, parameters)
        except Exception as error:  # noqa: BLE001 - also of a value that cannot be sent
            self._finish(error)
        else:
            self._advance()

    def _advance(self) -> None:
        """Send or receive what can be sent or received now."""
        try:
            state = self._connection.poll()
        except psycopg2.Error as error:
            self._finish(error)
            return
        if self._is_sending != (state == extensions.POLL_WRITE):
            self._is_sending = not self._is_sending
            if self._is_sending:
                self._pool.loop.add_writer(self._socket, self._advance)
            else:
                self._pool.loop.remove_writer(self._socket)
        if state == extensions.POLL_OK:
            self._finish(None)

    def _finish(self, error: Exception | None) -> None:
        then, self._then = self._then, None
        if then is None:  # unexpected input of an idle connection is its end
            self.end()
        else:
            then(error)

    def end_if_overdue(self, now: float) -> None:
        """End it if its statement takes too long."""
        if self._then is None or now < self._deadline:
            return
        limit = self._connection.limit
        message = f"the database server did not answer within {limit:g} s"
        self._connection.on_silence()
        self._connection.close()
        self._finish(psycopg2.OperationalError(message))

    def retire(self) -> None:
        """End it when it has executed its statement."""
        self._is_retired = True
        if self._then is None:
            self.end()

    def end(self) -> None:
        """Close it, and give the engine's pool its place back."""
        self._pool.loop.remove_reader(self._socket)
        if self._is_sending:
            self._pool.loop.remove_writer(self._socket)
        self._connection.close()
        self._slot.invalidate()
        self._slot.close()
        self._pool.forget(self)


def _has_listeners(engine: Engine) -> bool:
    """Return whether functions that are not ours listen to events of the pool."""
    dispatch: Any = engine.pool.dispatch
    functions = chain.from_iterable(getattr(dispatch, name) for name in _EVENTS)
    return any(not one.__module__.startswith(("pegboard.", "sqlalchemy.")) for one in functions)

"""Connections of an event loop, whose statements wait for no thread.

To hand a statement to a thread and its rows back costs more than the statement: the thread and the
loop wake each other, and wait for the interpreter's lock. So a server's event loop has a few
connections of its own, which count as connections of the engine's pool.
"""

import asyncio
import math
import os
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg2
from sqlalchemy import Engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from pegboard.database.async_link import Link, Work
from pegboard.database.connection import AsyncConnection, WatchedConnection
from pegboard.database.postgresql import cursors_of
from pegboard.database.statement_times import TellOfStatement
from pegboard.database.statements import CompiledStatement
from pegboard.deadline import forget_deadline, seconds_left

MOST = 4
"""Connections of one loop at most. More do not make it faster, as it sends one at a time."""

TICK = 0.1
"""Seconds between two checks of what is under way."""

LONGEST_WAIT = 0.1
"""Seconds that a statement waits for the others at least, before it is left to a thread."""


class AllBusyError(Exception):
    """Raised when all connections of a loop execute what takes long: a thread may have another."""


class AsyncPool:
    """The connections of one event loop to the database of one engine."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        *,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        """Connect at the first statement; `longest_wait` is until `AllBusyError`, in seconds."""
        self.engine = engine
        self.loop = loop
        self._size, self._timeout, self._longest_wait = 0, 0.0, longest_wait
        recycle = engine.pool._recycle  # noqa: SLF001 - SQLAlchemy has no public name for it
        self.longest_life = recycle if recycle >= 0 else math.inf
        """Seconds after which a connection is replaced."""
        if isinstance(engine.pool, QueuePool) and engine.dialect.driver == "psycopg2":
            self._size = min(MOST, engine.pool.size() // 2)
            self._timeout = engine.pool.timeout()
        self._cursors = cursors_of(engine)
        self._links: set[Link] = set()
        self._is_giving = False
        """Whether connections are being given to statements."""
        self._idle: list[Link] = []
        self._queue: deque[Work] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._is_stalled = False
        """Whether a statement has waited too long, and none has ended since."""
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

        Raises as `pegboard.database.execute_alone` does, and `AllBusyError` if it was not executed.
        """
        parameters = statement.parameters(values)
        found = self.loop.create_future()
        now, left = time.monotonic(), seconds_left()
        work = Work(statement, parameters, found, now + min(self._timeout, left), now + left)
        self.begin(work)
        if self._cursors is None or (tell := self._cursors.tell) is None:
            return await work.found
        return await _timed(work, tell)

    def begin(self, work: Work) -> None:
        """Execute a statement on an idle connection, or as soon as there is one."""
        link = self._idle.pop() if self._idle else None
        if link is None and self._is_stalled:
            work.fail(AllBusyError())
        elif link is None:
            self._queue.append(work)
            self._open_another()
        elif not link.run(work):
            self._idle.append(link)
        if self._timer is None:
            self._start_timer()

    def put_back(self, link: Link) -> None:
        """Execute the next statements that wait for a connection, if there are any."""
        self._is_stalled = False
        self._idle.append(link)
        if self._is_giving:
            return  # a statement was answered while it was sent: without end, one in another
        self._is_giving = True
        try:
            while self._queue and self._idle:
                work = self._queue.popleft()
                if work.found.done():
                    continue
                link = self._idle.pop()
                if not link.run(work):
                    self._idle.append(link)
        finally:
            self._is_giving = False

    def forget(self, link: Link) -> None:
        """Take note that a connection is closed."""
        self._is_stalled = False
        self._links.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        if self._queue:
            self._open_another()

    def close(self) -> None:
        """Close the connections; what is under way fails."""
        self._size = 0
        if event.contains(self.engine, "engine_disposed", self._dispose):
            event.remove(self.engine, "engine_disposed", self._dispose)
        error = psycopg2.InterfaceError("the service is stopping")
        for link in [*self._links]:
            link.cut(error)
        self._fail_queue(error)
        if self._timer is not None:
            self._timer.cancel()

    def _fail_queue(self, error: Exception) -> None:
        while self._queue:
            self._queue.popleft().fail(error)

    def _open_another(self) -> None:
        if len(self._links) + len(self._opening) < self._size:
            self._opening.add(self.loop.create_task(self._open()))

    async def _open(self) -> None:
        forget_deadline()  # others will use the connection
        disposals = self._disposals
        try:
            slot, connection = await asyncio.to_thread(self._connect)
        except PoolTimeoutError:
            # What has waited as long has failed or is about to; what came later goes on waiting.
            self._note_opened()
            if self._queue:
                self._open_another()
            return
        except Exception as error:  # noqa: BLE001 - a plugin's listener may raise any
            self._note_opened()
            if not self._links and not self._opening:
                self._fail_queue(error)
            return
        self._note_opened()
        link = Link(self, slot, connection)
        if self._size == 0 or disposals != self._disposals:
            link.end()
            return
        self._links.add(link)
        self.put_back(link)

    def _note_opened(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._opening.discard(task)

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
        if not isinstance(driver, WatchedConnection) or driver.connect_async is None:
            self._size = 0
            message = "connections are made or prepared by a plugin"
            raise psycopg2.InterfaceError(message)
        driver.close()
        connection = driver.connect_async(driver.target)
        connection.asked_at = driver.asked_at
        # What SQLAlchemy has registered for the types of this database.
        connection.string_types.update(driver.string_types)
        connection.binary_types.update(driver.binary_types)
        return connection

    def _dispose(self, _: Engine) -> None:
        """Close the connections, from any thread."""
        if os.getpid() != self._process:
            return  # they are those of the process that has forked
        with suppress(RuntimeError):  # the loop was closed, and the pool was not
            self.loop.call_soon_threadsafe(self._retire)

    def _retire(self) -> None:
        self._disposals += 1
        for link in [*self._links]:
            link.retire()

    def _start_timer(self) -> None:
        self._due = time.monotonic() + TICK
        self._timer = self.loop.call_later(TICK, self._end_overdue)

    def _hand_over(self, now: float) -> None:
        """Leave to threads what has waited too long for others, as for those that wait for locks.

        Else as few of these as there are connections would hold up all requests.
        """
        if len(self._links) < self._size:
            return
        began = now - self._longest_wait
        while self._queue and self._queue[0].deadline - self._timeout <= began:
            self._queue.popleft().fail(AllBusyError())
            self._is_stalled = True

    def _end_overdue(self) -> None:
        """End statements that take too long.

        What the server has sent while the loop stood still is not read yet, so the loop's own delay
        does not count.
        """
        now = self._due
        self._timer = None
        for link in [*self._links]:
            link.end_if_overdue(now)
        self._hand_over(now)
        while self._queue and self._queue[0].deadline <= now:
            self._queue.popleft().fail(
                PoolTimeoutError("No connection to the database became free in time.")
            )
        if self._queue or len(self._idle) < len(self._links):
            self._start_timer()


async def _timed(work: Work, tell: TellOfStatement) -> list[tuple[Any, ...]]:
    """Return what a statement finds, and tell how long it was executed, if it was."""
    failure: BaseException | None = None
    try:
        return await work.found
    except BaseException as error:
        failure = error
        raise
    finally:
        if work.began is not None:
            ended = time.monotonic() if work.ended is None else work.ended
            tell(work.statement.text, ended - work.began, failure)

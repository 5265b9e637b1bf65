"""A connection of an event loop, and the statement that it executes."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg2
from psycopg2 import extensions
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from pegboard.database.connection import TIMEOUT_MARGIN, AsyncConnection
from pegboard.database.postgresql import (
    PING_LIMIT,
    READ_ONLY_INTERVAL,
    SHOW_READ_ONLY,
    TRUSTED_IDLE,
)
from pegboard.database.statements import CompiledStatement
from pegboard.database.watchdog import is_readable


@dataclass(slots=True, eq=False)
class Work:
    """A statement that is to be executed."""

    statement: CompiledStatement
    parameters: Mapping[str, Any]
    found: asyncio.Future[list[tuple[Any, ...]]]
    deadline: float
    """Until when it waits for a connection, by `time.monotonic`."""
    ends_at: float = math.inf
    """When the time of its request is over, by the same clock."""
    began: float | None = None
    """When a connection began to execute it, by the same clock."""
    ended: float | None = None
    """When that had its answer."""

    def fail(self, error: Exception) -> None:
        """Have what waits for the rows raise an error."""
        if not self.found.done():
            self.found.set_exception(error)


class Owner(Protocol):
    """The pool of a link, as the link calls it."""

    loop: asyncio.AbstractEventLoop
    longest_life: float
    """Seconds after which a connection is replaced."""

    def begin(self, work: Work) -> None:
        """Execute a statement on another connection."""

    def put_back(self, link: "Link") -> None:
        """Take back a connection whose statement has ended."""

    def forget(self, link: "Link") -> None:
        """Take note that a connection is closed."""


class Link:
    """One connection, and the statement that it executes."""

    def __init__(
        self, pool: Owner, slot: PoolProxiedConnection, connection: AsyncConnection
    ) -> None:
        self._pool = pool
        self._slot = slot
        self._connection = connection
        self._socket = connection.fileno()
        self._is_sending = False
        self._is_retired = False
        self._is_shortened = False
        """Whether the statement has to end with the time of its request."""
        self._cursor: Any = None
        """The cursor of the statement; kept here, as the connection does not keep it alive."""
        self._then: Callable[[Exception | None], None] | None = None
        """What to do at the end of the statement; None while there is none."""
        self._deadline = 0.0
        self._opened_at = self._used_at = time.monotonic()
        pool.loop.add_reader(self._socket, self._advance)

    def run(self, work: Work) -> bool:
        """Execute a statement; returns whether the connection is in use, or closed, from now on.

        A connection that was unused for long is checked first. One that the server has closed, or
        that is older than the pool's `pool_recycle`, is replaced. While the server does not answer,
        the statement fails at once.
        """
        if self._connection.is_refused():
            work.fail(psycopg2.OperationalError("the database server does not answer"))
            return False
        now = time.monotonic()
        if is_readable(self._connection) or self._is_too_old(now):
            self.end()
            self._pool.begin(work)
            return True
        known_for, idle = now - self._connection.asked_at, now - self._used_at
        if known_for < READ_ONLY_INTERVAL and idle <= TRUSTED_IDLE:
            self._run(work)
        else:
            self._is_shortened = False
            self._execute(SHOW_READ_ONLY, {}, PING_LIMIT, lambda error: self._go_on(work, error))
        return True

    def _is_too_old(self, now: float) -> bool:
        has_been_used = self._used_at > self._opened_at  # if not, another would be as old
        return has_been_used and now - self._opened_at > self._pool.longest_life

    def _go_on(self, work: Work, error: Exception | None) -> None:
        """Execute a statement once the server's answer to the check is known."""
        if error is not None or (
            self._connection.is_for_writes and self._cursor.fetchone() == ("on",)
        ):
            self.end()
            self._pool.begin(work)
            return
        self._connection.asked_at = self._used_at = time.monotonic()
        if work.found.done():  # it was cancelled meanwhile
            self._cursor = None
            self._pool.put_back(self)
        else:
            self._run(work)

    def _run(self, work: Work) -> None:
        work.began = now = time.monotonic()
        left, limit = work.ends_at - now, self._connection.limit
        text = self._connection.settings(left) + work.statement.text
        self._is_shortened = left + TIMEOUT_MARGIN < limit
        if self._is_shortened:
            limit = max(left, 0.0) + TIMEOUT_MARGIN
        self._execute(text, work.parameters, limit, lambda error: self._answer(work, error))

    def _answer(self, work: Work, error: Exception | None) -> None:
        work.ended = time.monotonic()
        statement, is_closed = work.statement, bool(self._connection.closed)
        if error is None:
            try:
                found = statement.fetch(self._cursor)
            except Exception as unreadable:  # noqa: BLE001 - of a value that the driver cannot read
                error = unreadable
            else:
                if not work.found.done():
                    work.found.set_result(found)
        if error is not None:
            if isinstance(error, psycopg2.Error):
                error = statement.failure(error, is_closed=is_closed)
                is_closed |= isinstance(error, DBAPIError) and error.connection_invalidated
            work.fail(error)
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
        """Close the connection if its statement takes too long."""
        if self._then is None or now < self._deadline:
            return
        message = "the database server did not answer in time"
        if not self._is_shortened:
            limit = self._connection.limit
            message = f"the database server did not answer within {limit:g} s"
            self._connection.on_silence()
        self.cut(psycopg2.OperationalError(message))

    def cut(self, error: Exception) -> None:
        """Close the connection; its statement fails, and may have been executed."""
        self._connection.close()
        self._finish(error)

    def retire(self) -> None:
        """Close the connection when it has executed its statement."""
        self._is_retired = True
        if self._then is None:
            self.end()

    def end(self) -> None:
        """Close the connection, and give the engine's pool its place back."""
        self._pool.loop.remove_reader(self._socket)
        if self._is_sending:
            self._pool.loop.remove_writer(self._socket)
        self._connection.close()
        self._slot.invalidate()
        self._slot.close()
        self._pool.forget(self)

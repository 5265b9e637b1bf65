"""A deadline for every call to PostgreSQL, enforced by the client.

The server enforces `statement_timeout`, but a server that does not answer cannot, and libpq then
waits until the kernel gives up the connection. One thread per process watches all calls in flight
and shuts the socket of one that is overdue, so that libpq fails at once.
"""

import logging
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from pegboard.deadline import lift_deadline
from pegboard.forking import after_fork

logger = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two checks of the calls in flight."""

_IDLE_TICKS = 20

_time_is_unlimited: ContextVar[bool] = ContextVar("pegboard_time_is_unlimited", default=False)


@contextmanager
def no_time_limit() -> Iterator[None]:
    """Let database work take as long as it needs: imports, migrations, reports.

    Inside the block no statement is ended for taking long, neither by the server
    (`statement_timeout`) nor by this process, which otherwise closes the connection of an overdue
    one. Enter it before the first statement: a transaction that has begun keeps the server's limit
    until it ends. The limit on waiting for another transaction's lock stays. The request that is
    being served may take as long as it needs, too.
    """
    lift_deadline()
    token = _time_is_unlimited.set(True)
    try:
        yield
    finally:
        _time_is_unlimited.reset(token)


def time_is_unlimited() -> bool:
    """Return whether the caller is inside `no_time_limit`."""
    return _time_is_unlimited.get()


class Pollable(Protocol):
    """A connection to a server, with an object that polls its socket for input."""

    @property
    def poll_of_socket(self) -> select.poll:
        """What polls the socket for input."""

    def fileno(self) -> int:
        """Return the file descriptor of the socket."""


class Watchdog:
    """The calls in flight of one process, and the thread that ends the overdue ones."""

    def __init__(self) -> None:
        self.reset()
        after_fork(self, Watchdog.reset)

    def reset(self) -> None:
        """Start afresh; for a process just forked, in which no thread watches."""
        self._deadlines: dict[Pollable, float] = {}
        self._cutting = threading.Lock()
        self._wake = threading.Event()
        self._is_asleep = True
        self._thread: threading.Thread | None = None

    def expect(self, connection: Pollable, seconds: float) -> None:
        """Watch a call that begins now: it has to end within so many seconds."""
        self._deadlines[connection] = time.monotonic() + seconds
        if self._is_asleep:
            self._wake_up()

    def forget(self, connection: Pollable) -> bool:
        """Stop watching the connection's call; return whether it ended in time."""
        if self._deadlines.pop(connection, None) is not None:
            return True
        # The watchdog is shutting this connection. Until it is done, the file descriptor must not
        # be closed: its number could be reused by another connection.
        with self._cutting:
            return self._deadlines.pop(connection, None) is not None

    def _wake_up(self) -> None:
        with self._cutting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="pegboard-watchdog", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def _watch(self) -> None:
        while True:
            self._is_asleep = True
            # Checked after the flag is set: a call registered before does not wake this thread.
            if not self._deadlines:
                self._wake.wait()
            self._wake.clear()
            self._is_asleep = False
            quiet = 0
            while quiet < _IDLE_TICKS:
                time.sleep(TICK)
                quiet = 0 if self._deadlines else quiet + 1
                try:
                    self._cut_overdue()
                except Exception:  # whatever it is, the other calls must still be watched
                    logger.exception("the watchdog of the database failed once")

    def _cut_overdue(self) -> None:
        now = time.monotonic()
        overdue = [key for key, deadline in list(self._deadlines.items()) if deadline <= now]
        for connection in overdue:
            with self._cutting:
                # Removed first: from here on the thread that makes the call waits in `forget`.
                deadline = self._deadlines.pop(connection, None)
                if deadline is None:
                    continue
                # Either this is a later call already, or an answer has arrived and waits for a busy
                # process to read it: the server works.
                if deadline > now or is_readable(connection):
                    self._deadlines[connection] = deadline
                    continue
                _shut(connection)


def is_readable(connection: Pollable) -> bool:
    """Return whether the server has sent unread data or closed the connection."""
    return bool(connection.poll_of_socket.poll(0))


def _shut(connection: Pollable) -> None:
    """Shut the socket under libpq, whose blocking read then ends; libpq itself closes it."""
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        try:
            twin.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the server has closed it meanwhile


watchdog = Watchdog()
"""The watchdog of this process."""

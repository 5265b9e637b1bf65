"""Exchanges of an event loop with one Redis server, on one connection at a time.

The commands of one turn of the loop are sent together, and none waits for replies to others.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import islice

from pegboard.circuit_breaker import CircuitBreaker
from pegboard.redaction import reason_of
from pegboard.redis.channel import ChannelError, Command
from pegboard.redis.connection import TRUSTED_IDLE, too_late
from pegboard.redis.handshake import Connected
from pegboard.redis.protocol import Exchange, PipelinedConnection, Replies

MAX_UNDER_WAY = 64
"""Exchanges that are sent and not answered, at most; others queue.

A reply's time-out begins when the command is sent. With a thousand requests at once, a thousand
commands before it took Redis longer than that, so a busy server was taken for one that does not
answer. More under way raised no throughput.
"""

_CHECKS = 5
"""How often deadlines are checked within one time-out."""

_TIMER_RESOLUTION = 0.001
"""Seconds by which a timer of an event loop may fire early: uvloop counts milliseconds."""

_CLOSED = "the pipeline is closed"


class ServerPipeline:
    """A `Pipeline` to one server, which connects when it has something to send."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        breaker: CircuitBreaker,
        timeout: float,
        connect: Callable[[], Connected],
        trip: Callable[[Exception], ChannelError],
        trip_and_close: Callable[[Exception], ChannelError],
    ) -> None:
        """`timeout` is that of an exchange, in seconds; `connect` may block.

        `trip` is called with the error of an attempt to connect, `trip_and_close` with that of a
        connection. Both open the breaker, and return the error for the exchanges concerned.
        """
        self.is_closed = False
        self._loop = loop
        self._breaker = breaker
        self._timeout = timeout
        self._connect_socket = connect
        self._trip = trip
        self._trip_and_close = trip_and_close
        self._connecting: asyncio.Task[None] | None = None
        self._connection: PipelinedConnection | None = None
        self._queue: list[Exchange] = []
        self._is_flushing = False
        self._clock = _Clock(1.5 * timeout / _CHECKS)
        self._timer: asyncio.TimerHandle | None = None
        self._is_overdue = False
        self._unsent, self._extended_to = 0, 0.0

    def exchange(self, commands: Sequence[Command]) -> Replies:
        """Send all commands at the end of this turn of the loop; see `Pipeline`."""
        if self._breaker.is_open or self.is_closed:
            future: Replies = self._loop.create_future()
            message = _CLOSED if self.is_closed else "Redis is unavailable"
            future.set_exception(ChannelError(message))
            return future
        return self.enqueue(commands)

    def enqueue(self, commands: Sequence[Command]) -> Replies:
        """Do as `exchange`, whether or not the breaker is open."""
        future: Replies = self._loop.create_future()
        if not commands:
            future.set_result([])
            return future
        self._queue.append(Exchange(future, commands))
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        """Send what of the queue there is room for, or let it wait for a connection."""
        self._is_flushing = False
        idle = self._clock.tick()
        queue = self._queue
        if not queue:
            return
        connection = self._connection
        if connection and connection.is_ready and not connection.is_retiring:
            # Unexpected input is its end: a server has closed it, and the loop has yet to notice.
            if idle > TRUSTED_IDLE and not connection.under_way and connection.has_input():
                self.reconnect()
            else:
                if (room := MAX_UNDER_WAY - len(connection.under_way)) > 0:
                    self._queue = queue[room:]
                    connection.send(queue[:room], self._clock.now + self._timeout)
                    self._start_timer(self._timeout)
                return
        self.open()
        deadline = self._clock.now + self._timeout
        for one in queue:
            one.deadline = min(one.deadline, deadline)
        self._start_timer(self._timeout)

    def open(self) -> None:
        """Begin to connect, unless that is done; see `Pipeline`."""
        if not self._connection and not self._connecting:
            self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            connected = await _in_thread(self._connect_socket)
            connection = self._connection = PipelinedConnection(self, connected)
            await connection.start(self._loop)
            handshake = Exchange(self._loop.create_future(), connected.handshake.commands)
            self._clock.tick()
            connection.send([handshake], self._clock.now + self._timeout)
            self._start_timer(self._timeout)
            values = [reply.value for reply in await handshake.future]
            connection.set_ready(connected.handshake.complete(values).identity)
        except Exception as error:  # noqa: BLE001 - else it would never be tried again
            self._connecting = None
            self.note_failure(error)
        else:
            self._connecting = None
            self._flush()

    def note_failure(self, error: Exception) -> None:
        """Fail what waits for a reply, and open the breaker; or replace an idle connection."""
        connection = self._connection
        if connection and connection.is_cut:
            self._end(reason_of(error))
        elif not connection or not connection.is_ready:
            self._end(str(self._trip(error)))
        elif connection.under_way:
            self._end(str(self._trip_and_close(error)))
        else:  # servers and proxies close idle connections
            self.reconnect()

    def go_on(self) -> None:
        """Send what waits until there is room, now that replies have come."""
        if self._queue and not self._is_flushing:
            self._flush()

    def reconnect(self) -> None:
        """Close a connection on which nothing is under way; the queue is sent on another one."""
        self._close_connection("")
        if self._queue:
            self.open()

    def _close_connection(self, message: str) -> None:
        connecting, self._connecting = self._connecting, None
        connection, self._connection = self._connection, None
        self._is_overdue = False
        self._unsent, self._extended_to = 0, 0.0
        if connecting:
            connecting.cancel()
        if connection:
            connection.end(message)

    def _end(self, message: str) -> None:
        """Close the connection, and fail all exchanges."""
        self._close_connection(message)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._fail_queue(message)

    def _fail_queue(self, message: str) -> None:
        queue, self._queue = self._queue, []
        for one in queue:
            one.fail(message)

    def retire(self) -> None:
        """Send later exchanges on a new connection; from any thread."""
        if self._connection:
            try:
                self._loop.call_soon_threadsafe(self._retire)
            except RuntimeError:  # the loop was closed, and the pipeline was not
                self.cut()
                self.is_closed = True
                self._connection = None

    def _retire(self) -> None:
        connection = self._connection
        if connection and connection.is_ready:
            connection.is_retiring = True
            if not connection.under_way:
                self.reconnect()

    def cut(self) -> None:
        """Fail what is under way; from any thread, also when the loop does not run."""
        if connection := self._connection:
            connection.cut()

    def close(self) -> None:
        """Disconnect; see `Pipeline`."""
        self.is_closed = True
        self._end(_CLOSED)

    def _start_timer(self, left: float) -> None:
        if self._timer is None:
            delay = max(min(left, self._timeout / _CHECKS), 0.0) + _TIMER_RESOLUTION
            self._timer = self._loop.call_later(delay, self._check_deadlines)

    def _check_deadlines(self) -> None:
        """Give up exchanges that are too late, and with them the connection."""
        self._timer = None
        self._clock.tick()
        connection = self._connection
        under_way = connection.under_way if connection else ()
        waiting = [*self._queue[:1], *islice(under_way, 1)]
        if not waiting:
            return
        unsent = connection.unsent if connection else 0
        if unsent < self._unsent:  # a server that takes a large command bit by bit is well
            self._extended_to = self._clock.now + self._timeout
        self._unsent = unsent
        left = max(min(one.deadline for one in waiting), self._extended_to) - self._clock.now
        has_received = connection is not None and connection.has_received
        if left > 0:
            self._is_overdue = False
        elif not self._is_overdue or (has_received and left > -self._timeout):
            # The loop may have stood still: let it read what has come meanwhile.
            self._is_overdue = True
        elif connection and (connection.is_ready or under_way):
            self.note_failure(too_late())
            return
        else:  # connecting may take longer than exchanges can wait
            self._fail_queue(str(self._trip(too_late())))
        if connection:
            connection.has_received = False
        self._start_timer(left)


class _Clock:
    """A clock that all but stops while the loop does, when no reply can be read."""

    def __init__(self, step: float) -> None:
        """`step` is the most, in seconds, by which it advances at once."""
        self.now = 0.0
        self._step = step
        self._ticked_at = time.monotonic()

    def tick(self) -> float:
        """Advance it; returns the real seconds since this was done last."""
        now = time.monotonic()
        passed, self._ticked_at = now - self._ticked_at, now
        self.now += min(passed, self._step)
        return passed


async def _in_thread(connect: Callable[[], Connected]) -> Connected:
    """Connect in a thread that does not keep the process from ending.

    When cancelled, it closes the socket as soon as there is one.
    """
    future: Future[Connected] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(connect())
        except BaseException as error:  # noqa: BLE001 - the loop raises it
            future.set_exception(error)

    threading.Thread(target=run, name="pegboard-pipeline", daemon=True).start()
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(_close_socket)
        raise


def _close_socket(future: Future[Connected]) -> None:
    if not future.exception():
        future.result().socket.close()

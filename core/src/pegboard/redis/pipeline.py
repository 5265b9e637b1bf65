"""Round trips of an event loop to one Redis server, on one connection that never waits.

What is asked within one turn of the loop leaves together; replies come in the commands' order.
"""

import asyncio
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from typing import TypeVar, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from pegboard.circuit_breaker import CircuitBreaker
from pegboard.redis.channel import ChannelError, Command, Reply, Value
from pegboard.redis.connection import (
    TRUSTED_IDLE,
    closed_by_server,
    is_readable,
    new_reader,
    shut,
    substitute,
    too_late,
)
from pegboard.redis.handshake import Dialed

T = TypeVar("T")

Replies = asyncio.Future[list[Reply]]

_LOOKS = 5
"""How often the loop looks, within the time-out, whether a reply is late."""

_TLS_TIMEOUT = 5.0
"""Seconds that TLS may take to begin; who asks meanwhile is not waited for so long."""

_GRAIN = 0.001
"""Seconds to which loops tell the time."""

# A named tuple's own way to be made takes three times as long, which each reply would pay.
_reply: Callable[[tuple[Value, str]], Reply] = partial(tuple.__new__, Reply)


class ServerPipeline:
    """A `Pipeline` to one server: one connection at a time, made when it is needed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        breaker: CircuitBreaker,
        timeout: float,
        dial: Callable[[], Dialed],
        miss: Callable[[Exception], ChannelError],
        lose: Callable[[Exception], ChannelError],
    ) -> None:
        """`dial` connects, which blocks.

        `miss` is told why no connection could be made, `lose` why one has failed; both return what
        to report. A reply is waited for as long as `timeout`, in seconds.
        """
        self.loop = loop
        self.timeout = timeout
        self.dial = dial
        self.miss = miss
        self.lose = lose
        self._breaker = breaker
        self.is_closed = False
        self._connection: _Connection | None = None

    def exchange(self, commands: Sequence[Command]) -> Replies:
        """Send all commands at the end of this turn of the loop; see `Pipeline`."""
        if self._breaker.is_open or self.is_closed:
            message = "the pipeline is closed" if self.is_closed else "Redis is unavailable"
            future = self.loop.create_future()
            future.set_exception(ChannelError(message))
            return future
        return self.connection().ask(commands)

    def connection(self) -> "_Connection":
        """Return the connection, which may have to be made first."""
        connection = self._connection
        if connection is None or connection.is_ended:
            connection = self._connection = _Connection(self)
        return connection

    def open(self) -> None:
        """Begin to connect, unless that is done; see `Pipeline`."""
        self.connection()

    def retire(self) -> None:
        """Use the connection no more for what is asked from now on; from any thread."""
        if connection := self._connection:
            try:
                self.loop.call_soon_threadsafe(connection.retire)
            except RuntimeError:  # the loop was closed, and the pipeline was not
                connection.cut()
                self.is_closed = True
                self._connection = None

    def cut(self) -> None:
        """Fail what is under way; from any thread, also when the loop does not run."""
        if connection := self._connection:
            connection.cut()

    def close(self) -> None:
        """End it; see `Pipeline`."""
        self.is_closed = True
        if connection := self._connection:
            connection.end("the pipeline is closed")


class _Exchange:
    """Commands that were asked together, and who waits for their replies."""

    __slots__ = ("commands", "deadline", "future", "packed")

    def __init__(self, future: Replies, commands: Sequence[Command]) -> None:
        # This fails for what is no command, before anything is done.
        self.packed = b"".join([one.packed for one in commands])
        self.commands = commands
        self.future = future
        self.deadline = math.inf

    def fail(self, message: str) -> None:
        if not self.future.done():
            self.future.set_exception(ChannelError(message))


class _Connection(asyncio.Protocol):
    """One connection: what is asked, what is under way, and which reply is whose."""

    def __init__(self, pipeline: ServerPipeline) -> None:
        """Begin to connect."""
        self.is_ended = False
        self._is_ready = self._is_retiring = self._is_cut = self._is_flushing = False
        self._pipeline = pipeline
        self._loop, self._timeout = pipeline.loop, pipeline.timeout
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._server = ""
        self._asked: list[_Exchange] = []
        self._under_way: deque[_Exchange] = deque()
        self._replies: list[Reply] = []
        self._reader = new_reader()
        self._timer: asyncio.TimerHandle | None = None
        self._clock, self._looked_at = 0.0, time.monotonic()
        self._unsent, self._granted = 0, 0.0
        self._has_errors = self._has_received = self._is_overdue = False
        self._connecting = self._loop.create_task(self._connect())

    def ask(self, commands: Sequence[Command]) -> Replies:
        """Send commands at the end of this turn of the loop."""
        future: Replies = self._loop.create_future()
        if not commands:
            future.set_result([])
            return future
        self._asked.append(_Exchange(future, commands))
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        """Send what was asked, or let it wait until it can be sent."""
        self._is_flushing = False
        asked = self._asked
        idle = self._look()
        if not asked:
            return
        if idle > TRUSTED_IDLE and self._is_ready and not self._under_way:
            assert self._socket
            if is_readable(self._socket, 0):  # its end, which the loop has had no time to notice
                self._leave()
                return
        deadline = self._clock + self._timeout
        if self._is_ready and not self._is_retiring:
            self._asked = []
            self._send(asked, deadline)
        else:
            for one in asked:
                one.deadline = min(one.deadline, deadline)
        self._arm(self._timeout)

    def _send(self, exchanges: list[_Exchange], deadline: float) -> None:
        for one in exchanges:
            one.deadline = deadline
        self._under_way.extend(exchanges)
        assert self._transport
        self._transport.write(b"".join([one.packed for one in exchanges]))

    async def _connect(self) -> None:
        try:
            dialed = await _off_loop(self._dial)
            if dialed.socket.family == socket.AF_UNIX:
                await self._loop.create_unix_connection(lambda: self, sock=dialed.socket)
            else:
                await self._loop.create_connection(
                    lambda: self,
                    sock=dialed.socket,
                    ssl=dialed.tls,
                    server_hostname=dialed.host if dialed.tls else None,
                    ssl_handshake_timeout=_TLS_TIMEOUT if dialed.tls else None,
                )
            future: Replies = self._loop.create_future()
            self._look()
            handshake = _Exchange(future, dialed.handshake.commands)
            self._send([handshake], self._clock + self._timeout)
            self._arm(self._timeout)
            values = [reply.value for reply in await future]
            self._server = dialed.handshake.complete(values).identity
        except (RedisError, OSError, ChannelError) as error:
            self._lose(error)
        else:
            self._is_ready = True
            self._flush()
        finally:
            if self._transport is None:  # nothing else would close the socket
                self.is_ended = True
                if self._socket:
                    self._socket.close()

    def _dial(self) -> Dialed:
        dialed = self._pipeline.dial()
        self._socket = dialed.socket
        if self.is_ended:
            dialed.socket.close()
            message = "the pipeline is closed"
            raise ChannelError(message)
        return dialed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport; called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        if self.is_ended:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand over the replies that have come; called by the loop."""
        self._has_received = True
        try:
            self._reader.feed(data)
            self._answer()
        except RedisError as error:
            self._lose(error)
            return
        if self._is_retiring and not self._under_way:
            self._leave()
        elif self._asked and not self._is_flushing:
            self._flush()

    def _answer(self) -> None:
        gets, under_way, server = self._reader.gets, self._under_way, self._server
        replies = self._replies
        while (value := gets()) is not False:
            if not under_way:
                message = "the server has answered what nobody asked"
                raise InvalidResponse(message)
            replies.append(_reply((value, server)))
            if isinstance(value, Exception):
                self._has_errors = True
            exchange = under_way[0]
            if len(replies) < len(exchange.commands):
                continue
            if self._has_errors:
                self._resolve(exchange, replies)
                self._has_errors = False
            elif not exchange.future.done():
                exchange.future.set_result(replies)
            # Not before: what raises fails this exchange as well.
            under_way.popleft()
            replies = self._replies = []

    def _resolve(self, exchange: _Exchange, replies: list[Reply]) -> None:
        """Have the text of scripts sent that the server does not know; other errors are values."""
        again: dict[int, Command] = {}
        for number, (value, _) in enumerate(replies):
            if isinstance(value, RedisConnectionError):
                raise value  # the server is loading, or wants a password
            if isinstance(value, ResponseError) and (
                command := substitute(exchange.commands[number], value)
            ):
                again[number] = command
        if again:
            rest = self.ask([*again.values()])
            rest.add_done_callback(partial(_put_in_place, exchange.future, replies, [*again]))
        elif not exchange.future.done():
            exchange.future.set_result(replies)

    def eof_received(self) -> None:
        """Note that the server has closed the connection; called by the loop."""
        self._lose(closed_by_server())

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the connection was closed; called by the loop."""
        self._lose(error or closed_by_server())

    def retire(self) -> None:
        """Close it as soon as nothing is under way."""
        self._is_retiring = self._is_ready
        if self._is_ready and not self._under_way:
            self._leave()

    def _leave(self) -> None:
        """Close it while nothing is under way; another one serves what was asked."""
        asked, self._asked = self._asked, []
        self.end("")
        if asked:
            self._pipeline.connection().take_over(asked)

    def take_over(self, asked: Iterable[_Exchange]) -> None:
        """Send what another connection was asked for."""
        self._asked.extend(asked)
        self._flush()

    def cut(self) -> None:
        """Fail what is under way; from any thread, also when the loop does not run."""
        self._is_cut = True
        if self._socket:
            shut(self._socket)

    def _lose(self, error: Exception) -> None:
        """Close it, and do without the server until it answers again."""
        if self.is_ended:
            return
        if self._is_cut:  # for a reason that was seen to
            self.end(str(error))
        elif self._is_ready and not self._under_way:
            self._leave()  # it lay idle, which says nothing about the server
        else:
            note = self._pipeline.lose if self._is_ready else self._pipeline.miss
            self.end(str(note(error)))

    def end(self, message: str) -> None:
        """Close it, and fail what waits for a reply."""
        self.is_ended = True
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._transport:
            self._transport.abort()
        elif self._socket:
            shut(self._socket)
        self._fail_asked(message)
        while self._under_way:
            self._under_way.popleft().fail(message)

    def _fail_asked(self, message: str) -> None:
        asked, self._asked = self._asked, []
        for one in asked:
            one.fail(message)

    def _look(self) -> float:
        """Let the clock go on; returns how many seconds it is since this was done last.

        While the loop stands still, the clock almost does: it is not the server that is late then.
        """
        now = time.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        self._clock += min(passed, 1.5 * self._timeout / _LOOKS)
        return passed

    def _arm(self, left: float) -> None:
        if self._timer is None:
            delay = max(min(left, self._timeout / _LOOKS), 0.0) + _GRAIN
            self._timer = self._loop.call_later(delay, self._judge)

    def _judge(self) -> None:
        """Give up what is too late, and with it the server."""
        self._timer = None
        self._look()
        waiting = [*self._asked[:1], *islice(self._under_way, 1)]
        if not waiting:
            return
        unsent = self._transport.get_write_buffer_size() if self._transport else 0
        if unsent < self._unsent:  # a server that takes large commands bit by bit is well
            self._granted = self._clock + self._timeout
        self._unsent = unsent
        left = max(min(one.deadline for one in waiting), self._granted) - self._clock
        if left > 0:
            self._is_overdue = False
        elif not self._is_overdue or (self._has_received and left > -self._timeout):
            # The loop may have stood still: let it read what has come meanwhile.
            self._is_overdue = True
        elif self._is_ready or self._under_way:
            self._lose(too_late())
            return
        else:  # it may take longer to connect than who asks may wait
            self._fail_asked(str(self._pipeline.miss(too_late())))
        self._has_received = False
        self._arm(left)


async def _off_loop(call: Callable[[], T]) -> T:
    """Make a call that blocks in a thread, which does not keep the process from ending."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - the loop raises it
            future.set_exception(error)

    threading.Thread(target=run, name="pegboard-pipeline", daemon=True).start()
    return await asyncio.wrap_future(future)


def _put_in_place(
    future: Replies, replies: list[Reply], numbers: Sequence[int], rest: Replies
) -> None:
    """Complete the replies with those to commands that were sent again."""
    error = rest.exception()
    if future.done():
        return
    if error:
        future.set_exception(error)
        return
    for number, reply in zip(numbers, rest.result(), strict=True):
        replies[number] = reply
    future.set_result(replies)

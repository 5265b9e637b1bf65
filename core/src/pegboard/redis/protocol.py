"""One connection of an event loop to a Redis server, which many exchanges share.

Redis replies in the order of the commands: the next reply belongs to the oldest command that has
none yet.
"""

import asyncio
import math
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from pegboard.redis.channel import ChannelError, Command, Reply, Value
from pegboard.redis.connection import closed_by_server, is_readable, new_reader, shut, substitute
from pegboard.redis.handshake import Connected

Replies = asyncio.Future[list[Reply]]

_TLS_TIMEOUT = 5.0
"""Seconds for the handshake of TLS; exchanges that wait for the connection may give up earlier."""

# Calling the class of a named tuple takes three times as long, for each reply.
_reply: Callable[[tuple[Value, str]], Reply] = partial(tuple.__new__, Reply)


class Exchange:
    """Commands that are sent together, and the future that gets their replies."""

    __slots__ = ("commands", "deadline", "future", "packed")

    def __init__(self, future: Replies, commands: Sequence[Command]) -> None:
        # Raises for what is not a command, before anything is sent.
        self.packed = b"".join([one.packed for one in commands])
        self.commands = commands
        self.future = future
        self.deadline = math.inf

    def fail(self, message: str) -> None:
        """Let the future raise `ChannelError`, unless it has a result or was cancelled."""
        if not self.future.done():
            self.future.set_exception(ChannelError(message))


class Owner(Protocol):
    """What a connection tells the pipeline that made it."""

    def enqueue(self, commands: Sequence[Command]) -> Replies:
        """Send commands of an exchange again."""

    def go_on(self) -> None:
        """Send more, as replies have come."""

    def reconnect(self) -> None:
        """Replace a connection that is retiring and has its last reply."""

    def note_failure(self, error: Exception) -> None:
        """Learn that the connection failed, or that the server closed it."""


class PipelinedConnection(asyncio.Protocol):
    """Sends exchanges without waiting for the replies to earlier ones.

    The event loop calls the methods of `asyncio.Protocol`. After `end`, the owner is told nothing.
    """

    def __init__(self, owner: Owner, connected: Connected) -> None:
        self.is_ready = False
        """Whether the handshake is complete."""
        self.is_retiring = False
        """Whether nothing more is to be sent, and only replies are waited for."""
        self.is_cut = False
        """Whether it was cut after the breaker had been opened, so that its failure opens none."""
        self.has_received = False
        """Whether anything came since the owner last checked deadlines, which resets this."""
        self.under_way: deque[Exchange] = deque()
        """Exchanges that were sent, and have not all their replies."""
        self._owner = owner
        self._socket = connected.socket
        self._tls, self._host = connected.tls, connected.host
        self._transport: asyncio.Transport | None = None
        self._server = ""
        self._reader = new_reader()
        self._replies: list[Reply] = []
        self._has_errors = self._is_ended = False

    async def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand the socket over to the loop, and begin TLS; closes the socket on an error."""
        try:
            if self._socket.family == socket.AF_UNIX:
                await loop.create_unix_connection(lambda: self, sock=self._socket)
            else:
                await loop.create_connection(
                    lambda: self,
                    sock=self._socket,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                    ssl_handshake_timeout=_TLS_TIMEOUT if self._tls else None,
                )
        except BaseException:
            self._socket.close()
            raise

    def set_ready(self, server: str) -> None:
        """Note that the handshake is complete, and the identity to give with each reply."""
        self._server = server
        self.is_ready = True

    @property
    def unsent(self) -> int:
        """How many bytes the server has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def has_input(self) -> bool:
        """Return whether something can be read, which may be the end of the connection."""
        return is_readable(self._socket, 0)

    def send(self, exchanges: list[Exchange], deadline: float) -> None:
        """Send exchanges; `deadline` is when their replies are due, by the owner's clock."""
        for one in exchanges:
            one.deadline = deadline
        self.under_way.extend(exchanges)
        assert self._transport
        self._transport.write(b"".join([one.packed for one in exchanges]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast("asyncio.Transport", transport)
        if self._is_ended:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Give exchanges the replies that have come."""
        if self._is_ended:
            return
        self.has_received = True
        try:
            self._reader.feed(data)
            self._deliver()
        except RedisError as error:
            self._report(error)
            return
        if not self.is_retiring:
            self._owner.go_on()
        elif not self.under_way:
            self._owner.reconnect()

    def _deliver(self) -> None:
        gets, under_way, server = self._reader.gets, self.under_way, self._server
        replies = self._replies
        missing = len(under_way[0].commands) - len(replies) if under_way else 0
        while (value := gets()) is not False:
            if not under_way:
                message = "the server sent a reply to no command"
                raise InvalidResponse(message)
            replies.append(_reply((value, server)))
            if isinstance(value, Exception):
                self._has_errors = True
            missing -= 1
            if missing:
                continue
            exchange = under_way[0]
            if self._has_errors:
                self._resolve(exchange, replies)
                self._has_errors = False
            elif not exchange.future.done():
                exchange.future.set_result(replies)
            # Not before: an error that `_resolve` raises fails this exchange as well.
            under_way.popleft()
            replies = self._replies = []
            missing = len(under_way[0].commands) if under_way else 0

    def _resolve(self, exchange: Exchange, replies: list[Reply]) -> None:
        """Send scripts in full that the server does not know; other errors are values."""
        again: dict[int, Command] = {}
        for number, (value, _) in enumerate(replies):
            if isinstance(value, RedisConnectionError):
                raise value  # the server is loading, or wants a password
            if isinstance(value, ResponseError) and (
                command := substitute(exchange.commands[number], value)
            ):
                again[number] = command
        if again:
            rest = self._owner.enqueue([*again.values()])
            rest.add_done_callback(partial(_put_in_place, exchange.future, replies, [*again]))
        elif not exchange.future.done():
            exchange.future.set_result(replies)

    def eof_received(self) -> None:
        """Report that the server has closed the connection."""
        self._report(closed_by_server())

    def connection_lost(self, error: Exception | None) -> None:
        """Report that the connection is closed."""
        self._report(error or closed_by_server())

    def _report(self, error: Exception) -> None:
        if not self._is_ended:
            self._owner.note_failure(error)

    def cut(self) -> None:
        """Make it fail; from any thread, also when the loop does not run."""
        self.is_cut = True
        shut(self._socket)

    def end(self, message: str) -> None:
        """Close it, and fail the exchanges that are under way."""
        self._is_ended = True
        if self._transport:
            self._transport.abort()
        while self.under_way:
            self.under_way.popleft().fail(message)


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

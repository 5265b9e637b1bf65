"""A blocking connection to a Redis server, with a bound on the total time of an exchange.

The socket is used directly. Without TLS its time-outs are the kernel's: Python's own poll the
socket before each call, and each poll releases the interpreter's lock, for which a thread of a busy
process has to queue again.
"""

import math
import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any, Self

import hiredis
from redis.connection import DefaultParser
from redis.exceptions import (
    ClusterDownError,
    InvalidResponse,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pegboard.redis.channel import Command
from pegboard.redis.handshake import Connected

TRUSTED_IDLE = 1.0
"""Seconds for which a connection may lie idle before it is checked for having been closed."""

_CHUNK = 65_536

_NOT_SERVING = (ReadOnlyError, ClusterDownError)
"""Errors of a server that is not, or no longer, the right one; MASTERDOWN is among them."""

_NOTHING_YET = (BlockingIOError, TimeoutError, ssl.SSLWantReadError)


class Connection:
    """A connection that one thread uses at a time.

    Every method but `cut` and `close` raises `RedisError` or `OSError`. Errors that the server
    reports are values, unless they concern the connection itself.
    """

    def __init__(self, connected: Connected) -> None:
        """Begin TLS where that is wanted, and send nothing else; closes the socket on an error."""
        self.is_cut = False
        self.is_replica = False
        self.server = ""
        """The identity of the server, once it is known."""
        self.opened_at = self.used_at = time.monotonic()
        self._timeout = connected.socket.gettimeout() or 0.0
        self._deadline = 0.0
        self._has_received = False
        self._reader = new_reader()
        self._socket = connected.socket
        try:
            self._socket = self._prepare(connected)
        except BaseException:
            connected.socket.close()
            raise

    @classmethod
    def open(cls, connected: Connected) -> Self:
        """Make the handshake, and note the identity of the server."""
        connection = cls(connected)
        try:
            replies = connection.converse(*connected.handshake.commands)
            connection.server, connection.is_replica = connected.handshake.complete(replies)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connected: Connected) -> socket.socket:
        if connected.tls is not None:
            connected.socket.getpeername()  # raises if it is lost: `wrap_socket` would not close it
            return connected.tls.wrap_socket(connected.socket, server_hostname=connected.host)
        fraction, seconds = math.modf(self._timeout)
        timeout = struct.pack("ll", int(seconds), int(fraction * 1_000_000))
        connected.socket.settimeout(None)
        connected.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        connected.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        return connected.socket

    def converse(self, *commands: Command) -> list[Any]:
        """Send commands, and read their replies."""
        packed = (
            commands[0].packed if len(commands) == 1 else b"".join([one.packed for one in commands])
        )
        self.send(packed)
        return [self.read() for _ in commands]

    def send(self, packed: bytes) -> None:
        """Send everything."""
        self._deadline = time.monotonic() + self._timeout
        self._has_received = False
        try:
            self._socket.sendall(packed)
        except (BlockingIOError, TimeoutError) as error:
            raise too_late() from error

    def read(self) -> Any:
        """Return the next reply."""
        reply = self._reader.gets()
        while reply is False:
            # The system bounds each wait, and so the first; all together are bounded here.
            if self._has_received and not self._has_more_in_time():
                raise too_late()
            try:
                data = self._socket.recv(_CHUNK)
            except _NOTHING_YET as error:
                # It may have come while this thread, of a busy process, waited to go on.
                if not self.has_input(0):
                    raise too_late() from error
                continue
            if not data:
                raise closed_by_server()
            self._has_received = True
            self._reader.feed(data)
            reply = self._reader.gets()
        if isinstance(reply, RedisConnectionError):
            raise reply  # the server is loading, or wants a password
        return reply

    def _has_more_in_time(self) -> bool:
        left = self._deadline - time.monotonic()
        return left > 0 and self.has_input(left)

    def has_input(self, timeout: float) -> bool:
        """Wait so many seconds for something to read, or for the end of the connection."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return is_readable(self._socket, timeout)

    def is_stale(self) -> bool:
        """Return whether it was cut, or lay idle and was closed meanwhile."""
        if self.is_cut:
            return True
        return time.monotonic() - self.used_at >= TRUSTED_IDLE and self.has_input(0)

    def cut(self) -> None:
        """End it from another thread, while one may be waiting for a reply."""
        self.is_cut = True
        shut(self._socket)

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            self._socket.close()

    def __del__(self) -> None:
        """Close it, as in a forked process, which drops those of its parent."""
        self.close()


def new_reader() -> hiredis.Reader:
    """Return a parser of replies, which returns an error that the server reports as a value."""
    return hiredis.Reader(protocolError=InvalidResponse, replyError=_reported)


def _reported(text: str) -> Exception:
    error: Exception = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call]  # it has none
    return error


def is_readable(sock: socket.socket, timeout: float) -> bool:
    """Wait so many seconds for something to read from a socket, or for its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def shut(sock: socket.socket) -> None:
    """End both directions of a socket, from any thread; its owner still has to close it."""
    with suppress(OSError):
        # Not the method of an encrypted one, which would take the encryption from its reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def too_late() -> RedisTimeoutError:
    """Return the error of a time-out."""
    return RedisTimeoutError("the server did not answer in time")


def closed_by_server() -> RedisConnectionError:
    """Return the error of a connection that the server has closed."""
    return RedisConnectionError("the server has closed the connection")


def resolve(connection: Connection, command: Command, error: ResponseError) -> Any:
    """Return the value for a command that was answered with an error."""
    again = substitute(command, error)
    if again is None:
        return error
    [value] = connection.converse(again)
    return resolve(connection, again, value) if isinstance(value, ResponseError) else value


def substitute(command: Command, error: ResponseError) -> Command | None:
    """Return what to send for a command that the server has not executed; None if the error stands.

    Raises the error of a server that is not the right one.
    """
    if isinstance(error, NoScriptError) and command.script is not None:
        return Command(command.key, command.script.in_full(command.packed))
    if isinstance(error, _NOT_SERVING):
        raise error
    return None

"""Bytes to a Redis server and replies back, over a connection that the library has set up.

redis-py connects, authenticates and encrypts. A plain socket is then used directly: time-outs that
the kernel keeps spare each call a look at whether the socket is ready, and what fits into the
socket's buffer is sent, and on an event loop what is there is taken in, without letting go of the
interpreter's lock, for which a busy process would have to queue again (measured: 40 % more requests
per second). An encrypted one is left to the
library.
"""

import ctypes
import math
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import hiredis
from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

_CHUNK = 65_536
_AT_ONCE = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
# PyDLL, unlike CDLL, keeps the interpreter's lock.
_send = ctypes.PyDLL(None).send
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = ctypes.c_ssize_t
_receive_now = ctypes.PyDLL(None).recv
_receive_now.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_receive_now.restype = ctypes.c_ssize_t


class Link(Protocol):
    """What is used of a connection of redis-py, which has no types for it."""

    def connect(self) -> None:
        """Connect, unless connected."""

    def disconnect(self) -> None:
        """Close it."""

    def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send."""

    def read_response(self, disable_decoding: bool = False) -> Any:  # noqa: FBT001, FBT002 - redis-py's
        """Read one reply; raises the errors that a server reports."""

    def can_read(self, timeout: float) -> bool:
        """Wait for something to read, or for the end of the connection."""


class Line(Protocol):
    """What a wire speaks over; every method but `close` raises `RedisError` or `OSError`."""

    def send(self, packed: bytes) -> None:
        """Send everything."""

    def read(self) -> Any:
        """Return the next reply; an error that the server reports is a value."""

    def has_input(self, timeout: float) -> bool:
        """Wait so many seconds for something to read, or for the end of the connection."""

    def cut(self) -> None:
        """End what another thread is waiting for."""

    def close(self) -> None:
        """Close it."""


def connect(link: Link) -> Line:
    """Connect, and return what to speak over."""
    link.connect()
    plain = getattr(link, "_sock", None)
    if isinstance(plain, socket.socket) and not isinstance(plain, ssl.SSLSocket):
        return PlainLine(link, plain)
    return LibraryLine(link)


class PlainLine:
    """A socket, and a parser of what it brings."""

    __slots__ = (
        "_address",
        "_buffer",
        "_deadline",
        "_feed",
        "_has_received",
        "_link",
        "_receive",
        "_socket",
        "bound",
        "gets",
        "number",
    )

    def __init__(self, link: Link, plain: socket.socket) -> None:
        self.bound = plain.gettimeout() or 0.0
        """Seconds to wait for the server."""
        self._deadline = 0.0
        self._has_received = False
        fraction, seconds = math.modf(self.bound)
        bound = struct.pack("ll", int(seconds), int(fraction * 1_000_000))
        plain.settimeout(None)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)
        self._link = link
        self._socket = plain
        self.number = plain.fileno()
        """The number of the socket among the files of the process."""
        self._receive = plain.recv
        self._buffer = bytearray(_CHUNK)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        reader = hiredis.Reader(protocolError=InvalidResponse, replyError=_reported)
        self._feed = reader.feed
        self.gets = reader.gets
        """Returns the next reply of what has been taken in, which may be an error, or False."""

    def send(self, packed: bytes) -> None:
        """Send everything."""
        self._deadline = time.monotonic() + self.bound
        self._has_received = False
        sent = _send(self.number, packed, len(packed), _AT_ONCE)
        if sent == len(packed):
            return
        try:
            # The rest, or all of it, and whatever is wrong with the connection.
            self._socket.sendall(packed[max(sent, 0) :])
        except BlockingIOError as error:
            raise too_late() from error

    def read(self) -> Any:
        """Return the next reply."""
        reply = self.gets()
        while reply is False:
            # The kernel bounds each wait, and so the first; all together are bounded here.
            if self._has_received and not self._has_more_in_time():
                raise too_late()
            try:
                self._take_in(0)
            except BlockingIOError as error:
                # It may have come while this thread, of a busy process, waited to go on.
                if not self.has_input(0):
                    raise too_late() from error
                continue
            self._has_received = True
            reply = self.gets()
        if isinstance(reply, RedisConnectionError):
            raise reply  # the server is loading, or wants a password
        return reply

    def _take_in(self, flags: int) -> None:
        data = self._receive(_CHUNK, flags)
        if not data:
            message = "the server has closed the connection"
            raise RedisConnectionError(message)
        self._feed(data)

    def take_in(self) -> bool:
        """Take in some of what has arrived, without waiting; returns whether anything has."""
        received = _receive_now(self.number, self._address, _CHUNK, _AT_ONCE)
        if received > 0:
            self._feed(self._buffer, 0, received)  # type: ignore[arg-type]  # any buffer will do
            return True
        try:
            self._take_in(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def push(self, packed: bytes) -> int:
        """Send what can be sent without waiting; returns how many bytes."""
        sent = _send(self.number, packed, len(packed), _AT_ONCE)
        return sent if sent >= 0 else self.push_rest(memoryview(packed))

    def push_rest(self, rest: memoryview) -> int:
        """Send what can be sent of the rest, likewise."""
        try:
            return self._socket.send(rest, _AT_ONCE)
        except BlockingIOError:
            return 0

    def _has_more_in_time(self) -> bool:
        left = self._deadline - time.monotonic()
        return left > 0 and self.has_input(left)

    def has_input(self, timeout: float) -> bool:
        """Wait for something to read."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def cut(self) -> None:
        """Shut the socket."""
        _shut(self._socket)

    def close(self) -> None:
        """Close the socket."""
        with suppress(RedisError, OSError):
            self._link.disconnect()


def _reported(text: str) -> Exception:
    """Return the error that a server reports."""
    error: Exception = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call]  # it has none
    return error


class LibraryLine:
    """The library's own connection."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def send(self, packed: bytes) -> None:
        """Send everything."""
        self._link.send_packed_command([packed], check_health=False)

    def read(self) -> Any:
        """Return the next reply."""
        try:
            return self._link.read_response(disable_decoding=True)
        except RedisConnectionError:
            raise
        except ResponseError as error:
            return error

    def has_input(self, timeout: float) -> bool:
        """Wait for something to read."""
        return self._link.can_read(timeout)

    def cut(self) -> None:
        """Shut the socket."""
        plain = getattr(self._link, "_sock", None)
        if isinstance(plain, socket.socket):
            _shut(plain)

    def close(self) -> None:
        """Close the connection."""
        with suppress(RedisError, OSError):
            self._link.disconnect()


def _shut(plain: socket.socket) -> None:
    with suppress(OSError):
        # Not that of an encrypted one, which would take the encryption away from its reader.
        socket.socket.shutdown(plain, socket.SHUT_RDWR)


def too_late() -> RedisTimeoutError:
    """Return the error of a server that is waited for no longer."""
    return RedisTimeoutError("the server did not answer in time")

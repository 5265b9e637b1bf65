"""Sending an answer to an ASGI server, whole or in parts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from pegboard.http import (
    HIGHEST_STATUS,
    LOWEST_STATUS,
    UnsendableError,
    encode_header_name,
    encode_header_value,
)
from pegboard.observation import CLIENT_GONE

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
"""The `send` of ASGI: takes the next message of an answer."""

_KNOWN = 1024
_PIECE = 64 * 1024
"""Bytes that are sent at once: a slow client that takes a piece in time is not given up."""

_headers: dict[tuple[str, str], tuple[bytes, bytes]] = {}
"""Encoded headers. The first ones are kept, among them all that most answers have in common."""


class SlowClientError(TimeoutError):
    """Raised when a client takes nothing of its answer any more; its connection is broken off."""


class Draining(Protocol):
    """Says whether the process is about to stop."""

    is_draining: bool


class Outlet:
    """Sends the answer of one request."""

    __slots__ = ("_send", "_timeout", "_worker", "has_begun", "size", "status")

    def __init__(self, send: Send, worker: Draining, timeout: float) -> None:
        """`timeout` is for how many seconds a client may take nothing of a part."""
        self._send = send
        self._worker = worker
        self._timeout = timeout
        self.has_begun = False
        self.status = CLIENT_GONE
        """The status that was sent, if any."""
        self.size = 0
        """Bytes of the body that were sent."""

    async def give(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send a whole answer. Raises `UnsendableError` before anything is sent."""
        if type(body) is not bytes:
            message = f"the body is {type(body).__name__}, not bytes"
            raise UnsendableError(message)
        await self._send(self._start(status, headers))
        await self._send({"type": "http.response.body", "body": body})
        self.size = len(body)

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send status and headers; `go_on` and `end` follow. Raises `UnsendableError`."""
        await self._send(self._start(status, headers))

    def _start(self, status: int, headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
        if not LOWEST_STATUS <= status <= HIGHEST_STATUS:
            message = f"the status is {status}"
            raise UnsendableError(message)
        encoded = [_headers.get(header) or _encode(header) for header in headers]
        if self._worker.is_draining:
            encoded.append((b"connection", b"close"))
        self.has_begun, self.status = True, status
        return {"type": "http.response.start", "status": status, "headers": encoded}

    async def go_on(self, part: bytes) -> None:
        """Send a part of the body, as fast as the client takes it. Raises `SlowClientError`."""
        for start in range(0, len(part), _PIECE):
            piece = part[start : start + _PIECE]
            await self._send_in_time(
                {"type": "http.response.body", "body": piece, "more_body": True}
            )
            self.size += len(piece)

    async def end(self) -> None:
        """Send the end of the body. Raises `SlowClientError`."""
        await self._send_in_time({"type": "http.response.body", "body": b""})

    async def _send_in_time(self, message: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._send(message)
        except TimeoutError:
            text = f"the client has taken nothing of its answer for {self._timeout:g} s"
            raise SlowClientError(text) from None


def _encode(header: tuple[str, str]) -> tuple[bytes, bytes]:
    name, value = header
    is_plain = value.isascii() and value.isprintable()
    encoded = (
        encode_header_name(name),
        value.encode() if is_plain else encode_header_value(value),
    )
    if len(_headers) < _KNOWN:
        _headers[header] = encoded
    return encoded

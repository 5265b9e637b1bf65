"""Answers of requests, as an ASGI server takes them."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
"""What takes the next part of an answer (ASGI)."""

_KNOWN_NAMES = 1024
_PIECE = 64 * 1024
"""Bytes of a part that are sent at once: who takes a little of a large part has not stopped."""

_LEAST, _GREATEST = 200, 999
# RFC 9110, section 5.6.2 and 5.5.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_names: dict[str, bytes] = {}


class Stopping(Protocol):
    """Whoever knows whether the process is about to stop."""

    is_draining: bool


class UnsendableError(ValueError):
    """Raised for an answer that HTTP cannot express, before anything of it is sent."""


class Outlet:
    """Sends the answer of one request."""

    __slots__ = ("_send", "_timeout", "_worker", "has_begun")

    def __init__(self, send: Send, worker: Stopping, timeout: float) -> None:
        """`timeout` is for how many seconds a client may take nothing of a part."""
        self._send = send
        self._worker = worker
        self._timeout = timeout
        self.has_begun = False

    async def give(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send the whole of it; raises `UnsendableError`."""
        if type(body) is not bytes:
            message = f"the body is {type(body).__name__}, not bytes"
            raise UnsendableError(message)
        await self.begin(status, headers)
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send what stands before the body; `go_on` and `end` follow. Raises `UnsendableError`."""
        if not _LEAST <= status <= _GREATEST:
            message = f"the status is {status}"
            raise UnsendableError(message)
        encoded = [(_names.get(name) or _encode(name), _sendable(value)) for name, value in headers]
        if self._worker.is_draining:
            encoded.append((b"connection", b"close"))
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def go_on(self, part: bytes) -> None:
        """Send a part of the body; returns when the client can take more. Raises `TimeoutError`."""
        for start in range(0, len(part), _PIECE):
            piece = part[start : start + _PIECE]
            async with asyncio.timeout(self._timeout):
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        """Send the end of the body. Raises `TimeoutError`."""
        async with asyncio.timeout(self._timeout):
            await self._send({"type": "http.response.body", "body": b""})


def _encode(name: str) -> bytes:
    if not _TOKEN.fullmatch(name) or name.lower() == "transfer-encoding":
        message = f"{name!r} is no header that an app may send"
        raise UnsendableError(message)
    encoded = name.lower().encode("latin-1")
    if len(_names) < _KNOWN_NAMES:
        _names[name] = encoded
    return encoded


def _sendable(value: str) -> bytes:
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError:
        encoded = None
    # Most are printable, and then this is all that it costs.
    if encoded is None or (not value.isprintable() and _CONTROL.search(encoded)):
        message = f"{value!r} is no value of a header"
        raise UnsendableError(message)
    return encoded

"""Answers of requests, as an ASGI server takes them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
"""What takes the next part of an answer (ASGI)."""

_KNOWN_NAMES = 1024
_names: dict[str, bytes] = {}


class Stopping(Protocol):
    """Whoever knows whether the process is about to stop."""

    is_draining: bool


class Outlet:
    """Sends the answer of one request."""

    __slots__ = ("_send", "_worker", "has_begun")

    def __init__(self, send: Send, worker: Stopping) -> None:
        self._send = send
        self._worker = worker
        self.has_begun = False

    async def give(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send the whole of it."""
        await self.begin(status, headers)
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send what stands before the body; `go_on` and `end` follow."""
        encoded = [
            (_names.get(name) or _encode(name), value.encode("latin-1")) for name, value in headers
        ]
        if self._worker.is_draining:
            encoded.append((b"connection", b"close"))
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def go_on(self, part: bytes) -> None:
        """Send a part of the body; returns when the client can take more."""
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        """Send the end of the body."""
        await self._send({"type": "http.response.body", "body": b""})


def _encode(name: str) -> bytes:
    encoded = name.lower().encode("latin-1")
    if len(_names) < _KNOWN_NAMES:
        _names[name] = encoded
    return encoded

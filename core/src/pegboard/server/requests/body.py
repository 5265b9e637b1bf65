"""Bodies of requests: received on the event loop, so that no thread waits for a slow client."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pegboard.deadline import Deadline
from pegboard.http import APIError, unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import WSGIEnvironment

Receive = Callable[[], Awaitable[dict[str, Any]]]
"""The `receive` of ASGI: returns the next message of a request."""

Wait = Callable[[], AbstractContextManager[None]]

MEMORY = 64 * 1024 * 1024
"""Bytes of bodies that a process holds; beyond, the body that began to arrive first is refused."""


class Inlet:
    """Receives the bodies of requests on the event loop, and bounds the memory they take."""

    def __init__(self, *, limit: int, timeout: float) -> None:
        """`limit` is the largest body received in advance, in bytes.

        `timeout` is the seconds in which the next part of a body must arrive.
        """
        self._limit = limit
        self._timeout = timeout
        self._held = 0
        self._arriving: dict[_Arrival, None] = {}
        """The bodies that are being received, the oldest first."""

    def defer(self, environ: "WSGIEnvironment", receive: Receive, deadline: Deadline) -> None:
        """Let a thread receive a request's body, if its view reads it at all."""
        arrival = _Arrival(receive, asyncio.get_running_loop(), self._timeout, deadline)
        environ["wsgi.input"] = _Body(arrival, is_optional=True)

    async def receive(
        self, environ: "WSGIEnvironment", receive: Receive, deadline: Deadline
    ) -> int:
        """Put a request's body in its environment; returns the bytes held, for `release`.

        A body over the limit is left for its view to refuse, or to read. Raises `APIError` for one
        that does not arrive before the deadline.
        """
        body = _Arrival(receive, asyncio.get_running_loop(), self._timeout, deadline)
        declared = environ.get("CONTENT_LENGTH") or ""
        is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        length = int(declared) if declared.isdecimal() and not is_chunked else None
        if length is not None and length > self._limit:
            environ["wsgi.input"] = _Body(body)
            return 0
        parts: list[bytes] = []
        size = 0
        self._arriving[body] = None
        try:
            # Granian sends an empty part after the last: to wait for it wakes the loop once more.
            while size <= self._limit and size != length and (part := await body.next()):
                parts.append(part)
                size += len(part)
                self._hold(body, len(part))
            body.has_ended = body.has_ended or size == length
        except BaseException:
            self._held -= size
            environ["wsgi.input"] = _Body(body)
            raise
        finally:
            self._arriving.pop(body, None)
        whole = b"".join(parts)
        environ["wsgi.input"] = io.BytesIO(whole) if body.has_ended else _Body(body, whole)
        return size

    def _hold(self, body: "_Arrival", size: int) -> None:
        self._held += size
        if self._held <= MEMORY:
            return
        # The oldest is refused: otherwise a few slow clients could keep out all others.
        slowest = next(iter(self._arriving), body)
        if slowest is body:
            raise _too_many()
        del self._arriving[slowest]
        slowest.refuse()

    def release(self, size: int) -> None:
        """Note that so many bytes are no longer held."""
        self._held -= size


def has_arrived(body: object) -> bool:
    """Return whether all of a request's body has been received."""
    return not isinstance(body, _Body) or body.arrival.has_ended


def is_over(body: object) -> bool:
    """Return whether the rest of a request's body will not be read.

    A body that is unlikely to be read ends here.
    """
    if not isinstance(body, _Body):
        return True
    arrival = body.arrival
    arrival.has_ended = arrival.has_ended or body.is_optional
    return arrival.has_ended


def tell_waits(body: object, wait: "Wait") -> None:
    """Have a thread that reads a request's body be in this context while it waits for more."""
    if isinstance(body, _Body):
        body.arrival.wait = wait


class _Arrival:
    """A body that is still arriving."""

    __slots__ = (
        "_deadline",
        "_loop",
        "_receive",
        "_refuse",
        "_task",
        "_timeout",
        "has_ended",
        "wait",
    )

    def __init__(
        self,
        receive: Receive,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        deadline: Deadline,
    ) -> None:
        self._receive = receive
        self._loop = loop
        self._timeout = timeout
        self._deadline = deadline
        self.has_ended = False
        self.wait: Wait = nullcontext
        """Makes the context in which a thread waits for the next part."""
        self._task: asyncio.Task[Any] | None = None
        """What waits for a part."""
        # Not the error itself: its traceback would keep this, and with it the connection open.
        self._refuse: Callable[[], APIError] | None = None
        """Makes the error because of which no more of it is received."""

    def read(self) -> bytes:
        """Do as `next`, on a thread, which waits."""
        with self.wait():
            return asyncio.run_coroutine_threadsafe(self.next(), self._loop).result()

    async def next(self) -> bytes:
        """Return the next part, nothing at the end."""
        while not self.has_ended:
            if self._refuse is not None:
                raise self._refuse()
            message = await self._next_message()
            if message["type"] == "http.disconnect":
                raise APIError(HTTPStatus.BAD_REQUEST, "The request's body ends too early.")
            self.has_ended = not message.get("more_body", False)
            if part := message.get("body", b""):
                return bytes(part)
        return b""

    async def _next_message(self) -> dict[str, Any]:
        """Receive a message. Raises the error that `_end` is given meanwhile."""
        # `asyncio.timeout` costs three times as much.
        self._task = task = asyncio.current_task()
        left = max(0.0, self._deadline.left)
        timer = self._loop.call_later(min(self._timeout, left), self._expire)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if self._refuse is None or task is None or task.uncancel():
                raise  # others have cancelled it
            raise self._refuse() from None
        finally:
            timer.cancel()
            self._task = None
            del task  # it has the error, whose traceback has this frame

    def _expire(self) -> None:
        if self._deadline.is_over:
            self._end(partial(_too_late, self._deadline.seconds))
        else:
            self._end(partial(_too_slow, self._timeout))

    def refuse(self) -> None:
        """Receive no more of it."""
        self._end(_too_many)

    def _end(self, refuse: Callable[[], APIError]) -> None:
        self._refuse = self._refuse or refuse
        if self._task is not None:
            self._task.cancel()


class _Body(io.RawIOBase):
    """A body that is still arriving, as a file that a thread reads."""

    def __init__(self, arrival: _Arrival, first: bytes = b"", *, is_optional: bool = False) -> None:
        """`first` is the part that has come already."""
        self.arrival = arrival
        self.is_optional = is_optional
        """Whether a view is unlikely to read it."""
        self._waiting = first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        if not self._waiting:
            self._waiting = self.arrival.read()
        part, self._waiting = self._waiting[: len(target)], self._waiting[len(target) :]
        target[: len(part)] = part
        return len(part)


def _too_slow(timeout: float) -> APIError:
    return APIError(
        HTTPStatus.REQUEST_TIMEOUT,
        f"Nothing of the request's body arrived for {timeout:g} seconds.",
        headers={"Connection": "close"},
    )


def _too_late(seconds: float) -> APIError:
    return APIError(
        HTTPStatus.REQUEST_TIMEOUT,
        f"The request's body did not arrive within the request's time of {seconds:g} s.",
        headers={"Connection": "close"},
    )


def _too_many() -> APIError:
    message = "Too many requests are being received at the moment. Try again."
    return unavailable(message, headers={"Connection": "close"})

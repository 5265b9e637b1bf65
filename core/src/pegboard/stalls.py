"""What a worker of Granian does about clients that send a body slowly, or never finish.

Granian hands a request to a thread before its body has arrived, and the thread waits for the rest
for as long as the client likes: as many stalled clients as threads would silence the service.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, NoReturn

from pegboard.errors import RETRY_AFTER, abort

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GRACE = 0.1
"""Seconds after which a body is known to stall, and not only to wait for a busy process."""

MAX_READERS = 64
"""Bodies that are read apart; one that stalled takes its place until its client is gone."""


class Stalls:
    """WSGI middleware that lets at most half of the threads wait for bodies, and not for long."""

    def __init__(self, app: "WSGIApplication", *, threads: int, timeout: float) -> None:
        patient = max(1, threads // 2)
        self._app = app
        self._timeout = timeout
        # A thread that reads by itself cannot be interrupted, so there is one at a time, and none
        # where there are few threads. Under light load that is every body.
        self._direct = threading.Semaphore(min(1, patient - 1))
        self._readers = threading.Semaphore(MAX_READERS)
        self._waiting = threading.Semaphore(max(1, patient - 1))

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = _Input(self, environ["wsgi.input"])
        return self._app(environ, start_response)

    def read(self, source: IO[bytes], size: int) -> bytes:
        """Read from a body; answers 408 when it stalls, and 503 when too many do already."""
        if not self._direct.acquire(blocking=False):
            return self._read_apart(source, size)
        try:
            return source.read(size)
        finally:
            self._direct.release()

    def _read_apart(self, source: IO[bytes], size: int) -> bytes:
        if not self._readers.acquire(blocking=False):
            _refuse()
        found: SimpleQueue[bytes] = SimpleQueue()

        def read() -> None:
            try:
                found.put(source.read(size))
            finally:
                self._readers.release()

        # A thread of its own: those of a pool would be waited for when the process ends.
        threading.Thread(target=read, name="pegboard-body", daemon=True).start()
        try:
            return found.get(timeout=GRACE)
        except Empty:
            return self._wait(found)

    def _wait(self, found: "SimpleQueue[bytes]") -> bytes:
        if not self._waiting.acquire(blocking=False):
            _refuse()
        try:
            return found.get(timeout=self._timeout)
        except Empty:
            abort(HTTPStatus.REQUEST_TIMEOUT, "The body of the request did not arrive in time.")
        finally:
            self._waiting.release()


@dataclass(frozen=True)
class _Input:
    """The part of a file that bodies are read with."""

    stalls: Stalls
    source: IO[bytes]

    def read(self, size: int) -> bytes:
        return self.stalls.read(self.source, size)


def _refuse() -> NoReturn:
    abort(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many requests are being received at the moment. Try again.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )

"""What a worker of Granian does about clients that begin a body and do not finish it.

Granian hands a request to a thread before its body has arrived, and the thread waits for the rest
for as long as the client likes: as many stalled clients as threads would silence the service. The
wait cannot be cut short, nor left to another thread, which would freeze the process when the
request ends first (seen with Granian 2.8). So only some of the threads may wait at all.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING

from pegboard.errors import RETRY_AFTER, abort

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GRACE = 0.25
"""Seconds without progress after which bodies stall, and are not only read by a busy process."""


class Stalls:
    """WSGI middleware that lets at most half of the threads wait for bodies."""

    def __init__(self, app: "WSGIApplication", *, threads: int) -> None:
        self._app = app
        self._places = threading.Semaphore(max(1, threads // 2))
        self._progress = 0.0

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = _Input(self, environ["wsgi.input"])
        return self._app(environ, start_response)

    def read(self, source: IO[bytes], size: int) -> bytes:
        """Read from a body; answers 503 when too many others stall."""
        patience = max(0.0, self._progress + GRACE - time.monotonic())
        if not self._places.acquire(timeout=patience):
            abort(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many requests are being received at the moment. Try again.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self._progress = time.monotonic()
        try:
            return source.read(size)
        finally:
            self._places.release()
            self._progress = time.monotonic()


@dataclass(frozen=True)
class _Input:
    """The part of a file that bodies are read with."""

    stalls: Stalls
    source: IO[bytes]

    def read(self, size: int) -> bytes:
        return self.stalls.read(self.source, size)

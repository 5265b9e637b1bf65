"""A small HTTP server for the management port: few connections, one request each.

It is `wsgiref` of the standard library, with bounds: so many connections at once, and so much time
for each. When all are taken, a new one takes the place of the one that has waited longest for its
client; so clients that are slow keep nobody out, however many they are.
"""

import io
import logging
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from pegboard.http import error_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)

CONNECTIONS = 32
"""Connections that are served at once, each on a thread."""

LONGEST = 5.0
"""Seconds until a request must have arrived, and until its answer must have been taken."""

LONGEST_ANSWER = 60.0
"""Seconds that the app may take for an answer."""

LONGEST_BODY = 64 * 1024
"""Bytes of a body that are read; a longer one the app refuses by its length."""

_DIGITS = 10
_POLL = 0.5
_CONNECTION = "pegboard.connection"


@dataclass
class _Open:
    """A connection that is served."""

    due: float
    """When it is cut, by `time.monotonic`."""
    waits_for_client: bool = True
    """Whether the client is to send or to read something, and not the app to answer."""


class ManagementServer(WSGIServer):
    """Serves a WSGI app on a socket that listens already."""

    def __init__(self, listener: socket.socket, app: "WSGIApplication") -> None:
        HTTPServer.__init__(self, ("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()
        self._app = app
        self.set_app(self._answer)
        self._executor = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="pegboard-management")
        self._open: dict[socket.socket, _Open] = {}
        self._lock = threading.Lock()
        self._moved_at = time.monotonic()

    def start(self) -> None:
        """Serve on threads from now on, until `shutdown` is called."""
        threading.Thread(
            target=self.serve_forever, args=(_POLL,), name="pegboard-management", daemon=True
        ).start()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; one of a Unix socket has no address."""
        connection, address = self.socket.accept()
        return connection, address or ("", 0)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread; cuts another one if there are too many."""
        with self._lock:
            is_served = len(self._open) < CONNECTIONS or self._cut_oldest()
            if is_served:
                self._open[request] = _Open(time.monotonic() + LONGEST)
        if is_served:
            self._executor.submit(self._serve, request, client_address)
        else:
            self.shutdown_request(request)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # as when the client disconnects
            logger.debug("a connection to the management port failed", exc_info=True)
        finally:
            with self._lock:
                self._open.pop(request, None)
            self.shutdown_request(request)

    def _answer(self, environ: Any, start_response: Any) -> Any:
        request = environ.pop(_CONNECTION)
        self._note(request, LONGEST_ANSWER, waits_for_client=False)
        try:
            return self._app(environ, start_response)
        finally:
            self._note(request, LONGEST, waits_for_client=True)

    def _note(self, request: socket.socket, seconds: float, *, waits_for_client: bool) -> None:
        """Note what a connection waits for from now on, and for how long at most."""
        with self._lock:
            if request in self._open:  # else it was cut
                self._open[request] = _Open(time.monotonic() + seconds, waits_for_client)

    def _cut_oldest(self) -> bool:
        """Cut the connection that has waited longest for its client; returns False without one."""
        waiting = [
            (one.due, request) for request, one in self._open.items() if one.waits_for_client
        ]
        if not waiting:
            return False
        _, request = min(waiting, key=lambda pair: pair[0])
        del self._open[request]
        _cut(request)
        return True

    def service_actions(self) -> None:
        """Cut the connections that take too long; called again and again."""
        self._moved_at = now = time.monotonic()
        with self._lock:
            for request, one in self._open.items():
                if now >= one.due:
                    _cut(request)

    def is_still(self) -> bool:
        """Return whether no connection can be served: all threads have stayed beyond their time."""
        now = time.monotonic()
        with self._lock:
            late = sum(now >= one.due + LONGEST for one in self._open.values())
        return late >= CONNECTIONS or now >= self._moved_at + LONGEST


def _cut(request: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        request.shutdown(socket.SHUT_RDWR)


class Handler(WSGIRequestHandler):
    """Reads one request and answers it."""

    server: ManagementServer
    timeout = LONGEST
    server_version = "Pegboard"
    sys_version = ""

    def parse_request(self) -> bool:
        """Read the line, the headers and the body; answers what cannot be read with an error."""
        is_read = super().parse_request()
        if is_read:
            self._read_body()
        return is_read

    def _read_body(self) -> None:
        """Wait for the body here, where the time for it is that of the headers."""
        length = self.headers.get("Content-Length", "")
        if length.isdecimal() and len(length) < _DIGITS and int(length) <= LONGEST_BODY:
            with self.rfile as stream:
                self.rfile = io.BytesIO(stream.read(int(length)))

    def get_environ(self) -> dict[str, Any]:
        """Return what the app gets, and by what the server knows the connection."""
        return {**super().get_environ(), _CONNECTION: self.connection}

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that cannot be read, in the platform's format."""
        self.request_version = (
            "HTTP/1.0"  # else, where none could be read, it would have no headers
        )
        status = HTTPStatus(code)
        body = error_body(status, f"{explain or message or status.phrase}.")
        self.send_response(status)
        for name, value in _headers_of(body):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Return what `Server` says."""
        return self.server_version

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log a request for those who look for it: probes ask every few seconds."""
        logger.debug(format, *args)


def _headers_of(body: bytes) -> Iterable[tuple[str, str]]:
    yield "Content-Type", "application/json"
    yield "Content-Length", str(len(body))
    yield "Cache-Control", "no-store"
    yield "Connection", "close"

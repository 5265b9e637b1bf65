"""A small HTTP server for the management port: few connections, one request each.

It is `wsgiref` of the standard library, with bounds: so many connections at once, and so much time
for each. Those beyond are closed.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
"""Seconds until the line and the headers of a request must have arrived."""

LONGEST_ANSWER = 60.0
"""Seconds that the rest may take: the body, and the answer."""

_POLL = 0.5


class ManagementServer(WSGIServer):
    """Serves a WSGI app on a socket that listens already."""

    def __init__(self, listener: socket.socket, app: "WSGIApplication") -> None:
        HTTPServer.__init__(self, ("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()
        self.set_app(app)
        self._executor = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="pegboard-management")
        self._free = threading.Semaphore(CONNECTIONS)
        self._due: dict[socket.socket, float] = {}
        """When each connection is cut, by `time.monotonic`."""

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
        """Serve a connection on a thread, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._due[request] = time.monotonic() + LONGEST
        self._executor.submit(self._serve, request, client_address)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # as when the client disconnects
            logger.debug("a connection to the management port failed", exc_info=True)
        finally:
            self._due.pop(request, None)
            self.shutdown_request(request)
            self._free.release()

    def note_arrived(self, request: socket.socket) -> None:
        """Note that all of a request's line and headers is there."""
        self._due[request] = time.monotonic() + LONGEST_ANSWER

    def service_actions(self) -> None:
        """Cut the connections that take too long; called again and again."""
        now = time.monotonic()
        for request, due in [*self._due.items()]:
            if now >= due:
                with suppress(OSError):  # it is closed already
                    request.shutdown(socket.SHUT_RDWR)


class Handler(WSGIRequestHandler):
    """Reads one request and answers it."""

    server: ManagementServer
    timeout = LONGEST
    server_version = "Pegboard"
    sys_version = ""

    def parse_request(self) -> bool:
        """Read the line and the headers; answers what cannot be read with an error."""
        is_read = super().parse_request()
        self.server.note_arrived(self.connection)
        return is_read

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

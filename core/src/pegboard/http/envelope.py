"""What every answer gets: a request id, security headers, one log line.

It is done outside Flask, so that answers which Flask never sees get it as well.
"""

import logging
import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from pegboard.http.errors import REQUEST_ID_KEY, internal_error, response_of
from pegboard.http.request_line import answer_early
from pegboard.logs import request_id, trace_id

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# W3C Trace Context, section 3.2: version, trace id, parent id and flags; all zeros are invalid.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
_SECURITY = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_INTERNAL_ERROR = "500 Internal Server Error"
_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")


@dataclass(frozen=True)
class Envelope:
    """WSGI middleware around the whole app; it also answers 500 when the app itself fails."""

    app: "WSGIApplication"
    propagate: bool = False
    """Whether exceptions reach the caller, as in tests."""

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        started = time.perf_counter()
        # A server that has identified the request, and checked it, calls this in the same context.
        identifier = environ.get(REQUEST_ID_KEY)
        early = None
        if identifier is None:
            identifier = identify(environ)
            early = answer_early(environ)
        sent: list[str] = []

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            sent[:] = [status]
            add_common_headers(headers, identifier)
            return start_response(status, headers, exc_info)

        try:
            if early is None:
                body = self.app(environ, start)
            else:
                status, headers, content = early
                if status != HTTPStatus.NO_CONTENT:
                    headers.append(("Content-Length", str(len(content))))
                start(f"{status.value} {status.phrase}", headers)
                body = [] if environ["REQUEST_METHOD"] == "HEAD" else [content]
        except Exception:
            logger.exception("unhandled error outside the views")
            if self.propagate:
                raise
            response = response_of(internal_error(environ))
            body, _, headers = response.get_wsgi_response(environ)
            # The exception if an answer has already begun (PEP 3333).
            start(_INTERNAL_ERROR, headers, sys.exc_info() if sent else None)
        log_request(environ, sent[0][:3] if sent else "-", started)
        return body


def identify(environ: "WSGIEnvironment") -> str:
    """Give a request its id, which is returned and is in `environ` from now on.

    Log lines have it, and the trace id, in this context (`contextvars`) and in copies of it.
    """
    new = _new_id()
    identifier = environ[REQUEST_ID_KEY] = _given_id(environ) or new
    request_id.set(identifier)
    trace_id.set(_given_trace(environ) or new)
    return identifier


def add_common_headers(headers: list[tuple[str, str]], identifier: str) -> None:
    """Add the headers of every answer: the request's id and the security headers."""
    headers.append(("X-Request-ID", identifier))
    headers.extend(_SECURITY)
    if not any([name == _POLICY[0] for name, _ in headers]):  # noqa: C419 - faster so
        headers.append(_POLICY)


def log_request(environ: "WSGIEnvironment", status: str | int, started: float) -> None:
    """Log one line for a request; `started` is the `time.perf_counter` of its beginning."""
    if logger.isEnabledFor(logging.INFO):
        elapsed = (time.perf_counter() - started) * 1000
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        logger.info("%s %s %s %.1f ms", method, path, status, elapsed)


def _given_id(environ: "WSGIEnvironment") -> str | None:
    given: str | None = environ.get("HTTP_X_REQUEST_ID")
    return given if given and _ACCEPTED_ID.fullmatch(given) else None


def _given_trace(environ: "WSGIEnvironment") -> str | None:
    traceparent: str | None = environ.get("HTTP_TRACEPARENT")
    given = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return given[1] if given else None


def _new_id() -> str:
    # It must be unique, not secret, and reading the system's randomness is slow.
    return f"{random.getrandbits(128):032x}"

"""What every answer gets: a request id, the headers of the edge, compression, one log line.

It is done outside Flask, so that answers which Flask never sees get it as well.
"""

import logging
import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from werkzeug.wsgi import ClosingIterator

from pegboard.http.compression import MAX_WHOLE_SIZE, Coding, compress_parts
from pegboard.http.edge import Edge
from pegboard.http.errors import REQUEST_ID_KEY, internal_error, response_of
from pegboard.http.request_line import EarlyAnswer
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
_WITHOUT_BODY = frozenset({"204", "304"})
_INTERNAL_ERROR = "500 Internal Server Error"


class Watcher(Protocol):
    """Is told of each request."""

    def begin(self, environ: "WSGIEnvironment") -> None:
        """Take note that a request begins."""

    def end(self, environ: "WSGIEnvironment", status: int, size: int, started: float) -> None:
        """Take note of the answer; `started` is the `time.perf_counter` of the beginning."""


@dataclass(frozen=True)
class Envelope:
    """WSGI middleware around the whole app; it also answers 500 when the app itself fails."""

    app: "WSGIApplication"
    edge: Edge
    """What is done to each request first, and to each answer last."""
    watcher: "Watcher"
    """What is told of each request, unless the server tells it."""
    propagate: bool = False
    """Whether exceptions reach the caller, as in tests."""

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        identifier = environ.get(REQUEST_ID_KEY)
        # A server that has identified the request calls this in the same context, and tells of it.
        if identifier is not None:
            return self._answer(environ, identifier, start_response, None)[0]
        started = time.perf_counter()
        identifier = identify(environ)
        self.watcher.begin(environ)
        early = self.edge.enter(environ)
        try:
            body, answer = self._answer(environ, identifier, start_response, early)
        except Exception:
            self.watcher.end(environ, HTTPStatus.INTERNAL_SERVER_ERROR.value, 0, started)
            raise

        end = partial(self.watcher.end, environ, int(answer.status[:3]))
        if answer.size is None:
            return _Counted(body, partial(end, started=started))
        end(answer.size, started)
        return body

    def _answer(
        self,
        environ: "WSGIEnvironment",
        identifier: str,
        start_response: "StartResponse",
        early: EarlyAnswer | None,
    ) -> "tuple[Iterable[bytes], _Answer]":
        answer = _Answer(self.edge, environ, identifier, start_response)
        try:
            body = self._early(early, answer) if early else self.app(environ, answer.start)
            body = answer.complete(body)
        except Exception:
            logger.exception("unhandled error outside the views")
            if self.propagate:
                raise
            response = response_of(internal_error(environ))
            body, _, headers = response.get_wsgi_response(environ)
            body = answer.replace(_INTERNAL_ERROR, headers, body)
        return body, answer

    def _early(self, early: EarlyAnswer, answer: "_Answer") -> Iterable[bytes]:
        headers = [*early.headers]
        if early.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(early.body))))
        answer.start(f"{early.status} {HTTPStatus(early.status).phrase}", headers)
        return [] if answer.is_head else [early.body]


class _Counted:
    """The parts of a body, whose bytes are counted as they are sent."""

    def __init__(self, parts: Iterable[bytes], end: Callable[[int], None]) -> None:
        """`end` is called once with their number."""
        self._parts = parts
        self._iterator = iter(parts)
        self._end = end
        self._size = 0
        self._is_closed = False

    def __iter__(self) -> "_Counted":
        return self

    def __next__(self) -> bytes:
        part = next(self._iterator)
        self._size += len(part)
        return part

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if (close := getattr(self._parts, "close", None)) is not None:
                close()
        finally:
            self._end(self._size)


class _Answer:
    """One answer on its way from the app to the server."""

    def __init__(
        self, edge: Edge, environ: "WSGIEnvironment", identifier: str, start: "StartResponse"
    ) -> None:
        self._edge = edge
        self._environ = environ
        self._identifier = identifier
        self._start = start
        self._coding: Coding | None = None
        self._headers: list[tuple[str, str]] = []
        self._begin: Callable[[], object] = lambda: None
        self._is_short = False
        self._written: list[bytes] = []
        self._is_returned = False
        self.status = ""
        """The status with which the answer has begun."""
        self.size: int | None = None
        """How many bytes of a body are sent; None if that is not known before it is."""
        self.is_head = environ["REQUEST_METHOD"] == "HEAD"
        """Whether the client gets no body."""

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
    ) -> Callable[[bytes], object]:
        """Begin the answer (PEP 3333); one that is compressed begins when its length is known."""
        self.status = status
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        self._is_short = length is not None and int(length) <= MAX_WHOLE_SIZE
        if self.is_head or status[:3] in _WITHOUT_BODY:
            self.size = 0
        else:
            self.size = int(length) if length is not None else None
        self._coding = self._edge.finish(
            self._environ,
            self._identifier,
            int(status[:3]),
            headers,
            # An app that begins its answer with the first part has no body here that could be.
            may_encode=not self._is_returned,
        )
        if self._coding is None:
            return self._start(status, headers, exc_info)
        self._begin = partial(self._start, status, headers, exc_info)
        self._headers = headers
        return self._written.append

    def replace(
        self, status: str, headers: list[tuple[str, str]], body: Iterable[bytes]
    ) -> Iterable[bytes]:
        """Answer this instead, while an exception is handled; returns the body for the server."""
        # The exception if an answer has already begun (PEP 3333).
        self.start(status, headers, sys.exc_info() if self.status else None)
        return self.complete(body)

    def complete(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the body for the server, compressed if it has to be."""
        coding = self._coding
        if coding is None or self.is_head:
            if coding is not None:
                self._begin()
            self._is_returned = True
            return body
        parts = chain(self._written, body)
        close = getattr(body, "close", None)
        if not self._is_short:
            self._begin()
            self.size = None
            return ClosingIterator(compress_parts(parts, coding), close)
        try:
            whole = b"".join(parts)
        finally:
            if close is not None:
                close()
        encoded = self._edge.compression.encode(coding, whole)
        self.size = len(encoded)
        self._headers.append(("Content-Length", str(self.size)))
        self._begin()
        return [encoded]


def identify(environ: "WSGIEnvironment") -> str:
    """Give a request its id, which is returned and is in `environ` from now on.

    Log lines have it, and the trace id, in this context (`contextvars`) and in copies of it.
    """
    # It must be unique, not secret, and reading the system's randomness is slow.
    new = random.randbytes(16).hex()  # noqa: S311
    given, trace = environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_TRACEPARENT")
    identifier: str = given if given and _ACCEPTED_ID.fullmatch(given) else new
    environ[REQUEST_ID_KEY] = identifier
    request_id.set(identifier)
    trace_id.set((_trace_of(trace) if trace else None) or new)
    return identifier


def _trace_of(traceparent: str) -> str | None:
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None

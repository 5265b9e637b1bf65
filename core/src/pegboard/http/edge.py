"""The edge of a service: what is done to every request first, and to every answer last.

Answers of views, of stages, of middleware and of the server itself all pass `Edge.finish`, so it is
the one place for the headers that every answer has.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask

from pegboard.http.cache_control import (
    CACHE_CONTROL_KEY,
    NEVER_USED_UNASKED,
    directives,
    set_control,
)
from pegboard.http.coded_tags import CodedTags
from pegboard.http.compression import (
    IDENTITY,
    MIN_TAGGED_SIZE,
    Coding,
    Compression,
    is_compressible,
)
from pegboard.http.cors import CORS, PREFLIGHT_STATUS
from pegboard.http.errors import error_body
from pegboard.http.headers import Headers, add_vary, replace_header
from pegboard.http.request_line import EarlyAnswer, answer_early

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

EXTENSION = "pegboard.edge"

_SECURITY = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
_OF_ITS_BYTES = ("content-encoding", "content-range", "content-digest", "repr-digest", "digest")
"""Headers of an answer that must be sent as it is."""
_OF_PLAIN_BYTES = frozenset({"content-length", "accept-ranges"})
"""Headers that do not hold for a compressed answer."""


_UNUSUAL_REQUEST = frozenset({"HTTP_AUTHORIZATION", "HTTP_ORIGIN", CACHE_CONTROL_KEY})
"""What in a request has a say in the headers of its answer."""
_UNUSUAL_HEADERS = frozenset(
    {
        *("cache-control", "expires", "set-cookie", "vary", "content-security-policy"),
        *("access-control-allow-origin", "accept-ranges"),
        *_OF_ITS_BYTES,
    }
)
"""Headers whose presence has a say in the others."""
_MAX_SHAPES, _MAX_TYPES = 1024, 64


class _Shape(NamedTuple):
    """Answers with headers of the same names, which always get the same further ones."""

    type: int | None
    """The place of `Content-Type`; None if the further headers are not always the same."""
    length: int | None
    """The place of `Content-Length`."""
    tag: int | None
    """The place of `ETag`."""
    added: dict[str, Headers]
    """What is added, by the media type."""


class Edge:
    """The edge of one app."""

    def __init__(
        self,
        compression: Compression,
        cors: CORS | None = None,
        mount: "Callable[[WSGIEnvironment], object] | None" = None,
    ) -> None:
        """`mount` puts the path prefix of a request into its `SCRIPT_NAME`.

        `cors` and `mount` are None where no other origin may call and where there is no prefix.
        """
        self.compression = compression
        self._cors = cors
        self._mount = mount
        self._tags = CodedTags(compression.codings)
        self._min_tagged_size = min(compression.min_size, MIN_TAGGED_SIZE)
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def enter(self, environ: "WSGIEnvironment") -> EarlyAnswer | None:
        """Prepare a request, once; returns an answer if it must not go on."""
        if (early := answer_early(environ)) is not None:
            return early
        if self._mount is not None:
            self._mount(environ)
        if self.compression.codings and (
            "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ
        ):
            self._tags.accept(environ)
        if self._cors is not None and (headers := self._cors.preflight(environ)) is not None:
            return EarlyAnswer(PREFLIGHT_STATUS, headers, b"")
        allowed = self.compression.negotiate(environ)
        if allowed.is_identity_refused and allowed.coding is None:
            names = ", ".join((*self.compression.codings, IDENTITY))
            status = HTTPStatus.NOT_ACCEPTABLE
            body = error_body(status, f"Accept-Encoding excludes all codings; known are {names}.")
            return EarlyAnswer(status, [("Content-Type", "application/json")], body)
        return None

    def finish(
        self,
        environ: "WSGIEnvironment",
        identifier: str,
        status: int,
        headers: Headers,
        *,
        may_encode: bool = True,
    ) -> Coding | None:
        """Complete the headers of an answer, in place.

        Returns the coding that its body has to be sent in. The caller then adds `Content-Length`,
        if the length is known. `identifier` is the request's id.
        """
        headers.append(("X-Request-ID", identifier))
        if status == HTTPStatus.NO_CONTENT:
            headers[:] = [pair for pair in headers if pair[0].lower() != "content-type"]
        if status == HTTPStatus.OK and may_encode and _UNUSUAL_REQUEST.isdisjoint(environ):
            # Most answers differ in values alone, and what is added to them depends on the names.
            names = tuple([name for name, _ in headers])
            shape = self._shapes.get(names)
            if shape is None:
                shape = self._remember(names)
            if shape.type is not None:
                return self._finish_usual(environ, headers, shape, headers[shape.type][1])
        return self._finish(environ, status, headers, may_encode=may_encode)

    def _remember(self, names: tuple[str, ...]) -> "_Shape":
        places = {name.lower(): place for place, name in enumerate(names)}
        shape = _Shape(None, None, None, {})
        if _UNUSUAL_HEADERS.isdisjoint(places):
            known = places.get("content-type"), places.get("content-length"), places.get("etag")
            shape = _Shape(*known, {})
        if len(self._shapes) < _MAX_SHAPES:
            self._shapes[names] = shape
        return shape

    def _finish_usual(
        self, environ: "WSGIEnvironment", headers: Headers, shape: "_Shape", content_type: str
    ) -> Coding | None:
        allowed = self.compression.negotiate(environ)
        coding = allowed.coding
        added = shape.added.get(content_type)
        if added is None or allowed.is_identity_refused or (coding and shape.length is None):
            before = len(headers)
            found = self._finish(environ, HTTPStatus.OK, headers, may_encode=True)
            if coding is None and len(shape.added) < _MAX_TYPES:
                shape.added[content_type] = headers[before:]
            return found
        if coding is None or shape.length is None or not is_compressible(content_type):
            headers.extend(added)
            return None
        if int(headers[shape.length][1]) < (
            self.compression.min_size if shape.tag is None else self._min_tagged_size
        ):
            headers.extend(added)
            return None
        if shape.tag is not None:
            headers[shape.tag] = "ETag", self._tags.tag(headers[shape.tag][1], coding.name)
        headers[shape.length] = "Content-Encoding", coding.name
        headers.extend(added)
        return coding

    def _finish(
        self, environ: "WSGIEnvironment", status: int, headers: Headers, *, may_encode: bool
    ) -> Coding | None:
        found = {name.lower(): value for name, value in headers}
        vary: list[str] = []
        headers.extend(_SECURITY)
        if "content-security-policy" not in found:
            headers.append(_POLICY)
        if self._cors is not None:
            origin = environ.get("HTTP_ORIGIN")
            if origin and "access-control-allow-origin" not in found:
                headers.extend(self._cors.headers(origin))
            if not self._cors.allows_any:
                # Caches must keep answers to different origins apart, even those without headers.
                vary.append("Origin")
        control = set_control(environ, status, headers, found)
        if control not in NEVER_USED_UNASKED:
            if "HTTP_AUTHORIZATION" in environ:
                vary.append("Authorization")
            if self._mount is not None:
                vary.append("X-Forwarded-Prefix")
        coding = None
        if may_encode and self.compression.codings:
            coding = self._encode(environ, status, headers, found, control, vary)
        if vary:
            add_vary(headers, vary)
        return coding

    def _encode(
        self,
        environ: "WSGIEnvironment",
        status: int,
        headers: Headers,
        found: dict[str, str],
        control: str,
        vary: list[str],
    ) -> Coding | None:
        """Choose the coding of an answer, and change its headers to those of the coding."""
        tag = found.get("etag")
        allowed = self.compression.negotiate(environ)
        if status == HTTPStatus.NOT_MODIFIED:
            vary.append("Accept-Encoding")
            if tag is not None and (given := environ.get("HTTP_IF_NONE_MATCH")):
                name = None if allowed.coding is None else allowed.coding.name
                replace_header(headers, "ETag", self._tags.known_tag(tag, name, given))
            return None
        is_refused = allowed.is_identity_refused
        if (
            status == HTTPStatus.NO_CONTENT
            or not (is_refused or is_compressible(found.get("content-type", "")))
            or any([name in found for name in _OF_ITS_BYTES])  # noqa: C419 - faster so
            or "no-transform" in directives(control)
        ):
            return None
        vary.append("Accept-Encoding")
        coding = allowed.coding
        if coding is None:
            return None
        is_tagged = tag is not None and status < HTTPStatus.MULTIPLE_CHOICES
        smallest = self._min_tagged_size if is_tagged else self.compression.min_size
        length = found.get("content-length")
        if length is not None and int(length) < (1 if is_refused else smallest):
            return None
        headers[:] = [pair for pair in headers if pair[0].lower() not in _OF_PLAIN_BYTES]
        headers.append(("Content-Encoding", coding.name))
        if tag is not None and is_tagged:
            replace_header(headers, "ETag", self._tags.tag(tag, coding.name))
        return coding


def init_edge(app: Flask, edge: Edge) -> None:
    """Give the app its edge."""
    app.extensions[EXTENSION] = edge


def get_edge(app: Flask) -> Edge:
    """Return the edge of the app."""
    edge: Edge = app.extensions[EXTENSION]
    return edge

"""The edge of a service: what is done to every request first, and to every answer last.

Answers of views, of stages, of middleware and of the server itself all pass `Edge.finish`, so it is
the one place for the headers that every answer has.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING

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
    Negotiated,
    is_compressible,
)
from pegboard.http.cors import CORS, PREFLIGHT_STATUS
from pegboard.http.errors import error_body
from pegboard.http.header_shapes import (
    CONTENT_RANGE,
    OF_ITS_BYTES,
    Addition,
    Places,
    Shape,
    Shapes,
    places_of,
)
from pegboard.http.headers import Headers, add_vary
from pegboard.http.request_line import EarlyAnswer, answer_early

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed.wsgi import WSGIEnvironment

EXTENSION = "pegboard.edge"

# Comparing with a member of an enumeration takes longer.
_NO_CONTENT = HTTPStatus.NO_CONTENT.value
_MULTIPLE_CHOICES, _NOT_MODIFIED = (
    HTTPStatus.MULTIPLE_CHOICES.value,
    HTTPStatus.NOT_MODIFIED.value,
)

_SECURITY = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")


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
        self._shapes = Shapes()

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
        if "HTTP_ACCEPT_ENCODING" not in environ:
            return None
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
        if status == _NO_CONTENT:
            headers[:] = [pair for pair in headers if pair[0].lower() != "content-type"]
        allowed = self.compression.negotiate(environ)
        shape = None
        if (
            may_encode
            and not allowed.is_identity_refused
            and "HTTP_AUTHORIZATION" not in environ
            and "HTTP_ORIGIN" not in environ
            and CACHE_CONTROL_KEY not in environ
        ):
            shape = self._shapes.find(headers)
        if shape is None:
            may_encode = self._complete(environ, status, headers, allowed, may_encode=may_encode)
            places = places_of([name for name, _ in headers])
        else:
            places = shape.places
            may_encode = self._complete_alike(environ, status, headers, allowed, shape)
        if not may_encode:
            return None
        if status == _NOT_MODIFIED:
            self._name_known_tag(environ, headers, places.tag, allowed.coding)
            return None
        if allowed.coding is None:
            return None
        return self._encode(status, headers, places, allowed)

    def _complete_alike(
        self,
        environ: "WSGIEnvironment",
        status: int,
        headers: Headers,
        allowed: Negotiated,
        shape: Shape,
    ) -> bool:
        """Do as `_complete` has done for an earlier answer of this shape."""
        if shape.vary is not None:
            headers.append(headers.pop(shape.vary))
        kind = shape.kind(status, headers)
        addition = shape.addition(kind)
        if addition is None:
            kept = len(headers) - (shape.vary is not None)
            may_encode = self._complete(environ, status, headers, allowed, may_encode=True)
            shape.remember(kind, Addition(headers[kept:], may_encode))
            return may_encode
        if shape.vary is not None:
            headers.pop()
        headers.extend(addition.headers)
        return addition.may_encode

    def _complete(
        self,
        environ: "WSGIEnvironment",
        status: int,
        headers: Headers,
        allowed: Negotiated,
        *,
        may_encode: bool,
    ) -> bool:
        """Add all headers that do not depend on the coding.

        Returns whether there may be one, in a 304 whether there might be one in the 200.
        """
        found = {name.lower(): value for name, value in headers}
        vary: list[str] = []
        headers.extend(_SECURITY)
        if "content-security-policy" not in found:
            headers.append(_POLICY)
        if self._cors is not None:
            self._allow_origin(self._cors, environ, headers, found, vary)
        control = set_control(environ, status, headers, found)
        if control not in NEVER_USED_UNASKED:
            if "HTTP_AUTHORIZATION" in environ:
                vary.append("Authorization")
            if self._mount is not None:
                vary.append("X-Forwarded-Prefix")
        may_encode = may_encode and self._may_encode(status, found, control, allowed)
        if may_encode:
            vary.append("Accept-Encoding")
        if CONTENT_RANGE in found:
            may_encode = False  # it is a part of the plain bytes; the whole may be encoded
        if vary or "vary" in found:
            add_vary(headers, vary)
        return may_encode

    @staticmethod
    def _allow_origin(
        cors: CORS,
        environ: "WSGIEnvironment",
        headers: Headers,
        found: "Mapping[str, str]",
        vary: list[str],
    ) -> None:
        origin = environ.get("HTTP_ORIGIN")
        if origin and "access-control-allow-origin" not in found:
            headers.extend(cors.headers(origin))
        if not cors.allows_any:
            # Caches must keep answers to different origins apart, even those without headers.
            vary.append("Origin")

    def _may_encode(
        self, status: int, found: "Mapping[str, str]", control: str, allowed: Negotiated
    ) -> bool:
        """Return whether an answer depends on `Accept-Encoding`; `found` are its headers."""
        if not self.compression.codings or status == _NO_CONTENT:
            return False
        return status == _NOT_MODIFIED or (
            (allowed.is_identity_refused or is_compressible(found.get("content-type", "")))
            and not any([name in found for name in OF_ITS_BYTES])  # noqa: C419 - faster so
            and "no-transform" not in directives(control)
        )

    def _name_known_tag(
        self, environ: "WSGIEnvironment", headers: Headers, place: int | None, coding: Coding | None
    ) -> None:
        """Let a 304 name a tag that the client has; `place` is that of its `ETag`."""
        given = environ.get("HTTP_IF_NONE_MATCH")
        if place is None or not given or given == (tag := headers[place][1]):
            return
        name = None if coding is None else coding.name
        headers[place] = "ETag", self._tags.known_tag(tag, name, given)

    def _encode(
        self, status: int, headers: Headers, places: Places, allowed: Negotiated
    ) -> Coding | None:
        """Change the headers to those of the coded answer; returns None if that is not worth it."""
        coding, tag = allowed.coding, places.tag
        assert coding is not None
        if status >= _MULTIPLE_CHOICES:
            tag = None
        if places.length is not None:
            smallest = self.compression.min_size if tag is None else self._min_tagged_size
            if int(headers[places.length][1]) < (1 if allowed.is_identity_refused else smallest):
                return None
            headers[places.length] = "Content-Encoding", coding.name
        else:
            headers.append(("Content-Encoding", coding.name))
        if tag is not None:
            headers[tag] = "ETag", self._tags.tag(headers[tag][1], coding.name)
        if places.ranges is not None:
            del headers[places.ranges]
        return coding


def init_edge(app: Flask, edge: Edge) -> None:
    """Give the app its edge."""
    app.extensions[EXTENSION] = edge


def get_edge(app: Flask) -> Edge:
    """Return the edge of the app."""
    edge: Edge = app.extensions[EXTENSION]
    return edge

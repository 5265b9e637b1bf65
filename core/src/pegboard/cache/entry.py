"""An answer as it is cached: headers and body, with the ETag that conditional requests need."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response
from werkzeug.http import quote_etag

from pegboard.http import error_body, evaluate_preconditions, explain_failed_precondition
from pegboard.stages import Answer, Headers

FORMAT = 1
"""The version of what `encode` makes, raised with each change.

Part of every value and of no key: processes of an old and a new release, side by side, must
invalidate each other's values when they write.
"""

_PER_ANSWER = frozenset({"content-length", "date", "etag", "set-cookie"})
_SHARED = frozenset({"accept-encoding", "origin"})
"""What a cached answer may vary by, as the headers for it are added after the cache."""

_NOTHING = frozenset[str]()
_IN_304 = frozenset({"cache-control", "content-location", "expires", "vary"})
"""What a 304 repeats besides the ETag (RFC 9110, section 15.4.5)."""

_JSON = ("Content-Type", "application/json")
_blocks: dict[bytes, Headers] = {}
_MAX_BLOCKS = 256


class OtherFormError(ValueError):
    """Raised for a value that another release, or another version of the view, has stored."""


def form_of(version: int, prefix: str = "") -> bytes:
    """Return the first bytes of all values of a view's version.

    `prefix` is the path prefix of the request that filled the cache (`SCRIPT_NAME`): the answer may
    have links with it, so it is given to no request of another prefix.
    """
    at = b" " + prefix.encode("latin-1") if prefix else b""
    return b"%d.%d%s\n" % (FORMAT, version, at)


@dataclass(frozen=True, slots=True)
class Entry:
    """A 200 answer to GET."""

    etag: str
    """The strong validator, without quotes."""
    headers: Headers
    """The headers besides, as names and values."""
    body: bytes
    """The bytes of the content."""

    @classmethod
    def of(cls, response: Response, vary: frozenset[str] = _NOTHING) -> "Entry | None":
        """Return what to cache of a view's answer; None if it must not be cached.

        `vary` are names of headers, in small letters, which the key of the answer stands for.
        """
        control = response.cache_control
        if (
            response.status_code != HTTPStatus.OK
            or response.is_streamed
            or "Set-Cookie" in response.headers
            or control.no_store
            or control.private
            or not all(name.lower() in _SHARED | vary for name in response.vary)
        ):
            return None
        body = response.get_data()
        etag, is_weak = response.get_etag()
        if etag is None or is_weak:
            etag = hashlib.blake2b(body, digest_size=16).hexdigest()
        headers = [pair for pair in response.headers if pair[0].lower() not in _PER_ANSWER]
        return cls(etag, headers, body)

    def encode(self, form: bytes) -> bytes:
        """Return it as bytes: those of `form_of`, ETag, other headers, a blank line, the body."""
        head = "\n".join((self.etag, *(f"{name}: {value}" for name, value in self.headers)))
        return form + head.encode() + b"\n\n" + self.body

    @classmethod
    def decode(cls, data: bytes, form: bytes) -> "Entry":
        """Return the answer in bytes that `encode` has made and that begin with `form`.

        Raises `OtherFormError` for those with another beginning, `ValueError` for damaged ones.
        """
        if not data.startswith(form):
            raise OtherFormError
        head, blank, body = data[len(form) :].partition(b"\n\n")
        if not blank:
            message = "no blank line after the headers"
            raise ValueError(message)
        etag, _, block = head.partition(b"\n")
        headers = _blocks.get(block)
        if headers is None:
            headers = _parse(block)
        return cls(etag.decode(), headers, body)

    def answer(self, environ: Mapping[str, Any]) -> Answer:
        """Return the answer to a request: this one, 304 or 412."""
        etag = ("ETag", quote_etag(self.etag))
        if "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ:
            headers = {
                "if_match": environ.get("HTTP_IF_MATCH"),
                "if_none_match": environ.get("HTTP_IF_NONE_MATCH"),
            }
            status = evaluate_preconditions(self.etag, method=environ["REQUEST_METHOD"], **headers)
            if status == HTTPStatus.PRECONDITION_FAILED:
                message = explain_failed_precondition(self.etag, **headers)
                return Answer(status, [_JSON, etag], error_body(status, message))
            if status == HTTPStatus.NOT_MODIFIED:
                kept = [pair for pair in self.headers if pair[0].lower() in _IN_304]
                return Answer(status, [etag, *kept], b"")
        return Answer(200, [*self.headers, etag], self.body)


class Answers:
    """The answers of one entry, made once for all requests that get them."""

    __slots__ = ("_added", "_entry", "_tag", "_unchanged", "_whole")

    def __init__(self, entry: Entry, added: Headers) -> None:
        """Add further headers to each answer."""
        self._entry = entry
        self._added = added
        self._tag = quote_etag(entry.etag)
        self._whole = self._make({})
        self._unchanged = self._make({"REQUEST_METHOD": "GET", "HTTP_IF_NONE_MATCH": self._tag})

    def to(self, environ: Mapping[str, Any]) -> Answer:
        """Return the answer to a GET or HEAD, which must not be changed; see `Entry.answer`."""
        if "HTTP_IF_MATCH" in environ:
            return self._make(environ)
        given = environ.get("HTTP_IF_NONE_MATCH")
        if given is None:
            return self._whole
        return self._unchanged if given == self._tag else self._make(environ)

    def _make(self, environ: Mapping[str, Any]) -> Answer:
        answer = self._entry.answer(environ)
        answer.headers.extend(self._added)
        return answer


def _parse(block: bytes) -> Headers:
    headers = []
    for line in block.decode().split("\n") if block else ():
        name, colon, value = line.partition(": ")
        if not colon:
            message = f"{line!r} is no header"
            raise ValueError(message)
        headers.append((name, value))
    if len(_blocks) >= _MAX_BLOCKS:
        _blocks.clear()
    _blocks[block] = headers
    return headers

"""What is answered before anything else sees a request: large headers, `get`, `OPTIONS *`."""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from pegboard.http.errors import error_body
from pegboard.http.headers import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""The methods that a service knows."""

MAX_HEADERS = 32 * 1024
"""Bytes that the URL and the long headers of a request may have together."""

HEADERS_SIZE_KEY = "pegboard.headers_size"
"""The key in the WSGI environment of how many these are, where the server counts them."""

NO_HOST_MESSAGE = "The request has no Host header."


class EarlyAnswer(NamedTuple):
    """An answer that is given before routing; without `Content-Length`."""

    status: int
    headers: Headers
    body: bytes


# RFC 3986, section 3.2.2, without the comma, by which several headers of a name are joined.
_is_host = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+(?:%25[\w.~-]+)?\]|(?:[\w.~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?",
    re.ASCII,
).fullmatch
_KNOWN_HOSTS = 1024
_LONGEST_HOST = 255
_hosts: set[str | None] = set()
"""Valid values of `Host` that have been seen: most requests have one of a few."""


def answer_early(environ: "WSGIEnvironment") -> EarlyAnswer | None:
    """Return the answer to a request that no view may see, or None.

    That is one with too large headers (RFC 6585, section 5); one of HTTP/1.1 without a `Host`, with
    two or with an invalid one (RFC 9112, section 3.2); one whose method is not in capital letters,
    as names of methods are case-sensitive (RFC 9110, section 9.1); and `OPTIONS *`, which asks
    about the server as a whole.
    """
    method = environ["REQUEST_METHOD"]
    if environ.get(HEADERS_SIZE_KEY, 0) > MAX_HEADERS:
        message = f"The URL and the headers of the request have more than {MAX_HEADERS:,} bytes."
        return _error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    if environ.get("HTTP_HOST") not in _hosts and (mistake := _host_mistake(environ)):
        return _error(HTTPStatus.BAD_REQUEST, mistake)
    if method in METHODS:
        if method == "OPTIONS" and environ.get("PATH_INFO") == "*":
            allow = ("Allow", ", ".join(sorted(METHODS)))
            return EarlyAnswer(HTTPStatus.NO_CONTENT, [allow], b"")
    elif method != method.upper():
        message = "Names of methods are case-sensitive, as in GET."
        return _error(HTTPStatus.NOT_IMPLEMENTED, message)
    return None


def _host_mistake(environ: "WSGIEnvironment") -> str | None:
    """Return what is wrong with the `Host` of a request, or None; remembers valid ones."""
    host = environ.get("HTTP_HOST")
    if not host:
        # HTTP/1.0 has no such header, and HTTP/2 says `:authority`.
        is_needed = environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        return NO_HOST_MESSAGE if is_needed else None
    if "," in host:
        return "The request has more than one Host header, or an invalid one."
    if not _is_host(host):
        return "The Host header is not a host with or without a port."
    if len(_hosts) < _KNOWN_HOSTS and len(host) <= _LONGEST_HOST:
        _hosts.add(host)
    return None


def _error(status: HTTPStatus, message: str) -> EarlyAnswer:
    headers = [("Content-Type", "application/json")]
    return EarlyAnswer(status, headers, error_body(status, message))

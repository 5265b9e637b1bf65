"""The path prefix under which clients reach the service, as in `https://host/shop/...`."""

import re
from typing import TYPE_CHECKING

from pegboard.clients.addresses import read_address
from pegboard.clients.proxies import TrustedProxies

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HEADER = "HTTP_X_FORWARDED_PREFIX"
# Without an empty segment: `//host` would be another host in a redirect.
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~@+-]+)*/?")
_MAX_LENGTH = 200
_MAX_KEPT = 1024


def parse_prefix(text: str) -> str:
    """Return a path prefix without a slash at its end: empty for the root.

    Raises `ValueError` with a sentence for the operator.
    """
    if len(text) > _MAX_LENGTH or _PREFIX.fullmatch(text) is None:
        message = (
            f"{text[:_MAX_LENGTH]!r} is no path prefix: a slash and letters, digits or ._~@+- for "
            f"each part, as in /shop, and at most {_MAX_LENGTH} characters."
        )
        raise ValueError(message)
    return text.rstrip("/")


class PathPrefix:
    """Finds the prefix of each request of one app, and moves it into `SCRIPT_NAME`."""

    def __init__(self, own: str, proxies: TrustedProxies) -> None:
        """`own` is the prefix of requests to which no trusted proxy has added another."""
        self._own = own
        self._proxies = proxies
        self._reported: dict[tuple[str, str], str] = {}

    @property
    def is_possible(self) -> bool:
        """Whether any request can have a prefix."""
        return bool(self._own or self._proxies)

    def mount(self, environ: "WSGIEnvironment") -> None:
        """Put the prefix of a request into its `SCRIPT_NAME` (PEP 3333).

        A proxy may have removed the prefix from the path, or left it there.
        """
        header = environ.get(_HEADER) if self._proxies else None
        prefix = self._own if not header else self._report(environ, header)
        if not prefix:
            return
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
        path: str = environ.get("PATH_INFO", "")
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/"}:
            environ["PATH_INFO"] = path[len(prefix) :] or "/"

    def _report(self, environ: "WSGIEnvironment", header: str) -> str:
        """Return the prefix that the nearest proxy reports, if that is one to trust."""
        key = environ.get("REMOTE_ADDR") or "", header
        found = self._reported.get(key)
        if found is None:
            found = self._own
            if self._proxies.trust(read_address(key[0]), 0):
                # What stands before the last comma may have been sent by the client.
                try:
                    found = parse_prefix(header.rpartition(",")[2].strip())
                except ValueError:
                    found = self._own
            if len(self._reported) >= _MAX_KEPT:
                self._reported.clear()
            if len(header) <= _MAX_LENGTH:
                self._reported[key] = found
        return found

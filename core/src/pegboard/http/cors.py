"""Cross-origin requests (CORS): the origins from which browsers may call.

The protocol is that of the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

EXPOSED_HEADERS = (
    *("Allow", "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "X-Pagination", "X-Request-ID"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)
"""Headers of an answer that scripts of other origins may read."""

ANY = "*"
_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535


def parse_origin(text: str) -> str:
    """Return an origin as browsers send it, or `*`.

    Raises `ValueError`, with a sentence for the operator, for what no browser sends, and for
    `null`.
    """
    if text == ANY:
        return text
    if text == "null":
        message = (
            "null is the origin of sandboxed frames and local files of any site, so allowing it "
            "would allow all sites: give the page an origin."
        )
        raise ValueError(message)
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        message = (
            f"{text!r} is no origin, which is scheme, host and port, as in https://app.example, "
            "capacitor://localhost or http://[::1]:3000: no path, no slash at its end, no *, and "
            "an international name as browsers send it (xn--...)."
        )
        raise ValueError(message)
    scheme, host, port = found.groups()
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            message = f"{text!r} is no origin: {host} is no IPv6 address."
            raise ValueError(message) from None
    if port is not None and int(port) > _MAX_PORT:
        message = f"{text!r} is no origin: {port} is no port."
        raise ValueError(message)
    if port is None or int(port) == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}"


class CORS:
    """Which origins may call one app, and what their browsers are told."""

    def __init__(self, origins: Iterable[str], exposed: Iterable[str], max_age: int) -> None:
        """`exposed` are further headers that scripts may read; `max_age` is in seconds."""
        self._origins = frozenset(map(parse_origin, origins))
        self._max_age = str(max_age)
        names = {name.lower(): name for name in (*exposed, *EXPOSED_HEADERS)}
        self._exposed = ", ".join(names.values())
        self.allows_any = ANY in self._origins
        """Whether answers are the same for all origins, so that they need no `Vary: Origin`."""

    def headers(self, origin: str) -> list[tuple[str, str]]:
        """Return the headers for an answer to a request of an origin; none if it is not allowed."""
        if not self.allows_any and origin not in self._origins:
            return []
        exposed = ("Access-Control-Expose-Headers", self._exposed)
        return [*self._allow(origin), exposed]

    def preflight(self, environ: Mapping[str, Any]) -> list[tuple[str, str]] | None:
        """Return the headers of the answer to a preflight; None if the request is none.

        It is answered before routing, as browsers follow no redirect of a preflight, and as it
        carries no credentials that a plugin could ask for.
        """
        if (
            environ["REQUEST_METHOD"] != "OPTIONS"
            or "HTTP_ORIGIN" not in environ
            or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ
        ):
            return None
        headers = [("Vary", _PREFLIGHT_VARY)]
        origin = environ["HTTP_ORIGIN"]
        if not self.allows_any and origin not in self._origins:
            return headers
        headers += [
            *self._allow(origin),
            ("Access-Control-Allow-Methods", _METHODS),
            ("Access-Control-Max-Age", self._max_age),
        ]
        if wanted := environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"):
            # What the view does not know it ignores.
            headers.append(("Access-Control-Allow-Headers", wanted))
        return headers

    def _allow(self, origin: str) -> list[tuple[str, str]]:
        if self.allows_any:
            # A browser must not send credentials to a service that any origin may call.
            return [("Access-Control-Allow-Origin", ANY)]
        return [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
        ]


PREFLIGHT_STATUS = HTTPStatus.OK
"""The status of the answer to a preflight; some old browsers accept no 204."""

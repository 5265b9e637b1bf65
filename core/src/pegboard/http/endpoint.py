"""Where a server is to listen, as a setting says it."""

import ipaddress
import re
from typing import NamedTuple

LOOPBACK = "127.0.0.1"
OFF = "off"

_FORM = re.compile(r"(?:(?P<host>\[[^\[\]]+\]|[^:\[\]/@\s]*):)?(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 65_535
_LONGEST_PATH = 100
"""Bytes that the path of a Unix socket may have; Linux takes 107, others a few less."""


class Endpoint(NamedTuple):
    """A host and a port, or the path of a Unix socket."""

    host: str
    """An address or a name; empty for a Unix socket."""
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return bool(self.path) or self.host == "localhost"


def parse_endpoint(text: str) -> Endpoint | None:
    """Read `9000`, `:9000` (both loopback), `host:9000`, `[::1]:9000` or `unix:/path`.

    Returns None for `off` and the empty text. Raises `ValueError`.
    """
    if text in {"", OFF}:
        return None
    if text.startswith("unix:"):
        return Endpoint("", 0, _parse_path(text.removeprefix("unix:")))
    if (found := _FORM.fullmatch(text)) is None:
        message = (
            f"{text!r} is no address: write off, 9000, 0.0.0.0:9000, [::1]:9000 or unix:/path."
        )
        raise ValueError(message)
    port, host = int(found["port"]), found["host"] or LOOPBACK
    if port > _HIGHEST_PORT:
        message = f"{port} is no port: it is {_HIGHEST_PORT} at most."
        raise ValueError(message)
    if host.startswith("["):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    return Endpoint(host, port)


def _parse_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        message = f"{path!r} is no path of a socket: write an absolute one, as in unix:/run/x.sock."
        raise ValueError(message)
    if len(path.encode()) > _LONGEST_PATH:
        message = f"The path of a Unix socket has {_LONGEST_PATH} bytes at most."
        raise ValueError(message)
    return path

"""The socket of the management port, which the main process opens before any worker starts."""

import errno
import ipaddress
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from pegboard.http import Endpoint
from pegboard.problems import Code, Problem, StartupError
from pegboard.server import Address, UnixAddress

_BACKLOG = 128
_MODE = 0o660


class ManagementSocket:
    """A socket that listens."""

    def __init__(self, listener: socket.socket, endpoint: Endpoint) -> None:
        self.listener = listener
        self.endpoint = endpoint
        """Where it listens, with the port that was chosen if 0 was asked for."""

    @property
    def url(self) -> str:
        """What to tell a person."""
        return str(self.endpoint) if self.endpoint.path else f"http://{self.endpoint}"

    def close(self) -> None:
        """Close it in this process; a worker would keep the address beyond the service's end."""
        self.listener.close()

    def remove(self) -> None:
        """Close it, and remove the file of a Unix socket."""
        self.close()
        if self.endpoint.path:
            Path(self.endpoint.path).unlink(missing_ok=True)


def open_socket(endpoint: Endpoint, service: Address | UnixAddress) -> ManagementSocket:
    """Listen; raises `StartupError` if that is impossible, or the service listens there."""
    if endpoint.path:
        return _open_unix(endpoint)
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        _require_another(str(where[0]), endpoint.port, service)
        listener = socket.socket(family, kind)
    except (OSError, UnicodeError) as error:
        raise _unavailable(endpoint, error) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _listen(listener, where, endpoint)
    host, port = listener.getsockname()[:2]
    return ManagementSocket(listener, Endpoint(str(host), int(port)))


def _require_another(host: str, port: int, service: Address | UnixAddress) -> None:
    """Raise `OSError` if both would listen on one port of an address; Linux would not notice."""
    if isinstance(service, UnixAddress):
        return
    everywhere = any(ipaddress.ip_address(one).is_unspecified for one in (host, service.ip))
    if port and port == service.port and (everywhere or host == service.ip):
        raise OSError(errno.EADDRINUSE, "the service itself listens there")


def _open_unix(endpoint: Endpoint) -> ManagementSocket:
    try:
        _remove_stale(endpoint.path)
    except OSError as error:
        raise _unavailable(endpoint, error) from None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _listen(listener, endpoint.path, endpoint)
    return ManagementSocket(listener, endpoint)


def _listen(listener: socket.socket, where: Any, endpoint: Endpoint) -> None:
    """Listen at an address or a path; raises `StartupError`, and then closes the socket."""
    try:
        listener.bind(where)
        if endpoint.path:  # nobody can connect yet
            Path(endpoint.path).chmod(_MODE)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _unavailable(endpoint, error) from None


def _remove_stale(path: str) -> None:
    """Remove the socket that a service which was killed has left; raises `OSError` if it is used.

    Another file stays, and is in the way.
    """
    with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        Path(path).unlink()


def _unavailable(endpoint: Endpoint, error: OSError | UnicodeError) -> StartupError:
    reason = getattr(error, "strerror", None) or error
    summary = f"cannot listen on {endpoint} (PEGBOARD_MANAGEMENT): {reason}"
    code = error.errno if isinstance(error, OSError) else None
    hint = {
        errno.EADDRINUSE: "Stop what listens there, or choose another PEGBOARD_MANAGEMENT.",
        errno.EADDRNOTAVAIL: "It is not an address of this machine; 9000 is the loopback's.",
        errno.EACCES: "A privilege is missing there; choose another PEGBOARD_MANAGEMENT.",
    }.get(code or 0, "Choose another PEGBOARD_MANAGEMENT, as in 9000 or unix:/run/pegboard.sock.")
    return StartupError([Problem(Code.ADDRESS_UNAVAILABLE, summary, hint)])

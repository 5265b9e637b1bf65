"""The socket of the management port, which the main process opens before any worker starts."""

import errno
import ipaddress
import socket
from pathlib import Path

from pegboard.http import Endpoint
from pegboard.problems import Code, Problem, StartupError
from pegboard.server import Address, UnixAddress, UnixListener

_BACKLOG = 128


class ManagementSocket:
    """A socket that listens."""

    def __init__(
        self, listener: socket.socket, endpoint: Endpoint, unix: UnixListener | None = None
    ) -> None:
        self.listener = listener
        self.endpoint = endpoint
        """Where it listens, with the port that was chosen if 0 was asked for."""
        self._unix = unix

    @property
    def url(self) -> str:
        """What to tell a person."""
        return str(self.endpoint) if self.endpoint.path else f"http://{self.endpoint}"

    def close(self) -> None:
        """Close it in this process; a worker would keep the address beyond the service's end."""
        self.listener.close()

    def remove(self) -> None:
        """Close it, and remove the file of a Unix socket unless it is another server's by now."""
        if self._unix is not None:
            self._unix.remove()
        self.close()


def open_socket(endpoint: Endpoint, service: Address | UnixAddress) -> ManagementSocket:
    """Listen; raises `StartupError` if that is impossible, or the service listens there."""
    if endpoint.path:
        address = UnixAddress(Path(endpoint.path).absolute(), setting="PEGBOARD_MANAGEMENT")
        unix = address.listen(_BACKLOG)
        return ManagementSocket(unix.socket, endpoint, unix)
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        _require_another(str(where[0]), endpoint.port, service)
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        raise _unavailable(endpoint, error) from None
    host, port = listener.getsockname()[:2]
    return ManagementSocket(listener, Endpoint(str(host), int(port)))


def _require_another(host: str, port: int, service: Address | UnixAddress) -> None:
    """Raise `OSError` if both would listen on one port of an address; Linux would not notice."""
    if isinstance(service, UnixAddress):
        return
    everywhere = any(ipaddress.ip_address(one).is_unspecified for one in (host, service.ip))
    if port and port == service.port and (everywhere or host == service.ip):
        raise OSError(errno.EADDRINUSE, "the service itself listens there")


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

"""An address and a port to listen on, and a Unix socket where one is asked for."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pegboard.problems import Code, Problem, StartupError
from pegboard.server.listening.unix_socket import PREFIX, UnixAddress


@dataclass(frozen=True)
class Address:
    """An IP address and a port to listen on."""

    ip: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The URL to tell a person."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{self.scheme}://{host}:{self.port}"

    @contextmanager
    def reserved(self, _backlog: int = 0) -> Iterator[None]:
        """Keep the port from other services, also while no worker listens.

        Each worker has a listening socket of its own. Raises `StartupError` if it is taken.
        """
        family = socket.AF_INET6 if ":" in self.ip else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as holder:
            if sys.platform == "linux":  # elsewhere Granian's main process keeps the port
                # Without the first, connections that have ended keep the port for a minute.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                try:
                    holder.bind((self.ip, self.port))
                except OSError as error:
                    raise _unavailable(self.ip, self.port, error) from None
            yield

    def is_listening(self) -> bool:
        """Return whether a client can connect.

        A signal handler calls this, so it must import nothing, as `getaddrinfo` does.
        """
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not to bind to
        family = socket.AF_INET6 if ":" in self.ip else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.2)
            return probe.connect_ex((anywhere.get(self.ip, self.ip), self.port)) == 0

    def owns(self, endpoint: socket.socket) -> bool:
        """Return whether a socket listens on the port, or is a connection to it."""
        is_ip = endpoint.family in {socket.AF_INET, socket.AF_INET6}
        return is_ip and endpoint.getsockname()[1] == self.port


def find_endpoint(host: str, port: int, *, scheme: str, mode: int) -> Address | UnixAddress:
    """Do as `find_address`; `unix:/path` is a Unix socket, with the permissions `mode`."""
    if host.startswith(PREFIX):
        return UnixAddress.find(host, mode)
    return find_address(host, port, scheme)


def find_address(host: str, port: int, scheme: str = "http") -> Address:
    """Look a host name up, and choose a free port if `port` is 0.

    Raises `StartupError` if it is impossible to listen there. Granian would not notice that a port
    is taken: it would share it, and get every second request.
    """
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            found = probe.getsockname()
    except (OSError, UnicodeError) as error:  # the latter for a name that DNS cannot have
        raise _unavailable(host, port, error) from None
    return Address(str(found[0]), int(found[1]), scheme)


def _unavailable(host: str, port: int, error: OSError | UnicodeError) -> StartupError:
    reason = getattr(error, "strerror", None) or error
    summary = f"cannot listen on {host} port {port}: {reason}"
    return StartupError([Problem(Code.ADDRESS_UNAVAILABLE, summary, _address_hint(error))])


def _address_hint(error: Exception) -> str:
    """Return what to do about an address that cannot be listened on."""
    addresses = (
        "an address of this machine, as in 127.0.0.1, ::1 or 0.0.0.0 (all), without scheme, "
        "brackets or port"
    )
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"HOST is not a name that can be looked up; set it to {addresses}."
    assert isinstance(error, OSError)
    return {
        errno.EADDRINUSE: "Stop what listens there, or choose another PORT.",
        errno.EADDRNOTAVAIL: f"HOST is another machine's address; set it to {addresses}.",
        errno.EACCES: "Ports below 1024 need a privilege here; choose another PORT.",
    }.get(error.errno or 0, "Choose another HOST or PORT.")

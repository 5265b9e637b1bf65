"""How a connection to a Redis server begins: its socket, its first commands, and their replies."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from pegboard.problems import StartupError
from pegboard.redis.channel import Command, command
from pegboard.redis.url import Address, RedisURL, tls_context

_INFO = (command("INFO", "server", key=""), command("INFO", "replication", key=""))


class Server(NamedTuple):
    """What a server reports about itself."""

    identity: str
    """Another one after a restart or a promotion; empty if the ACL forbids INFO."""
    is_replica: bool


class Handshake:
    """The commands that begin a connection: credentials, name, database, and the identity.

    They are sent in one round trip; the library's own handshake takes one for each command.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are those of a `RedisURL`."""
        self._database = int(options.get("db", 0))
        self.login = tuple(_login(options))
        """The commands without which no other one is allowed."""
        self.commands = (*self.login, *_INFO)

    def check(self, replies: Sequence[Any]) -> Sequence[Any]:
        """Return the replies after those of the login; raises the error of a refused login."""
        for reply in replies[: len(self.login)]:
            if isinstance(reply, ResponseError):
                raise reply
        return replies[len(self.login) :]

    def complete(self, replies: Sequence[Any]) -> Server:
        """Read the replies to `commands`; raises the error of a refused login."""
        facts: dict[bytes, bytes] = {}
        for info in self.check(replies):
            if isinstance(info, bytes):
                facts |= dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
        return Server(self._identity(facts), facts.get(b"role") == b"slave")

    def _identity(self, facts: Mapping[bytes, bytes]) -> str:
        """Join run id, new after a restart, replication id, new if promoted, and database."""
        try:
            ids = (facts[b"run_id"] + b"/" + facts[b"master_replid"]).decode(errors="replace")
        except KeyError:
            return ""
        return f"{ids}/{self._database}"


def _login(options: Mapping[str, Any]) -> list[Command]:
    username, password = options.get("username", ""), options.get("password", "")
    credentials = [username, password] if username else [password]
    commands = []
    if any(credentials):
        commands.append(command("AUTH", *credentials, key=""))
    if name := options.get("client_name", ""):
        commands.append(command("CLIENT", "SETNAME", name, key=""))
    if database := options.get("db", 0):
        commands.append(command("SELECT", database, key=""))
    return commands


class Connected(NamedTuple):
    """A socket that is connected to a server and carries nothing yet, not even TLS."""

    socket: socket.socket
    tls: ssl.SSLContext | None
    """What to encrypt it with."""
    host: str
    """The name or address that the server's certificate has to bear."""
    handshake: Handshake


class Connector:
    """Connects to servers that are reached with the same options."""

    def __init__(
        self, url: RedisURL, timeout: float, options: Mapping[str, Any] | None = None
    ) -> None:
        """`options` replace those of the URL, as for sentinels; `timeout` is in seconds."""
        self._timeout = timeout
        self._options = url.options if options is None else options
        self._is_encrypted = url.tls
        self._tls = url.tls_context
        self._handshake = Handshake(self._options)

    def connect(self, address: Address | str) -> Connected:
        """Connect to an address or to a socket of the file system; raises `OSError`.

        The time-out of the socket is the connector's.
        """
        if isinstance(address, str):
            sock, host = socket.socket(socket.AF_UNIX), ""
            sock.settimeout(self._timeout)
            try:
                sock.connect(address)
            except BaseException:
                sock.close()
                raise
        else:
            sock, host = socket.create_connection(address, self._timeout), address.host
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return Connected(sock, self._context(), host, self._handshake)
        except StartupError as error:  # the files were in order when the service started
            sock.close()
            raise OSError(str(error)) from error

    def _context(self) -> ssl.SSLContext | None:
        context = self._tls
        if context is None and self._is_encrypted:
            context = self._tls = tls_context(self._options)
        return context

    def renew(self) -> None:
        """Read the certificates again before the next connection: they may be why one failed."""
        self._tls = None

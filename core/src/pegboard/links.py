"""Connections to a server of Redis: how one is made, and what has to be said on it first."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from redis.backoff import AbstractBackoff, NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from pegboard.channel import command
from pegboard.redis_url import Address, RedisURL

_no_backoff: Callable[[], AbstractBackoff] = NoBackoff  # which has no types


class Link(Protocol):
    """What is used of a connection of redis-py, which has no types for it."""

    def connect(self) -> None:
        """Connect, unless connected."""

    def disconnect(self) -> None:
        """Close it."""

    def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Send."""

    def read_response(self, disable_decoding: bool = False) -> Any:  # noqa: FBT001, FBT002 - redis-py's
        """Read one reply; raises the errors that a server reports."""

    def can_read(self, timeout: float) -> bool:
        """Wait for something to read, or for the end of the connection."""


def read_reply(link: Link) -> Any:
    """Read one reply; strings are bytes, and an error that the server reports is a value."""
    try:
        return link.read_response(disable_decoding=True)
    except RedisConnectionError:
        raise
    except ResponseError as error:
        return error


class Line:
    """A connection that is not connected yet, with what has to be said first."""

    def __init__(self, link: Link, greeting: Sequence[bytes]) -> None:
        self.link = link
        self._greeting = greeting

    def open(self, *commands: bytes) -> list[Any]:
        """Connect, and return the replies to commands, sent with the greeting in one round trip."""
        link = self.link
        link.connect()
        link.send_packed_command([b"".join((*self._greeting, *commands))], check_health=False)
        for _ in self._greeting:
            if isinstance(reply := read_reply(link), ResponseError):
                raise reply
        return [read_reply(link) for _ in commands]

    def ask(self, *words: str) -> Any:
        """Connect, ask one thing, and disconnect; raises the error that the server reports."""
        try:
            [reply] = self.open(command(*words, key="").packed)
        finally:
            with suppress(RedisError, OSError):
                self.link.disconnect()
        if isinstance(reply, ResponseError):
            raise reply
        return reply


class Connector:
    """Makes connections with one time-out and one way in.

    The library's own greeting takes a round trip for each command of it, and each may take as long
    as the time-out allows: this one takes one.
    """

    def __init__(
        self, url: RedisURL, timeout: float, options: Mapping[str, Any] | None = None
    ) -> None:
        """`options` are those of another way in than that to the servers."""
        self._make: Callable[..., Link] = SSLConnection if url.tls else Connection
        given = dict(url.options if options is None else options)
        self._greeting = tuple(_greeting(given))
        # What a server pushes on its own is of no use here, and only the third protocol has it.
        self._options = {**given, **connection_options(timeout), "protocol": 2}

    def to(self, address: Address) -> Line:
        """Make a connection to a server."""
        return self._line(self._make(host=address.host, port=address.port, **self._options))

    def through(self, socket: str) -> Line:
        """Make a connection through a socket of the file system."""
        make: Callable[..., Link] = UnixDomainSocketConnection
        return self._line(make(path=socket, **self._options))

    def _line(self, link: Link) -> Line:
        for name in ("driver_info", "lib_name", "lib_version"):  # the latter two before redis-py 8
            if hasattr(link, name):
                setattr(link, name, None)
        return Line(link, self._greeting)


def _greeting(options: dict[str, Any]) -> list[bytes]:
    """Take out of the options what is said to a server, and return it as commands."""
    username, password = options.pop("username", ""), options.pop("password", "")
    credentials = [username, password] if username else [password]
    said = []
    if any(credentials):
        said.append(command("AUTH", *credentials, key=""))
    if name := options.pop("client_name", ""):
        said.append(command("CLIENT", "SETNAME", name, key=""))
    if database := options.pop("db", 0):
        said.append(command("SELECT", database, key=""))
    return [one.packed for one in said]


def connection_options(timeout: float) -> dict[str, Any]:
    """Return the arguments that bound the time of a connection of redis-py."""
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A retry would pay the time-out again, within the same request.
        "retry": Retry(_no_backoff(), 0),
    }

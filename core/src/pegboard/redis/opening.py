"""How a connection to a server of Redis begins."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.backoff import AbstractBackoff, NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError
from redis.retry import Retry

from pegboard.redis.channel import command
from pegboard.redis.line import Line, Link, connect
from pegboard.redis.url import Address, RedisURL

_no_backoff: Callable[[], AbstractBackoff] = NoBackoff  # which has no types


class Opening:
    """A connection that is not connected yet, with what has to be said on it first."""

    def __init__(self, link: Link, greeting: Sequence[bytes], database: int) -> None:
        self.database = database
        """The number of the database on the server."""
        self._link = link
        self._greeting = greeting

    def open(self, *commands: bytes) -> tuple[Line, list[Any]]:
        """Connect, greet and send commands in one round trip; returns their replies as well."""
        line = connect(self._link)
        try:
            line.send(b"".join((*self._greeting, *commands)))
            for _ in self._greeting:
                _demand(line.read())
            return line, [line.read() for _ in commands]
        except BaseException:
            line.close()
            raise

    def ask(self, *words: str) -> Any:
        """Connect, ask one thing, and disconnect; raises the error that the server reports."""
        line, [reply] = self.open(command(*words, key="").packed)
        line.close()
        return _demand(reply)


def _demand(reply: Any) -> Any:
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
        self._database = int(given.get("db", 0))
        self._greeting = tuple(_greeting(given))
        # What a server pushes on its own is of no use here, and only the third protocol has it.
        self._options = {**given, **connection_options(timeout), "protocol": 2}

    def to(self, address: Address) -> Opening:
        """Make a connection to a server."""
        return self._opening(self._make(host=address.host, port=address.port, **self._options))

    def through(self, socket: str) -> Opening:
        """Make a connection through a socket of the file system."""
        make: Callable[..., Link] = UnixDomainSocketConnection
        return self._opening(make(path=socket, **self._options))

    def _opening(self, link: Link) -> Opening:
        for name in ("driver_info", "lib_name", "lib_version"):  # the latter two before redis-py 8
            if hasattr(link, name):
                setattr(link, name, None)
        return Opening(link, self._greeting, self._database)


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

"""Where the servers of Redis are: one server, whichever the sentinels call master, or a cluster.

Who serves a request waits for an answer to that no longer than for any other: it is looked for in
the background, and found before it is needed whenever it is already known.
"""

import os
import random
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from pegboard.redis_url import Address, RedisURL

T = TypeVar("T")

SLOTS = 16384


class Connector:
    """Makes connections with one time-out and one way in; none of them is connected yet."""

    def __init__(self, *, tls: bool, timeout: float, options: Mapping[str, Any]) -> None:
        self.timeout = timeout
        self._class = SSLConnection if tls else Connection
        self._options = {**options, **connection_options(timeout)}

    def to(self, address: Address) -> AbstractConnection:
        """Make a connection to a server."""
        return _plain(self._class(host=address.host, port=address.port, **self._options))

    def through(self, socket: str) -> AbstractConnection:
        """Make a connection through a socket of the file system."""
        return _plain(UnixDomainSocketConnection(path=socket, **self._options))


def connection_options(timeout: float) -> dict[str, Any]:
    """Return the arguments that bound the time of a connection of redis-py."""
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A retry would pay the time-out again, within the same request.
        "retry": Retry(NoBackoff(), 0),
    }


def _plain(connection: AbstractConnection) -> AbstractConnection:
    """Keep the library from introducing itself, which takes two round trips."""
    for name in ("driver_info", "lib_name", "lib_version"):  # the latter two before redis-py 8
        if hasattr(connection, name):
            setattr(connection, name, None)
    return connection


def ask(connection: AbstractConnection, *command: str) -> Any:
    """Connect, ask one thing, and disconnect; strings come as bytes."""
    try:
        connection.connect()
        connection.send_command(*command)
        return connection.read_response(disable_decoding=True)
    finally:
        connection.disconnect()


class Endpoint(Protocol):
    """The one server to speak with."""

    def connection(self) -> AbstractConnection:
        """Make a connection to it, not connected yet; raises `RedisError` when it is not found."""

    def renew(self) -> None:
        """Find out again where it is, because it failed."""


class FixedEndpoint:
    """A server at a known address."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        connector = Connector(
            tls=url.tls, timeout=timeout, options={**url.options, "protocol": 2}
        )
        if url.socket:
            self._connect = lambda: connector.through(url.socket)
        else:
            self._connect = lambda: connector.to(url.addresses[0])

    def connection(self) -> AbstractConnection:
        """Make a connection to it."""
        return self._connect()

    def renew(self) -> None:
        """Do nothing: it is where it is."""


class SentinelEndpoint:
    """The server that the sentinels call master at the moment."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self._service = url.service
        self._sentinels = list(url.addresses)
        self._to_sentinel = Connector(
            tls=url.tls, timeout=timeout, options={**url.sentinel_options, "protocol": 2}
        )
        self._to_server = Connector(
            tls=url.tls, timeout=timeout, options={**url.options, "protocol": 2}
        )
        self._master = Search(self._find, timeout)

    def connection(self) -> AbstractConnection:
        """Make a connection to the master."""
        return self._to_server.to(self.master())

    def master(self) -> Address:
        """Return the address of the master."""
        return self._master.result()

    def discover_master(self, _service: str) -> Address:
        """Return the address of the master to redis-py's own pool, whose connection failed."""
        return self._master.renew().result(self._to_server.timeout)

    def renew(self) -> None:
        """Ask the sentinels again."""
        self._master.forget()

    def _find(self) -> Address:
        errors = []
        for sentinel in tuple(self._sentinels):
            try:
                found = ask(
                    self._to_sentinel.to(sentinel),
                    *("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service),
                )
            except (RedisError, OSError) as error:
                errors.append(str(error))
            else:
                if found:
                    host, port = found
                    return Address(host.decode(), int(port))
                errors.append(f"{sentinel.host}:{sentinel.port} knows no {self._service!r}")
            # The next search begins with the one that may do better.
            self._sentinels.append(self._sentinels.pop(0))
        raise RedisConnectionError("; ".join(errors))


class ClusterMap:
    """Which node of a cluster owns which slot."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self._seeds = url.addresses
        self._connector = Connector(
            tls=url.tls, timeout=timeout, options={**url.options, "protocol": 2}
        )
        self._known: frozenset[Address] = frozenset()
        self._owners: Search[list[Address | None]] = Search(self._find, timeout)

    def connection(self, node: Address) -> AbstractConnection:
        """Make a connection to a node, not connected yet."""
        return self._connector.to(node)

    def owner(self, slot: int) -> Address:
        """Return the node that owns the slot; raises `RedisError` when none is known."""
        if owner := self._owners.result()[slot]:
            return owner
        self._owners.renew()
        message = f"no node of the cluster serves slot {slot}"
        raise RedisConnectionError(message)

    def owners(self) -> Mapping[Address, int]:
        """Return the nodes that own slots, each with one of them; raises like `owner`."""
        return {owner: slot for slot, owner in enumerate(self._owners.result()) if owner}

    def learn(self, slot: int, owner: Address) -> None:
        """Note what a node has told of a slot, and ask for the rest of it in the background."""
        self._owners.result()[slot] = owner
        self._owners.renew()

    def renew(self) -> None:
        """Ask for the map in the background; the one that is known serves on meanwhile."""
        self._owners.renew()

    def refresh(self) -> None:
        """Ask for the map and wait for it, for as long as it takes; not for who serves a request."""
        self._owners.renew().result()

    def forget(self) -> None:
        """Ask for the map; the one that is known serves no more."""
        self._owners.forget()

    def _find(self) -> list[Address | None]:
        errors = []
        for node in self._candidates():
            try:
                ranges = ask(self._connector.to(node), "CLUSTER", "SLOTS")
            except (RedisError, OSError) as error:
                errors.append(str(error))
                continue
            if ranges:
                return self._read(ranges, node)
            errors.append(f"{node.host}:{node.port} knows of no slots")
        raise RedisConnectionError("; ".join(errors))

    def _candidates(self) -> Iterable[Address]:
        """Return all nodes, in an order by which no failing one is always the first."""
        known = [*self._known, *(seed for seed in self._seeds if seed not in self._known)]
        random.shuffle(known)
        return known

    def _read(self, ranges: Sequence[Any], asked: Address) -> list[Address | None]:
        owners: list[Address | None] = [None] * SLOTS
        known = set()
        for first, last, *nodes in ranges:
            addresses = [_address(node, asked) for node in nodes]
            known |= set(addresses)
            owners[first : last + 1] = [addresses[0]] * (last + 1 - first)
        self._known = frozenset(known)
        return owners


def _address(node: Sequence[Any], asked: Address) -> Address:
    """Read an address; a node that does not know how it is reached leaves its host out."""
    host, port = node[0], node[1]
    return Address(host.decode() if host else asked.host, port)


class Search(Generic[T]):
    """Something that is looked for in the background, by one thread at a time."""

    def __init__(self, find: Callable[[], T], patience: float) -> None:
        """`find` raises when it finds nothing; `patience` is how long who needs it waits."""
        self._find = find
        self._patience = patience
        self._found: T | None = None
        self._running: Future[T] | None = None
        self._lock = threading.Lock()
        _searches.add(self)

    def result(self) -> T:
        """Return what was found last, else wait for what is being looked for."""
        if self._found is not None:
            return self._found
        try:
            return self.renew().result(self._patience)
        except TimeoutError:
            message = "Redis was not found in time"
            raise RedisTimeoutError(message) from None

    def renew(self) -> "Future[T]":
        """Look for it again; what was found last serves meanwhile."""
        with self._lock:
            if self._running is None:
                self._running = Future()
                threading.Thread(
                    target=self._run, args=(self._running,), name="pegboard-search", daemon=True
                ).start()
            return self._running

    def forget(self) -> None:
        """Look for it again; what was found last serves no more."""
        self._found = None
        self.renew()

    def _run(self, future: "Future[T]") -> None:
        try:
            found = self._find()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            with self._lock:
                self._running = None
            future.set_exception(error)
        else:
            with self._lock:
                self._found, self._running = found, None
            future.set_result(found)

    def restart(self) -> None:
        """Look for it anew in a forked process, in which no thread does."""
        self._running, self._lock = None, threading.Lock()


_searches: "weakref.WeakSet[Search[Any]]" = weakref.WeakSet()


def _restart_all() -> None:
    for search in tuple(_searches):
        search.restart()


os.register_at_fork(after_in_child=_restart_all)

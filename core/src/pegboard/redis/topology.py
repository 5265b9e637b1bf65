"""Where the servers of Redis are: one server, whichever the sentinels call master, or a cluster.

Who serves a request waits for an answer to that no longer than for any other: it is looked for in
the background, and found before it is needed whenever it is already known.
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pegboard.redis.opening import Connector, Opening
from pegboard.redis.url import Address, RedisURL
from pegboard.search import Search

SLOTS = 16384

PAUSE = 0.5
"""Seconds between two questions for the map of a cluster, however many nodes fail or redirect."""


class Endpoint(Protocol):
    """The one server to speak with."""

    @property
    def is_encrypted(self) -> bool:
        """Whether connections to it speak TLS."""

    def connection(self) -> Opening:
        """Make a connection to it, not connected yet.

        Raises `RedisError` or `OSError` when it is not found.
        """

    def renew(self) -> None:
        """Find out again where it is, because it failed."""


class FixedEndpoint:
    """A server at a known address."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self.is_encrypted = url.tls
        """Whether connections to it speak TLS."""
        connector = Connector(url, timeout)
        self._connect: Callable[[], Opening] = (
            partial(connector.through, url.socket)
            if url.socket
            else partial(connector.to, url.addresses[0])
        )

    def connection(self) -> Opening:
        """Make a connection to it."""
        return self._connect()

    def renew(self) -> None:
        """Do nothing: it is where it is."""


class SentinelEndpoint:
    """The server that the sentinels call master at the moment."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self.is_encrypted = url.tls
        """Whether connections to the master speak TLS."""
        self._service = url.service
        self._sentinels = list(url.addresses)
        self._to_sentinel = Connector(url, timeout, url.sentinel_options)
        self._to_server = Connector(url, timeout)
        self._master = Search("The master", self._find, timeout)

    def connection(self) -> Opening:
        """Make a connection to the master."""
        return self._to_server.to(self._master.result())

    def discover_master(self, _service: str) -> Address:
        """Return the address of the master, asked for anew, to redis-py's own pool."""
        try:
            return self._master.renewed()
        except TimeoutError as error:
            raise RedisTimeoutError(str(error)) from None

    def renew(self) -> None:
        """Ask the sentinels again."""
        self._master.forget()

    def _find(self) -> Address:
        errors = []
        for sentinel in tuple(self._sentinels):
            try:
                found = self._to_sentinel.to(sentinel).ask(
                    "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service
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


class SlotMap:
    """Which node of a cluster owns which slot, as far as one node knew at one time."""

    def __init__(self, ranges: Sequence[Any], asked: Address) -> None:
        """Read the answer of a node to CLUSTER SLOTS."""
        self.owners: list[Address | None] = [None] * SLOTS
        self.nodes: set[Address] = set()
        """The nodes that own slots."""
        self.replicas: set[Address] = set()
        for first, last, owner, *replicas in ranges:
            node = _address(owner, asked)
            self.owners[first : last + 1] = [node] * (last + 1 - first)
            self.nodes.add(node)
            self.replicas |= {_address(replica, asked) for replica in replicas}

    def slots(self) -> Mapping[Address, set[int]]:
        """Return the slots of each node that owns some."""
        slots: dict[Address, set[int]] = {}
        for slot, owner in enumerate(self.owners):
            if owner:
                slots.setdefault(owner, set()).add(slot)
        return slots


def _address(node: Sequence[Any], asked: Address) -> Address:
    """Read an address; a node that does not know how it is reached leaves its host out."""
    host, port = node[0], node[1]
    return Address(host.decode() if host else asked.host, port)


class ClusterTopology:
    """The map of a cluster, asked for in the background from whichever node answers."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self.is_encrypted = url.tls
        """Whether connections to nodes speak TLS."""
        self._seeds = url.addresses
        self._connector = Connector(url, timeout)
        self._map: Search[SlotMap] = Search("A node of the cluster", self._find, timeout)
        self._asked_at = -math.inf

    def connection(self, node: Address) -> Opening:
        """Make a connection to a node, not connected yet."""
        return self._connector.to(node)

    @property
    def known(self) -> SlotMap | None:
        """The map that was found last."""
        return self._map.found

    def map(self) -> SlotMap:
        """Return the map, which is waited for when none is known; raises `RedisError`."""
        return self._map.result()

    def learn(self, slot: int, owner: Address) -> None:
        """Note what a node has told of a slot, and ask for the rest of it in the background."""
        known = self.map()
        known.owners[slot] = owner
        known.nodes.add(owner)
        self.renew()

    def renew(self) -> None:
        """Ask in the background, unless just done; the map that is known serves on meanwhile."""
        if time.monotonic() - self._asked_at > PAUSE:
            self._asked_at = time.monotonic()
            self._map.renew()

    def _find(self) -> SlotMap:
        errors = []
        for node in self._candidates():
            try:
                ranges = self._connector.to(node).ask("CLUSTER", "SLOTS")
            except (RedisError, OSError) as error:
                errors.append(str(error))
                continue
            if ranges:
                return SlotMap(ranges, node)
            errors.append(f"{node.host}:{node.port} knows of no slots")
        raise RedisConnectionError("; ".join(errors))

    def _candidates(self) -> Iterable[Address]:
        """Return all nodes, in an order by which no failing one is always the first."""
        nodes = set(self._seeds)
        if known := self.known:
            nodes |= known.nodes | known.replicas
        return random.sample(sorted(nodes), len(nodes))


class NodeEndpoint:
    """One node of a cluster."""

    def __init__(self, topology: ClusterTopology, node: Address) -> None:
        self.is_encrypted = topology.is_encrypted
        """Whether connections to it speak TLS."""
        self._topology = topology
        self._node = node

    def connection(self) -> Opening:
        """Make a connection to it."""
        return self._topology.connection(self._node)

    def renew(self) -> None:
        """Find out whether another node has taken its place."""
        self._topology.renew()

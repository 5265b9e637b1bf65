"""Where the servers of Redis are: one server, whichever the sentinels call master, or a cluster.

Sentinels and nodes are asked in the background, so a request waits no longer for their answer than
for that of the server, and not at all while an answer is known.
"""

import math
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pegboard.redaction import redact
from pegboard.redis.channel import command
from pegboard.redis.connection import Connection
from pegboard.redis.handshake import Connected, Connector
from pegboard.redis.resolver import Resolver
from pegboard.redis.url import Address, RedisURL

SLOTS = 16384

PAUSE = 0.5
"""Seconds between two look-ups of the map of a cluster, however many nodes fail or redirect."""


class Endpoint(Protocol):
    """One server, wherever it is at the moment."""

    def connect(self) -> Connected:
        """Connect to it, which blocks; raises `RedisError` or `OSError`."""

    def renew(self) -> None:
        """Look up again where it is, after it failed."""


class FixedEndpoint:
    """A server at a known address."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self._connector = Connector(url, timeout)
        self._address = url.socket or url.addresses[0]

    def connect(self) -> Connected:
        """Connect to it."""
        return self._connector.connect(self._address)

    def renew(self) -> None:
        """Read the certificates again; the address cannot change."""
        self._connector.renew()


class SentinelEndpoint:
    """The server that the sentinels call master at the moment."""

    def __init__(self, url: RedisURL, timeout: float) -> None:
        self._service = url.service
        self._sentinels = list(url.addresses)
        self._sentinel_connector = Connector(url, timeout, url.sentinel_options)
        self._connector = Connector(url, timeout)
        self._master = Resolver("The master", self._look_up, timeout)

    def connect(self) -> Connected:
        """Connect to the master."""
        return self._connector.connect(self._master.result())

    def discover_master(self, _service: str) -> Address:
        """Return the address of the master, asked for anew, to redis-py's own pool."""
        try:
            return self._master.renewed()
        except TimeoutError as error:
            raise RedisTimeoutError(str(error)) from None

    def renew(self) -> None:
        """Ask the sentinels again, and read the certificates again."""
        self._connector.renew()
        self._sentinel_connector.renew()
        self._master.forget()

    def _look_up(self) -> Address:
        errors = []
        for sentinel in tuple(self._sentinels):
            try:
                found = _ask(
                    self._sentinel_connector.connect(sentinel),
                    "SENTINEL",
                    "GET-MASTER-ADDR-BY-NAME",
                    self._service,
                )
            except (RedisError, OSError) as error:
                errors.append(redact(str(error)))
            else:
                if found:
                    host, port = found
                    return Address(host.decode(), int(port))
                errors.append("a sentinel does not know the service")
            # The next look-up begins with one that may know more.
            self._sentinels.append(self._sentinels.pop(0))
        raise RedisConnectionError("; ".join(dict.fromkeys(errors)))


def _ask(connected: Connected, *words: str) -> Any:
    """Send one command on a connection of its own; raises the error that the server reports."""
    with closing(Connection(connected)) as connection:
        replies = connection.converse(*connected.handshake.login, command(*words, key=""))
        [reply] = connected.handshake.check(replies)
    if isinstance(reply, ResponseError):
        raise reply
    return reply


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
        self._seeds = url.addresses
        self._connector = Connector(url, timeout)
        self._map: Resolver[SlotMap] = Resolver("A node of the cluster", self._look_up, timeout)
        self._asked_at = -math.inf

    def connect(self, node: Address) -> Connected:
        """Connect to a node, which blocks; raises `OSError`."""
        return self._connector.connect(node)

    @property
    def known(self) -> SlotMap | None:
        """The map that was found last."""
        return self._map.found

    def map(self) -> SlotMap:
        """Return the map, which is waited for when none is known; raises `RedisError`."""
        return self._map.result()

    def learn(self, slot: int, owner: Address) -> None:
        """Note the new owner of a slot, and look up the whole map in the background."""
        known = self.map()
        known.owners[slot] = owner
        known.nodes.add(owner)
        self.renew()

    def renew(self) -> None:
        """Ask in the background, unless just done; the map that is known serves on meanwhile."""
        if time.monotonic() - self._asked_at > PAUSE:
            self._asked_at = time.monotonic()
            self._connector.renew()
            self._map.renew()

    def _look_up(self) -> SlotMap:
        errors = []
        for node in self._candidates():
            try:
                ranges = _ask(self._connector.connect(node), "CLUSTER", "SLOTS")
            except (RedisError, OSError) as error:
                errors.append(redact(str(error)))
                continue
            if ranges:
                return SlotMap(ranges, node)
            errors.append("a node knows of no slots")
        raise RedisConnectionError("; ".join(dict.fromkeys(errors)))

    def _candidates(self) -> Iterable[Address]:
        """Return all nodes, in an order by which no failing one is always the first."""
        nodes = set(self._seeds)
        if known := self.known:
            nodes |= known.nodes | known.replicas
        return random.sample(sorted(nodes), len(nodes))


class NodeEndpoint:
    """One node of a cluster."""

    def __init__(self, topology: ClusterTopology, node: Address) -> None:
        self._topology = topology
        self._node = node

    def connect(self) -> Connected:
        """Connect to it."""
        return self._topology.connect(self._node)

    def renew(self) -> None:
        """Find out whether another node has taken its place."""
        self._topology.renew()

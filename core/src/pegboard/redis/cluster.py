"""The channel to a cluster: one channel to each of its nodes, and one round trip to all of them."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pegboard.circuit_breaker import CircuitBreaker
from pegboard.redaction import reason_of
from pegboard.redis.channel import ChannelError, Command, Reply, command
from pegboard.redis.connection import Connection, resolve
from pegboard.redis.pool import MEANWHILE, ServerChannel
from pegboard.redis.topology import ClusterTopology, NodeEndpoint, SlotMap
from pegboard.redis.url import Address
from pegboard.redis.write_check import require_writes, write_probe

if TYPE_CHECKING:
    import asyncio

_NODE = "a node of Redis Cluster"
"""A node in messages and logs, which tell no host: `REDIS_URL` has it."""

_ASKING = b"*1\r\n$6\r\nASKING\r\n"


class ClusterChannel:
    """A `Channel` to all nodes of a cluster that own slots.

    A node that is unavailable fails only the exchanges that need it.
    """

    def __init__(self, topology: ClusterTopology, *, size: int, timeout: float) -> None:
        """`size` bounds the number of connections to each node."""
        self._topology = topology
        self._size = size
        self._timeout = timeout
        self._nodes: dict[Address, ServerChannel] = {}
        self._breaker = CircuitBreaker("Redis Cluster", self._probe, meanwhile=MEANWHILE)
        self._seen: SlotMap | None = None

    @property
    def is_unavailable(self) -> bool:
        """Whether the cluster, or any node in use, is known not to answer."""
        self._forget_former_nodes()
        return self._breaker.is_open or any(
            node.is_unavailable for node in tuple(self._nodes.values())
        )

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands to their nodes, then read all replies; see `Channel`."""
        deadline = time.monotonic() + self._timeout
        known = self._known()
        legs: dict[Address, _Leg] = {}
        for number, one in enumerate(commands):
            node = self._owner(known, key_slot(one.key))
            self._leg(legs, node).add(number, one.packed)
        replies: list[Reply] = [_UNANSWERED] * len(commands)
        _travel(legs, commands, replies, deadline)
        moved = {
            number: reply.value
            for number, reply in enumerate(replies)
            if isinstance(reply.value, AskError)
        }
        if moved:
            self._redirect(moved, commands, replies, deadline)
        return replies

    def servers(self) -> frozenset[str]:
        """Ask every node that owns slots for its identity."""
        return frozenset(reply.server for reply in self.exchange([*map(_ping, self._keys())]))

    def check_writes(self) -> None:
        """Raise `ChannelError` when a node that owns slots does not answer, or refuses writes."""
        require_writes(self.exchange([*map(write_probe, self._keys())]))

    @property
    def is_sharded(self) -> bool:
        """Whether keys are divided among servers by their slots: they are."""
        return True

    def pipeline(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Return None: a cluster is for threads, which wait for several nodes at once."""

    def reset(self) -> None:
        """Drop all connections, and find out anew which node owns what; see `Channel`."""
        self._topology.renew()
        for node in tuple(self._nodes.values()):
            node.reset()

    def close(self) -> None:
        """Close every idle connection."""
        for node in tuple(self._nodes.values()):
            node.close()

    def _keys(self) -> list[bytes]:
        """Return a key of every node that owns slots."""
        return [_key(slots) for slots in self._known().slots().values()]

    def _known(self) -> SlotMap:
        if self._breaker.is_open:
            message = "Redis Cluster is unavailable"
            raise ChannelError(message)
        self._forget_former_nodes()
        try:
            return self._topology.map()
        except (RedisError, OSError) as error:
            reason = reason_of(error)
            self._breaker.trip(reason)
            raise ChannelError(reason) from error

    def _owner(self, known: SlotMap, slot: int) -> Address:
        if owner := known.owners[slot]:
            return owner
        self._topology.renew()
        message = f"no node of the cluster serves slot {slot}"
        raise ChannelError(message)

    def _forget_former_nodes(self) -> None:
        """Forget nodes that own nothing any more; a breaker's probe of such a node ends."""
        known = self._topology.known
        if known is self._seen or known is None:
            return
        self._seen = known
        for address in tuple(self._nodes):
            if address not in known.nodes and (node := self._nodes.pop(address, None)):
                node.close()

    def _leg(self, legs: "dict[Address, _Leg]", address: Address) -> "_Leg":
        if address not in legs:
            legs[address] = _Leg(self._nodes.get(address) or self._add(address))
        return legs[address]

    def _add(self, address: Address) -> ServerChannel:
        endpoint = NodeEndpoint(self._topology, address)
        channel = ServerChannel(endpoint, size=self._size, timeout=self._timeout, name=_NODE)
        return self._nodes.setdefault(address, channel)

    def _redirect(
        self,
        moved: Mapping[int, AskError],
        commands: Sequence[Command],
        replies: list[Reply],
        deadline: float,
    ) -> None:
        """Send commands again, once, that a node has not executed because another one should."""
        legs: dict[Address, _Leg] = {}
        for number, error in moved.items():
            # A node that leaves the host out means its own.
            sender = self._owner(self._known(), error.slot_id)
            target = Address(error.host or sender.host, error.port)
            is_final = isinstance(error, MovedError)
            if is_final:
                self._topology.learn(error.slot_id, target)
            self._leg(legs, target).add(number, commands[number].packed, asking=not is_final)
        _travel(legs, commands, replies, deadline)
        if any(isinstance(replies[number].value, AskError) for number in moved):
            message = "the cluster is being arranged anew"
            raise ChannelError(message)

    def _probe(self) -> None:
        self._topology.map()


_UNANSWERED = Reply(None, "")


class _Leg:
    """The part of one exchange that concerns one node."""

    def __init__(self, node: ServerChannel) -> None:
        self.node = node
        self.connection: Connection | None = None
        self._numbers: list[tuple[int, bool]] = []
        self._packed: list[bytes] = []

    def add(self, number: int, packed: bytes, *, asking: bool = False) -> None:
        if asking:
            self._packed.append(_ASKING)
        self._packed.append(packed)
        self._numbers.append((number, asking))

    def send(self) -> None:
        connection = self.connection = self.node.acquire()
        try:
            connection.send(b"".join(self._packed))
        except (RedisError, OSError) as error:
            raise self._lose(error) from error

    def read(self, commands: Sequence[Command], replies: list[Reply], deadline: float) -> None:
        connection = self.connection
        assert connection
        try:
            remaining = deadline - time.monotonic()
            if not connection.has_input(max(remaining, 0.001)):
                message = "Timeout reading from a node of the cluster"
                raise RedisTimeoutError(message)
            values = [self._read_one(connection, asking=asking) for _, asking in self._numbers]
            for (number, _), value in zip(self._numbers, values, strict=True):
                resolved = value
                if isinstance(value, ResponseError) and not isinstance(value, AskError):
                    resolved = resolve(connection, commands[number], value)
                replies[number] = Reply(resolved, connection.server)
        except (RedisError, OSError) as error:
            raise self._lose(error) from error
        self.connection = None
        self.node.release(connection)

    @staticmethod
    def _read_one(connection: Connection, *, asking: bool) -> Any:
        if asking:
            connection.read()
        return connection.read()

    def abandon(self) -> None:
        if self.connection:
            self.node.discard(self.connection)

    def _lose(self, error: Exception) -> ChannelError:
        connection, self.connection = self.connection, None
        assert connection
        return self.node.lose(connection, error)


def _travel(
    legs: dict[Address, _Leg], commands: Sequence[Command], replies: list[Reply], deadline: float
) -> None:
    """Send everything before anything is read: it takes as long as the slowest node."""
    for leg in legs.values():
        if leg.node.is_unavailable:
            message = f"{_NODE} is unavailable"
            raise ChannelError(message)
    try:
        # In one order for all exchanges, or two could each hold the connection the other waits for.
        for address in sorted(legs):
            legs[address].send()
        for leg in legs.values():
            leg.read(commands, replies, deadline)
    except BaseException:
        for leg in legs.values():
            leg.abandon()
        raise


def _ping(key: bytes) -> Command:
    """Make a command that concerns no key, but is sent to the owner of one."""
    return command("PING", key=key)


def _key(slots: set[int]) -> bytes:
    """Find a key that falls into one of the slots."""
    number = 0
    while key_slot(key := b"%d" % number) not in slots:
        number += 1
    return key

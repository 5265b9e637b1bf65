"""A Redis cluster of real servers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from pegboard.testing.groups import PASSWORD, ServerGroup, execute_command, is_linked_to_master
from pegboard.testing.processes import free_port, wait_until
from pegboard.testing.servers import RedisServer

__all__ = ["ClusterServers"]


class ClusterServers(ServerGroup):
    """A cluster of servers; each shard is a master, with or without a replica."""

    def __init__(
        self,
        *,
        shards: int = 3,
        replicas: bool = True,
        node_timeout: float = 1.0,
        program: Path | None = None,
    ) -> None:
        """`node_timeout` is in seconds: a node that does not answer for longer counts as failed.

        Without `program` the nodes are Valkey.
        """
        super().__init__(program)
        self.servers: list[RedisServer] = []
        """The masters as they were at the start, then the replicas in the same order."""
        self._shards = shards
        self._replicas = replicas
        self._node_timeout = node_timeout

    @property
    def url(self) -> str:
        """The `REDIS_URL` of an app on this cluster; it names three of the nodes."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])
        return f"redis+cluster://:{PASSWORD}@{hosts}"

    def master_of(self, key: str | bytes) -> RedisServer:
        """Return the node that owns the slot of the key."""
        slot = key_slot(key.encode() if isinstance(key, str) else key)
        return next(node for node in self.servers if slot in self._slots_of(node))

    def replica_of(self, master: RedisServer) -> RedisServer:
        """Return the replica of the master.

        Raises `LookupError` when there is none.
        """
        for server in self.servers:
            role: Any = self._role(server)
            if role[0] == "slave" and role[2] == master.port:
                return server
        message = f"the server on port {master.port} has no replica"
        raise LookupError(message)

    def failover(self, key: str | bytes = "") -> None:
        """Make a replica the master of the shard that holds the key, and wait until it is."""
        former = self.master_of(key)
        execute_command(self.client_of(self.replica_of(former)), "CLUSTER", "FAILOVER")
        self.wait_for_failover(former)

    def wait_for_failover(self, former: RedisServer) -> None:
        """Wait until other masters own all slots and the cluster is ready."""

        def done() -> bool:
            others = [server for server in self.servers if server is not former]
            slots = [slots for server in others if (slots := self._slots_of(server))]
            complete = sum(map(len, slots)) == REDIS_CLUSTER_HASH_SLOTS
            return complete and not self._slots_of(former) and self._is_ok(others)

        wait_until(done, "the cluster is ready without the former master")

    def move(self, key: str | bytes, *, to: RedisServer, finish: bool = True) -> None:
        """Move a key's slot, which must be empty, to another master.

        With `finish=False` the move stays under way, and the cluster answers with ASK.
        """
        name = key.encode() if isinstance(key, str) else key
        source, slot = self.master_of(name), key_slot(name)
        ids = {
            node.port: execute_command(self.client_of(node), "CLUSTER", "MYID")
            for node in (source, to)
        }
        command = ("CLUSTER", "SETSLOT", slot)
        execute_command(self.client_of(to), *command, "IMPORTING", ids[source.port])
        execute_command(self.client_of(source), *command, "MIGRATING", ids[to.port])
        if finish:
            for node in (to, source):
                execute_command(self.client_of(node), *command, "NODE", ids[to.port])

    def start_servers(self) -> None:
        """Start the nodes, have them meet, and assign slots and roles."""
        for _ in range(self._shards * (2 if self._replicas else 1)):
            server = self.serve(
                cluster_enabled="yes",
                cluster_node_timeout=str(int(self._node_timeout * 1000)),
                cluster_port=str(free_port()),
                cluster_announce_ip="127.0.0.1",
                cluster_replica_validity_factor="0",
            )
            self.servers.append(server)
        clients = [self.client_of(server) for server in self.servers]
        for epoch, client in enumerate(clients, 1):
            execute_command(client, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for client in clients:
            for server in self.servers:
                ports = (server.port, _cluster_port(self.client_of(server)))
                execute_command(client, "CLUSTER", "MEET", "127.0.0.1", *ports)
        wait_until(lambda: all(map(self._knows_all, clients)), "the nodes have met")
        edges = [
            number * REDIS_CLUSTER_HASH_SLOTS // self._shards for number in range(self._shards + 1)
        ]
        for client, first, end in zip(clients, edges, edges[1:], strict=False):
            execute_command(client, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        masters, followers = clients[: self._shards], clients[self._shards :]
        for master, follower in zip(masters, followers, strict=False):
            execute_command(
                follower, "CLUSTER", "REPLICATE", execute_command(master, "CLUSTER", "MYID")
            )
        for follower in followers:
            wait_until(
                partial(is_linked_to_master, follower), "the replicas are linked to their masters"
            )
        wait_until(lambda: self._is_ok(self.servers), "the cluster is ready")

    def _knows_all(self, client: Redis) -> bool:
        facts: Any = execute_command(client, "CLUSTER", "INFO")
        return _facts(facts)["cluster_known_nodes"] == str(len(self.servers))

    def _is_ok(self, servers: list[RedisServer]) -> bool:
        try:
            facts = [
                _facts(execute_command(self.client_of(server), "CLUSTER", "INFO"))
                for server in servers
            ]
        except RedisError:
            return False
        return all(known["cluster_state"] == "ok" for known in facts)

    def _role(self, server: RedisServer) -> Any:
        try:
            return execute_command(self.client_of(server), "ROLE")
        except RedisError:
            return ["unavailable"]

    def _slots_of(self, server: RedisServer) -> set[int]:
        """Return the slots that a node owns by its own account; none if it is no running master."""
        if self._role(server)[0] != "master":
            return set()
        slots: set[int] = set()
        found: Any = execute_command(self.client_of(server), "CLUSTER", "SLOTS")
        for first, last, (_, port, *_rest), *_replicas in found:
            if port == server.port:
                slots |= set(range(first, last + 1))
        return slots


def _facts(text: Any) -> Mapping[str, str]:
    return text if isinstance(text, dict) else dict(line.split(":", 1) for line in text.split())


def _cluster_port(client: Redis) -> int:
    found: Any = client.config_get("cluster-port")
    return int(found["cluster-port"])

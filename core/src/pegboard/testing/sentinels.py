"""A Redis master, its replica and sentinels, as real servers."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from pegboard.testing.groups import PASSWORD, ServerGroup, execute_command, is_linked_to_master
from pegboard.testing.processes import Server, free_port, wait_until
from pegboard.testing.servers import RedisServer, valkey_program

__all__ = ["SentinelServers"]

SERVICE = "pegboard"


class Sentinel(Server):
    """One sentinel process; several agree on a new master when the old one fails."""

    def __init__(
        self, master: RedisServer, *, quorum: int, down_after: float, program: Path
    ) -> None:
        """`down_after` is in seconds: a master that does not answer for longer counts as failed."""
        directory = Path(tempfile.mkdtemp(prefix="pegboard-"))
        port = free_port()
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\nrequirepass {PASSWORD}\n"
            f"sentinel sentinel-pass {PASSWORD}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel auth-pass {SERVICE} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {SERVICE} {int(down_after * 1000)}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        command = [str(program), str(configuration), "--sentinel"]
        super().__init__(command, port=port, directory=directory)


class SentinelServers(ServerGroup):
    """A master, a replica, and three sentinels that monitor them.

    The master may be killed or suspended, as in `servers.master.kill()`; within a few seconds the
    replica becomes the master.
    """

    def __init__(self, *, down_after: float = 0.5, program: Path | None = None) -> None:
        """`down_after` is in seconds: a master that does not answer for longer counts as failed.

        Without `program` the servers and the sentinels are Valkey.
        """
        super().__init__(program)
        self.servers: list[RedisServer] = []
        """The master as it was at the start, then its replica."""
        self.sentinels: list[Sentinel] = []
        """The three sentinels, in the order of their start."""
        self._down_after = down_after

    @property
    def url(self) -> str:
        """The `REDIS_URL` of an app on these servers."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        query = f"sentinel_password={PASSWORD}"
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0?{query}"

    @property
    def master(self) -> RedisServer:
        """The server that the sentinels call master."""
        return next(server for server in self.servers if server.port == self._master_port())

    @property
    def replica(self) -> RedisServer:
        """The server that the sentinels do not call master."""
        return next(server for server in self.servers if server.port != self._master_port())

    def failover(self) -> None:
        """Have the sentinels make the replica the master, and wait until it is."""
        former, successor = self.master, self.replica
        execute_command(self.client_of(self.sentinels[0]), "SENTINEL", "FAILOVER", SERVICE)
        wait_until(lambda: self._role(successor) == "master", "the replica is the master")
        # Sentinels would do this about ten seconds later.
        execute_command(self.client_of(former), "REPLICAOF", "127.0.0.1", successor.port)
        execute_command(self.client_of(former), "CLIENT", "KILL", "TYPE", "normal")
        self.wait_for_failover(former)

    def wait_for_failover(self, former: RedisServer) -> None:
        """Wait until all sentinels name another master, and the former one is none any more."""
        wait_until(lambda: self._agree_on_another(former), "the sentinels agree on another master")
        successor = self.master
        wait_until(lambda: self._role(successor) == "master", "the replica is the master")
        wait_until(
            lambda: self._role(former) != "master", "the former master is no master any more"
        )

    def _agree_on_another(self, former: RedisServer) -> bool:
        named = {self._master_port(sentinel) for sentinel in self.sentinels}
        return len(named) == 1 and former.port not in named

    def _role(self, server: RedisServer) -> str:
        try:
            role: str = execute_command(self.client_of(server), "ROLE")[0]
        except RedisError:
            return "unavailable"
        return role

    def _master_port(self, sentinel: Sentinel | None = None) -> int:
        client = self.client_of(sentinel or self.sentinels[0])
        return int(execute_command(client, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def start_servers(self) -> None:
        """Start the servers, then the sentinels."""
        master = self.serve()
        replica = self.serve(replicaof=f"127.0.0.1 {master.port}", replica_priority="1")
        self.servers = [master, replica]
        wait_until(
            lambda: is_linked_to_master(self.client_of(replica)),
            "the replica is linked to its master",
        )
        program = self.program or valkey_program()
        for _ in range(3):
            sentinel = Sentinel(master, quorum=2, down_after=self._down_after, program=program)
            self.sentinels.append(self.stack.enter_context(sentinel))
        for sentinel in self.sentinels:
            knows = partial(_watches, self.client_of(sentinel))
            wait_until(knows, "the sentinels know of each other")


def _watches(sentinel: Redis) -> bool:
    facts: Any = execute_command(sentinel, "SENTINEL", "MASTER", SERVICE)
    known = dict(zip(facts[::2], facts[1::2], strict=True)) if isinstance(facts, list) else facts
    return int(known["num-other-sentinels"]) == 2 and int(known["num-slaves"]) == 1  # noqa: PLR2004 - of three

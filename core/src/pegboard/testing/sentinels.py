"""A master with sentinels that watch over it."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis

from pegboard.testing.groups import PASSWORD, ServerGroup, follows, say
from pegboard.testing.processes import Server, free_port, wait_until
from pegboard.testing.servers import RedisServer, valkey_program

SERVICE = "pegboard"


class Sentinel(Server):
    """One of those who watch over a master and agree on another one when it fails."""

    def __init__(self, master: RedisServer, *, quorum: int, patience: float, program: Path) -> None:
        """`patience` is how long a master may hang before it counts as failed."""
        directory = Path(tempfile.mkdtemp(prefix="pegboard-"))
        port = free_port()
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\nrequirepass {PASSWORD}\n"
            f"sentinel sentinel-pass {PASSWORD}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel auth-pass {SERVICE} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {SERVICE} {int(patience * 1000)}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        command = [str(program), str(configuration), "--sentinel"]
        super().__init__(command, port=port, directory=directory)


class SentinelServers(ServerGroup):
    """A master, a replica, and three sentinels who watch over them; `url` is that of them all.

    The master may be killed or suspended, as in `servers.master.kill()`; within a few seconds the
    replica takes its place.
    """

    def __init__(self, *, patience: float = 0.5) -> None:
        """`patience` is how long a master may hang before it counts as failed."""
        super().__init__()
        self.servers: list[RedisServer] = []
        self.sentinels: list[Sentinel] = []
        self._patience = patience
        self._clients: list[Redis] = []

    @property
    def url(self) -> str:
        """What an app takes for `REDIS_URL`."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        query = f"sentinel_password={PASSWORD}"
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0?{query}"

    @property
    def master(self) -> RedisServer:
        """The server that the sentinels call master."""
        return next(server for server in self.servers if server.port == self._master_port())

    @property
    def replica(self) -> RedisServer:
        """The other one."""
        return next(server for server in self.servers if server.port != self._master_port())

    def failover(self) -> None:
        """Have the sentinels make the replica the master, and wait until it is."""
        former = self._master_port()
        say(self._clients[0], "SENTINEL", "FAILOVER", SERVICE)
        self.wait_for_failover(former)

    def wait_for_failover(self, former_port: int) -> None:
        """Wait until all sentinels name another master than that of the port, and it is one."""
        wait_until(lambda: self._agree_on_another(former_port), "the sentinels find a master")
        client = self.client_of(self.master)
        wait_until(lambda: client.role()[0] == "master", "the replica is the master")

    def _agree_on_another(self, former_port: int) -> bool:
        named = {self._master_port(client) for client in self._clients}
        return len(named) == 1 and former_port not in named

    def _master_port(self, client: Redis | None = None) -> int:
        asked = client or self._clients[0]
        address = say(asked, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(address[1])

    def begin(self) -> None:
        """Start the servers, then those who watch over them."""
        master = self.serve()
        replica = self.serve(replicaof=f"127.0.0.1 {master.port}", replica_priority="1")
        self.servers = [master, replica]
        wait_until(lambda: follows(self.client_of(replica)), "the replica has a master")
        for _ in range(3):
            sentinel = Sentinel(master, quorum=2, patience=self._patience, program=valkey_program())
            self.sentinels.append(self.stack.enter_context(sentinel))
        self._clients = [self.client_of(sentinel) for sentinel in self.sentinels]
        for client in self._clients:
            wait_until(partial(_watches, client), "the sentinels know of each other")


def _watches(sentinel: Redis) -> bool:
    facts: Any = say(sentinel, "SENTINEL", "MASTER", SERVICE)
    known = dict(zip(facts[::2], facts[1::2], strict=True)) if isinstance(facts, list) else facts
    return int(known["num-other-sentinels"]) == 2 and int(known["num-slaves"]) == 1  # noqa: PLR2004 - of three

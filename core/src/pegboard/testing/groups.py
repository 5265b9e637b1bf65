"""What clusters and sentinels have in common: several servers that start and stop together."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.backoff import AbstractBackoff, NoBackoff
from redis.retry import Retry

from pegboard.testing.processes import Server
from pegboard.testing.servers import RedisServer

PASSWORD = "of-every-server"  # noqa: S105 - of servers that live as long as a test

_no_backoff: Callable[[], AbstractBackoff] = NoBackoff  # it has no types


class ServerGroup(ABC):
    """Several servers; as a context manager it starts and stops them."""

    def __init__(self, program: Path | None) -> None:
        self.program = program
        """The program of the servers; None for Valkey from its wheel."""
        self.stack = ExitStack()
        self._clients: dict[int, Redis] = {}

    def __enter__(self) -> Self:
        """Start the servers."""
        with self.stack:
            self.start_servers()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers."""
        self.stack.close()

    @abstractmethod
    def start_servers(self) -> None:
        """Start the servers and set up their roles."""

    def serve(self, **options: str) -> RedisServer:
        """Start a server; `options` are directives of its configuration, with `_` for `-`."""
        options = {name.replace("_", "-"): value for name, value in options.items()}
        common = {"masterauth": PASSWORD, "repl-diskless-sync-delay": "0"}
        server = RedisServer(program=self.program, password=PASSWORD, options={**common, **options})
        return self.stack.enter_context(server)

    def client_of(self, server: Server) -> Redis:
        """Return a client of one server, which returns `str` and gives up after a second."""
        if server.port not in self._clients:
            client = Redis(
                port=server.port,
                password=PASSWORD,
                socket_timeout=1.0,
                retry=Retry(_no_backoff(), 0),
                decode_responses=True,
                protocol=2,
            )
            self._clients[server.port] = client
            self.stack.callback(client.close)
        return self._clients[server.port]


def execute_command(client: Redis, *command: str | int) -> Any:
    """Run a command for which redis-py has no types."""
    run: Callable[..., Any] = client.execute_command
    return run(*command)


def is_linked_to_master(replica: Redis) -> bool:
    """Return whether the replica is connected to its master and in sync."""
    facts: Any = replica.info("replication")
    return bool(facts.get("master_link_status") == "up")

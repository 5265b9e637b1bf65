"""What a service needs at 1, 2 and 4 workers: `python benchmarks/capacity.py`.

Processor time for each kind of request, memory of a worker and of a connection, connections to the
database, and bytes in Redis for each client of the limiter and each item of the cache. Processor
time hardly depends on what else the machine does; a rate would. The table is that of
docs/how-to/capacity.md.
"""

import argparse
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil
import redis
from load import load, request
from measure import FULL, ITEMS, UNLIMITED, Bench, cpu, gets, puts

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.services import LiveServer

VIEW = """
import flask
import pegboard

blueprint = flask.Blueprint("plain", __name__)


@blueprint.get("/plain")
def plain():
    return {"message": "hello"}


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""
PROXY = {"PEGBOARD_TRUSTED_PROXIES": "1"}
CLIENTS, EACH = 2000, 5
CONNECTIONS = 800
WORKERS = (1, 2, 4)
REFUSED = "198.51.100.1"


def kinds() -> dict[str, tuple[list[bytes], int]]:
    """Return the requests of each kind, and the status of their answers."""
    searched = [request("GET", f"/api/items/?page=1&q=a{number}") for number in range(ITEMS)]
    return {
        "cached GET": (gets(), 200),
        "refused (429)": (gets(*[REFUSED] * ITEMS), 429),
        "GET of a row": ([request("GET", "/api/items/?page_size=1")], 200),
        "list of 20": ([request("GET", "/api/items/")], 200),
        "search": (searched, 200),
        "PUT": (puts(), 200),
        "view of Flask": ([request("GET", "/plain")], 200),
    }


def measure(server: LiveServer, seconds: float) -> Iterator[tuple[str, float]]:
    """Yield the milliseconds of processor time that a request of each kind takes."""
    for name, (packets, status) in kinds().items():
        load(server.port, packets, seconds=seconds / 2)
        before = cpu(server)
        seen = load(server.port, packets, seconds=seconds)
        assert set(seen.statuses) == {status}, (name, seen.statuses)
        yield name, (cpu(server) - before) / seen.count * 1000


def memory(server: LiveServer) -> list[float]:
    """Return the MiB that each process has for itself, with its part of what it shares."""
    main = psutil.Process(server.pid)
    return [one.memory_full_info().pss / 2**20 for one in (main, *main.children())]


@contextmanager
def connected(port: int, number: int) -> Iterator[None]:
    """Keep so many connections open, each after one request."""
    with ExitStack() as stack:
        for _ in range(number):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            one.recv(4096)
        yield


def show(title: str, values: Sequence[float], form: str = ".0f") -> None:
    """Print a line of the table."""
    print(f"{title:42}" + "".join(f"{one:>10{form}}" for one in values))
    sys.stdout.flush()


def of_redis(client: Any) -> tuple[int, int]:
    """Return the bytes and the keys that Redis has."""
    return int(client.info("memory")["used_memory"]), int(client.dbsize())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds: float = parser.parse_args().seconds
    costs: dict[str, list[float]] = {}
    memories: list[list[float]] = []
    connection = 0.0
    with ExitStack() as stack:
        bench = Bench(stack)
        plugins = bench.directory / "plugins"
        plugins.mkdir()
        PluginFolder(plugins).add("plain", VIEW)
        settings = {
            **FULL,
            **UNLIMITED,
            **PROXY,
            "PEGBOARD_PLUGINS": f"{FULL['PEGBOARD_PLUGINS']},plain",
            "PYTHONPATH": str(plugins),
        }
        rule = ("ratelimit", "rules", "add", "--client", REFUSED, "--limit", "1/day")
        for workers in WORKERS:
            server = bench.start(rule, **settings, WORKERS=str(workers))
            for name, cost in measure(server, seconds):
                costs.setdefault(name, []).append(cost)
            memories.append(memory(server))
            if workers == 1:
                (_, before) = memory(server)
                with connected(server.port, CONNECTIONS):
                    (_, after) = memory(server)
                connection = (after - before) * 1024 / CONNECTIONS
            server.stop()
        show("workers", WORKERS)
        for name, found in costs.items():
            show(f"{name}: CPU ms", found, ".3f")
            show(f"{name}: requests per core and second", [1000 / one for one in found])
        show("main process: MiB", [one[0] for one in memories])
        show("each worker: MiB", [sum(one[1:]) / len(one[1:]) for one in memories])
        show("an idle connection: KiB", [connection], ".1f")
        redis_client = redis.Redis.from_url(bench.redis.url)
        redis_client.flushall()
        server = bench.start(**{**settings, "PEGBOARD_RATELIMIT_DEFAULT": "1000/minute"})
        time.sleep(1)
        empty = of_redis(redis_client)
        clients = [f"198.18.{number // 250}.{number % 250}" for number in range(CLIENTS)]
        asked = [request("GET", "/api/items/?page_size=1", client=one) for one in clients] * EACH
        _each(server, asked)
        counted = of_redis(redis_client)
        _each(server, gets())
        cached = of_redis(redis_client)
        show(f"limiter: bytes a client ({EACH} requests)", [(counted[0] - empty[0]) / CLIENTS])
        show("limiter: keys a client", [(counted[1] - empty[1]) / CLIENTS], ".2f")
        show("cache: bytes an item", [(cached[0] - counted[0]) / ITEMS])
        show("cache: keys an item", [(cached[1] - counted[1]) / ITEMS], ".2f")


def _each(server: LiveServer, packets: Sequence[bytes]) -> None:
    """Send each request once, on one connection."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for packet in packets:
            connection.sendall(packet)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


if __name__ == "__main__":
    main()

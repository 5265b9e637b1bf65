"""Measure side by side, in one run, what a feature costs: `python benchmarks/measure.py --help`.

Each variant is the real service on a real PostgreSQL and a real Redis-protocol server. Variants
take turns, so that a busy machine is busy for all; what counts is their ratio.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import psutil
from instructions import counted
from load import Seen, load, request, steady

from pegboard.testing.databases import fresh_database
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.servers import PostgresServer, RedisServer
from pegboard.testing.services import LiveServer, run_pegboard

UNLIMITED = {"PEGBOARD_RATELIMIT_DEFAULT": "1000000000/minute"}
BASE = {
    "PEGBOARD_ENV": "production",
    "SECRET_KEY": "measured-with-a-key-that-nobody-uses-elsewhere",
    "PEGBOARD_LOG_LEVEL": "WARNING",
}
CHOICES = ("hits", "writes", "refusals", "observe", "idle", "hang", "flood")
ITEMS = 100
PUT = json.dumps({"name": "Anvil", "description": "Heavy."}).encode()


@dataclass
class Variant:
    """One way to run the service, and what it is asked."""

    name: str
    settings: dict[str, str]
    packets: list[bytes]
    status: int = 200
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    instructions: list[float] = field(default_factory=list)
    server: LiveServer | None = None


def gets(*clients: str) -> list[bytes]:
    """Return requests for single items, of the clients in turn."""
    return [
        request("GET", f"/api/items/{number % ITEMS + 1}", client=client)
        for number, client in enumerate(clients or [""] * ITEMS)
    ]


def puts() -> list[bytes]:
    """Return requests that replace items."""
    return [request("PUT", f"/api/items/{number}", PUT) for number in range(1, ITEMS + 1)]


def cpu(server: LiveServer) -> float:
    """Return the CPU seconds that the processes of a service have used."""
    main = psutil.Process(server.pid)
    times = [process.cpu_times() for process in (main, *main.children(recursive=True))]
    return sum(one.user + one.system for one in times)


class Bench:
    """The servers that all variants share."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.postgres = stack.enter_context(PostgresServer())
        self.redis = stack.enter_context(RedisServer())
        self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))

    def start(self, *commands: Sequence[str], **settings: str) -> LiveServer:
        """Start a service on a database of its own, with items in it, after the commands."""
        url = self.stack.enter_context(fresh_database(self.postgres.url))
        settings = {**BASE, "DATABASE_URL": url, "REDIS_URL": self.redis.url, **settings}
        seed = ("items", "seed", "--count", str(ITEMS))
        for command in (("db", "upgrade"), seed, *commands):
            done = run_pegboard(*command, directory=self.directory, **settings)
            assert done.returncode == 0, done.stdout
        return self.stack.enter_context(LiveServer(**settings))

    def compare(self, variants: Sequence[Variant], *, rounds: int, seconds: float) -> None:
        """Measure all variants in turns, and print them against the first."""
        for variant in variants:
            variant.server = self.start(**variant.settings)
            load(variant.server.port, variant.packets, seconds=seconds / 2)
        for _ in range(rounds):
            for variant in variants:
                server = variant.server
                assert server is not None
                before = cpu(server)
                with counted([server.pid, *server.workers]) as executed:
                    seen = load(server.port, variant.packets, seconds=seconds)
                assert set(seen.statuses) == {variant.status}, seen.statuses
                variant.rates.append(seen.rate)
                variant.costs.append((cpu(server) - before) / seen.count * 1000)
                if executed.count is not None:
                    variant.instructions.append(executed.count / seen.count / 1000)
        first = variants[0]
        head = f"{'variant':34} {'req/s':>9} {'ratio':>6} {'CPU ms/req':>11} {'ratio':>6}"
        if first.instructions:
            head += f" {'1000 instr./req':>15} {'ratio':>6}"
        print(head)
        for one in variants:
            rate, cost = _ratio(one.rates, first.rates), _ratio(one.costs, first.costs)
            line = f"{one.name:34} {statistics.median(one.rates):9.0f} {rate:6.2f} "
            line += f"{statistics.median(one.costs):11.3f} {cost:6.2f}"
            if first.instructions:
                ratio = _ratio(one.instructions, first.instructions)
                line += f" {statistics.median(one.instructions):15.0f} {ratio:6.3f}"
            print(line)


def _ratio(values: list[float], first: list[float]) -> float:
    """Return the median of what each round has found against the first variant in it."""
    return statistics.median(a / b for a, b in zip(values, first, strict=True))


CACHED = {"PEGBOARD_PLUGINS": "items,cache_redis"}
FULL = {"PEGBOARD_PLUGINS": "items,cache_redis,ratelimit"}
NO_CACHE = {"PEGBOARD_CACHE": "none"}
ONCE = {"PEGBOARD_RATELIMIT_DEFAULT": "1/day"}
METRICS = FULL | UNLIMITED | {"PEGBOARD_PLUGINS": "items,cache_redis,ratelimit,observe"}
TRACES = METRICS | {"PEGBOARD_OBSERVE_TRACES": "true", "OTEL_TRACES_EXPORTER": "none"}
FEW_TRACES = {
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.01",
}


def idle(directory: Path) -> list[Variant]:
    """Return services with 0, 1 and 20 plugins that have nothing to do."""
    variants = []
    for count in (0, 1, 20):
        path = directory / f"idle-{count}"
        path.mkdir()
        folder = PluginFolder(path)
        for number in range(count):
            folder.add(f"idle{number}", "def nothing(): ...")
        settings = UNLIMITED | {"PYTHONPATH": str(path)}
        variants.append(Variant(f"{count} idle plugins", settings, gets()))
    return variants


def comparison(what: str, directory: Path) -> list[Variant]:
    """Return the variants to compare."""
    if what == "hits":
        return [Variant("hit", CACHED, gets()), Variant("database", CACHED | NO_CACHE, gets())]
    if what == "writes":
        return [
            Variant("PUT, cache_redis", CACHED, puts()),
            Variant("PUT, no cache", CACHED | NO_CACHE, puts()),
        ]
    if what == "refusals":
        return [
            Variant("admitted", FULL | UNLIMITED, gets()),
            Variant("refused", FULL | ONCE, gets(), 429),
        ]
    if what == "observe":
        return [
            Variant("without observe", FULL | UNLIMITED, gets()),
            Variant("metrics", METRICS, gets()),
            Variant("and 1 % of the traces", TRACES | FEW_TRACES, gets()),
            Variant("and all traces", TRACES, gets()),
        ]
    return idle(directory)


def hang(bench: Bench, *, seconds: float, rate: float = 50.0) -> None:
    """Ask steadily while Redis is suspended, and print the slowest request of each second."""
    server = bench.start(**UNLIMITED)
    slowest: dict[int, float] = {}
    failed = 0
    began = time.perf_counter()
    stop = threading.Event()

    def suspend() -> None:
        stop.wait(3)
        with bench.redis.suspended():
            stop.wait(seconds)

    hanging = threading.Thread(target=suspend)
    hanging.start()
    number = 0
    while (now := time.perf_counter() - began) < seconds + 8:
        status, _ = server.request("GET", f"/api/items/{number % ITEMS + 1}")
        failed += status != HTTPStatus.OK
        took = time.perf_counter() - began - now
        slowest[int(now)] = max(slowest.get(int(now), 0.0), took)
        number += 1
        time.sleep(max(0.0, number / rate - (time.perf_counter() - began)))
    hanging.join()
    print(f"{number} requests, {failed} failed; Redis hung from second 3 to {seconds + 3:.0f}")
    print("slowest of each second, ms:", [round(took * 1000) for took in slowest.values()])


@dataclass
class Flooded:
    """What one client sees while others send requests or do not."""

    name: str
    packets: list[bytes]
    status: int = 200
    seen: list[Seen] = field(default_factory=list)
    flood: list[float] = field(default_factory=list)


OTHER = "192.0.2.1"
FLOODER = "198.51.100.1"
CROWD = [f"198.18.{number // 250}.{number % 250}" for number in range(1000)]


def flood(bench: Bench, *, rounds: int, seconds: float, rate: float) -> None:
    """Measure one client beside a flood that is refused, and one of the same rate that is not."""
    server = bench.start(
        ("ratelimit", "rules", "add", "--client", FLOODER, "--limit", "1/day"),
        **(FULL | UNLIMITED | {"PEGBOARD_TRUSTED_PROXIES": "1"}),
    )
    floods = [
        Flooded("no flood", []),
        Flooded("flood of many, admitted", gets(*CROWD)),
        Flooded("flood of one, refused", gets(*[FLOODER] * ITEMS), 429),
    ]
    load(server.port, gets(FLOODER, *[OTHER] * ITEMS), seconds=seconds / 2)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for _ in range(rounds):
            for one in floods:
                _measure_beside(server, pool, one, seconds=seconds, rate=rate)
    columns = [
        ("req/s", lambda seen: seen.rate),
        ("p50 ms", lambda seen: seen.percentile(50) * 1000),
        ("p99 ms", lambda seen: seen.percentile(99) * 1000),
    ]
    print(f"{'variant':34}" + "".join(f"{name:>9} ratio" for name, _ in columns) + "  flood/s")
    for one in floods:
        line = f"{one.name:34}"
        for _, figure in columns:
            values, first = (list(map(figure, which.seen)) for which in (one, floods[0]))
            ratio = statistics.median(a / b for a, b in zip(values, first, strict=True))
            line += f"{statistics.median(values):9.2f} {ratio:5.2f}"
        print(f"{line}{statistics.median(one.flood):9.0f}")


def _measure_beside(
    server: LiveServer, pool: ProcessPoolExecutor, one: Flooded, *, seconds: float, rate: float
) -> None:
    """Let another process flood the service, and one client ask meanwhile."""
    before, after = 0.5, 0.5
    flooding: Future[Seen] | None = None
    if one.packets:
        lasting = before + seconds + after
        flooding = pool.submit(steady, server.port, one.packets, seconds=lasting, rate=rate)
    time.sleep(before)
    seen = load(server.port, gets(*[OTHER] * ITEMS), seconds=seconds, connections=4)
    assert set(seen.statuses) == {HTTPStatus.OK}, seen.statuses
    one.seen.append(seen)
    if flooding is None:
        one.flood.append(0)
        return
    sent = flooding.result()
    assert set(sent.statuses) == {one.status}, sent.statuses
    one.flood.append(sent.rate)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=CHOICES, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second of a flood")
    arguments = parser.parse_args()
    for what in arguments.what:
        print(f"\n{what}")
        sys.stdout.flush()
        with ExitStack() as stack:
            bench = Bench(stack)
            if what == "hang":
                hang(bench, seconds=30)
            elif what == "flood":
                flood(
                    bench,
                    rounds=arguments.rounds,
                    seconds=arguments.seconds,
                    rate=arguments.rate,
                )
            else:
                variants = comparison(what, bench.directory)
                bench.compare(variants, rounds=arguments.rounds, seconds=arguments.seconds)


if __name__ == "__main__":
    main()

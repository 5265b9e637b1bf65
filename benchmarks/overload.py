"""Measure far more connections than can be served at once: `make bench PART=overload` runs it.

The same load with more and more connections, with the fast path and without: how many requests a
second are answered, how much memory that takes, and how soon after it a single request is answered
as usual.
"""

import argparse
import resource
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from itertools import count

import environments
import psutil
import report
from compare import DURABLE
from drivers import drive, name_of_driver
from services import PEERS, Load, Service, migrate
from workloads import FEW, WORKLOADS, seed

from pegboard.testing.databases import execute, fresh_database
from pegboard.testing.servers import PostgresServer, RedisServer

CONNECTIONS = (16, 64, 256, 1000, 4000)
KINDS = ("hit", "list", "create")
USUAL = 3.0
"""A request takes as long as usual if it takes less than so many times the median."""


def memory(service: Service) -> float:
    """Return the proportional set size of the processes of a service, in MiB."""
    main = psutil.Process(service.pid)
    processes = [main, *main.children(recursive=True)]
    return float(sum(one.memory_full_info().pss for one in processes)) / 2**20


@contextmanager
def watched_memory(service: Service) -> Iterator[list[float]]:
    """Look at the memory every now and then in the block."""
    seen = [memory(service)]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.2):
            with suppress(psutil.Error):
                seen.append(memory(service))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def recovery(service: Service, usual: float) -> float:
    """Return the milliseconds after which an uncached request is answered as quickly as usual."""
    began = time.perf_counter()
    while True:
        took = _one(service)
        if took < max(USUAL * usual, 10):
            return (time.perf_counter() - began) * 1000


def _one(service: Service) -> float:
    began = time.perf_counter()
    status, _, _ = service.request("GET", "/api/items/?page_size=1")
    if status != HTTPStatus.OK:
        return float("inf")
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure, print tables, and with `--docs` put them on the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", default=",".join(map(str, CONNECTIONS)), help="by comma")
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    environments.prepare("pegboard")
    numbers = [int(one) for one in options.connections.split(",")]
    lines = [["", "connections", "req/s", "p50, ms", "p99, ms", "failed", "MiB", "MiB after", "ms"]]
    lines.append(["---"] * len(lines[0]))
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        execute(postgres.url, *[f"ALTER SYSTEM SET {k} = '{v}'" for k, v in DURABLE.items()])
        postgres.stop()
        postgres.start()
        redis = stack.enter_context(RedisServer())
        runs = count(1)
        for name in ("pegboard", "ordinary"):
            url = stack.enter_context(fresh_database(postgres.url))
            urls = {"DATABASE_URL": url, "REDIS_URL": redis.url}
            migrate(PEERS[name], urls)
            execute(url, *seed(FEW))
            with Service(PEERS[name], Load(total=True), urls) as service:
                usual = statistics.median(_one(service) for _ in range(50))
                for kind in KINDS:
                    if name == "ordinary" and kind == "hit":
                        continue  # the stage that answers is the same
                    for number in numbers:
                        line = _measure(service, kind, number, next(runs), options.seconds, usual)
                        title = f"{WORKLOADS[kind].title}{', fast path off' * (name != 'pegboard')}"
                        lines.append([title, str(number), *line])
                        print(*lines[-1], flush=True)
        facts = report.machine(postgres.url, redis.url)
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    text = f"""\
{facts["date"]}, {facts["processor"]}, {facts["cores"]} cores; load from {name_of_driver()} on the
same machine. PostgreSQL {facts["postgres"]}, {facts["redis"]}. One worker process, and
{options.seconds} s for each line.

{rows}"""
    print(text)
    sys.stdout.flush()
    if options.docs:
        report.put("overload", text)


def _measure(
    service: Service, kind: str, connections: int, run: int, seconds: int, usual: float
) -> list[str]:
    workload = WORKLOADS[kind]
    given = {"status": workload.status, "connections": connections}
    with watched_memory(service) as seen:
        found = drive(service.port, workload.packets(run), seconds=seconds, **given)
        until_usual = recovery(service, usual)
    return [
        f"{found.count / found.seconds:,.0f}",
        f"{found.p50 * 1000:.0f}",
        f"{found.p99 * 1000:.0f}",
        str(found.bad),
        f"{max(seen):.0f}",
        f"{memory(service):.0f}",
        f"{until_usual:.0f}",
    ]


if __name__ == "__main__":
    main()

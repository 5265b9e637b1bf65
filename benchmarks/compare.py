"""Compare Pegboard with other frameworks that do the same work: `make bench` runs it.

Each service is checked, then all take turns: a ratio is taken within a round, a figure is the
median of the rounds.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import environments
import psycopg2
import redis
import report
from contract import LIMIT, ContractError, check, check_limit
from drivers import drive, name_of_driver
from services import PEERS, Load, OtherPrograms, Peer, Service, cpu, migrate, settings_of_pegboard
from workloads import FEW, HOT, TABLE, WORKLOADS, Workload, seed

from pegboard.testing.databases import execute, fresh_database
from pegboard.testing.processes import ServerError
from pegboard.testing.servers import PostgresServer, RedisServer

DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "timezone": "UTC",
}
"""PostgreSQL as a service would use it, unlike the one of the tests."""

FAILURES = (ContractError, ServerError, subprocess.CalledProcessError, psycopg2.Error)
"""Why a service is left out."""


@dataclass
class Contestant:
    """A peer with what was found out about it."""

    peer: Peer
    service: Service
    first_200: float = 0.0
    memory: float = 0.0
    counts: bool = False
    """Whether its lists have a total."""
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)


class Comparison:
    """The servers that all services share, and the services."""

    def __init__(self, stack: ExitStack, options: argparse.Namespace) -> None:
        """Start the servers."""
        self.stack = stack
        self.options = options
        self.postgres = stack.enter_context(PostgresServer())
        settings = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in DURABLE.items()]
        execute(self.postgres.url, *settings)
        self.postgres.stop()
        self.postgres.start()
        self.redis = stack.enter_context(RedisServer())
        self.contestants: list[Contestant] = []
        self.failed: list[str] = []
        self.runs = itertools.count(1)

    def add(self, peer: Peer) -> None:
        """Start a service on a database of its own, check it, and start it anew."""
        number = len(self.contestants)
        database = self.stack.enter_context(fresh_database(self.postgres.url))
        url = urlunsplit(urlsplit(self.redis.url)._replace(path=f"/{number}"))
        urls = {"DATABASE_URL": database, "REDIS_URL": url}
        if peer.is_pegboard:
            migrate(peer, urls)
        else:
            execute(database, TABLE)
        execute(database, *seed(FEW))
        load = Load(self.options.workers, total=self.options.list_total)
        with Service(peer, Load(load.workers, LIMIT, load.total), urls) as limited:
            check_limit(limited)
        contestant = Contestant(peer, Service(peer, load, urls))
        self.stack.callback(contestant.service.close)
        self._refresh(contestant, FEW)
        starts = [contestant.service.first_answer()]
        contestant.memory = contestant.service.memory()
        contestant.counts = check(contestant.service, total=load.total)
        for _ in range(self.options.starts - 1):
            contestant.service.stop()
            starts.append(contestant.service.first_answer())
        contestant.first_200 = statistics.median(starts)
        self._refresh(contestant, FEW)
        self.contestants.append(contestant)

    def _refresh(self, contestant: Contestant, rows: int) -> None:
        """Give a service fresh rows, and nothing that it has cached or counted."""
        urls = contestant.service.urls
        execute(urls["DATABASE_URL"], *seed(rows))
        with redis.Redis.from_url(urls["REDIS_URL"]) as client:
            client.flushdb()

    def measure(self, contestant: Contestant, workload: Workload, warm_up: float) -> None:
        """Send one load to one service."""
        service = contestant.service
        if workload.seeded:
            self._refresh(contestant, workload.rows)
        given = {"status": workload.status, "connections": self.options.connections}
        drive(service.port, workload.packets(next(self.runs)), seconds=warm_up, **given)
        run = next(self.runs)
        packets = workload.packets(run)
        servers = {"cpu": service, "pg_cpu": self.postgres, "redis_cpu": self.redis}
        before = {name: cpu(server) for name, server in servers.items()}
        share = OtherPrograms()
        seen = drive(service.port, packets, seconds=self.options.seconds, **given)
        used = {name: cpu(server) - before[name] for name, server in servers.items()}
        others = share.since(used.values())
        if seen.bad:
            message = (
                f"{workload.name}: {seen.bad} of {seen.count} answers are no {workload.status}"
            )
            raise ContractError(message)
        if workload.proof:
            self._prove(contestant, workload, run, seen.count)
        contestant.rounds.setdefault(workload.name, []).append(
            {
                "rate": seen.count / seen.seconds,
                "p50": seen.p50 * 1000,
                "p99": seen.p99 * 1000,
                "others": others,
                **{name: seconds / seen.count * 1000 for name, seconds in used.items()},
            }
        )

    def _prove(self, contestant: Contestant, workload: Workload, run: int, count: int) -> None:
        """Check that the answers have left their traces in the database."""
        url = contestant.service.urls["DATABASE_URL"]
        found = report.query(url, workload.proof.format(run=run))
        if found < min(count, HOT):
            message = f"{workload.name}: {count} answers, but {found} rows"
            raise ContractError(message)

    def run(self, workloads: Sequence[Workload]) -> None:
        """Measure every workload in rounds, in which the services take turns."""
        for workload in workloads:
            for number in range(self.options.rounds):
                turn = number % max(1, len(self.contestants))
                for one in self.contestants[turn:] + self.contestants[:turn]:
                    warm_up = self.options.warm_up if number == 0 else self.options.warm_up / 2
                    try:
                        self.measure(one, workload, warm_up)
                    except (*FAILURES, OSError, subprocess.SubprocessError) as error:
                        self.contestants.remove(one)
                        self.leave_out(one.peer, error)
                        continue
                    last = one.rounds[workload.name][-1]
                    print(
                        f"{workload.name:8} {number + 1}/{self.options.rounds} {one.peer.name:9}"
                        f"{last['rate']:8.0f} req/s  p99 {last['p99']:7.2f} ms"
                        f"  CPU {last['cpu']:.3f} ms",
                        flush=True,
                    )

    def leave_out(self, peer: Peer, error: Exception) -> None:
        """Go on without a service."""
        print(f"{peer.name} is left out: {error}", file=sys.stderr, flush=True)
        self.failed.append(peer.name)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="make bench", description=__doc__.partition("\n")[0], add_help=True
    )
    made.add_argument("--quick", action="store_true", help="two short rounds, under 3 minutes")
    made.add_argument("--peers", default=",".join(PEERS), help="which, by comma; all by default")
    made.add_argument("--workloads", default=",".join(WORKLOADS), help="which, by comma")
    made.add_argument("--workers", type=int, default=1, help="worker processes of each service")
    made.add_argument("--connections", type=int, default=16, help="requests at the same time")
    made.add_argument("--rounds", type=int, help="in which the services take turns (5)")
    made.add_argument("--seconds", type=float, help="of each measurement (3)")
    made.add_argument("--list-total", action="store_true", help="a list says how many rows exist")
    made.add_argument("--base", help="the service that ratios refer to (fastify, or flask)")
    made.add_argument("--docs", action="store_true", help="write the page of the documentation")
    return made


def main() -> None:
    """Measure what the command line names, and write the figures into build/bench/."""
    options = parser().parse_args()
    for given, known in ((options.peers, PEERS), (options.workloads, WORKLOADS)):
        if unknown := sorted(set(given.split(",")) - set(known)):
            sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    options.warm_up = 0.4 if options.quick else 2.0
    options.starts = 1 if options.quick else 3
    peers = available(options.peers.split(","))
    names = [peer.name for peer in peers]
    options.base = options.base or next((n for n in ("fastify", "flask") if n in names), names[0])
    with ExitStack() as stack:
        comparison = Comparison(stack, options)
        for peer in peers:
            print(f"checking {peer.name} ...", flush=True)
            try:
                comparison.add(peer)
            except FAILURES as error:
                comparison.leave_out(peer, error)
        comparison.run([WORKLOADS[name] for name in options.workloads.split(",")])
        facts = report.machine(comparison.postgres.url, comparison.redis.url)
    figures: dict[str, Any] = {
        "facts": {**facts, "driver": name_of_driver()},
        "options": vars(options),
        "workloads": {name: WORKLOADS[name].title for name in options.workloads.split(",")},
        "peers": {
            one.peer.name: {
                "title": one.peer.title,
                "first_200": one.first_200,
                "memory": one.memory,
                "counts": one.counts,
                "rounds": one.rounds,
            }
            for one in comparison.contestants
        },
    }
    report.write(figures, docs=options.docs)
    if comparison.failed:
        sys.exit(f"failed: {', '.join(comparison.failed)}")


def available(names: Sequence[str]) -> list[Peer]:
    """Return the peers that can run here, their environments made; say which cannot."""
    found = []
    for name in names:
        peer = PEERS[name]
        if peer.environment == "fastify" and not environments.has_node():
            print(f"{name} is left out: there is no node and npm")
            continue
        environments.prepare(peer.environment)
        if peer.needs and peer.needs not in settings_of_pegboard():
            print(f"{name} is left out: this Pegboard has no setting {peer.needs}")
            continue
        found.append(peer)
    return found


if __name__ == "__main__":
    main()

"""Measure whether a request costs more as the table grows: `make bench PART=growth` runs it.

One service for each size of the table, with the fast path and without; all take turns with one
request at a time, so that a figure is the time of the request itself. Nothing is cached.
"""

import argparse
import json
import random
import re
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection

import environments
import psycopg2
import report
from compare import DURABLE, FAILURES
from drivers import drive, name_of_driver
from load import request
from services import PEERS, Load, Service, cpu, migrate

from pegboard.testing.databases import execute, fresh_database
from pegboard.testing.servers import PostgresServer, RedisServer

SIZES = (1_000, 100_000, 1_000_000)
"""How many rows there are."""

SEED = """
INSERT INTO items (name, description, created_at, updated_at)
SELECT 'Item ' || md5(n::text), 'Description of item ' || n || '. ' || repeat('lorem ipsum ', 8),
       CASE WHEN n <= {rows} * 0.9 THEN t END, t
FROM (SELECT n, timestamp '2024-01-01' + n * interval '1 second' AS t
      FROM generate_series(1, {rows}) n ORDER BY n) seed
"""
"""The last tenth has no time of creation."""

OPERATIONS = {
    "get": "read one item",
    "create": "create an item",
    "replace": "replace an item",
    "first": "first page by cursor",
    "last": "last page by cursor",
    "time": "page by cursor, latest first",
    "missing": "page by cursor, among items without a time",
    "range": "page of a range of times",
    "rare": "search by cursor, a common and a rare word",
    "common": "search by cursor, all found",
    "rare_total": "search with total, a common and a rare word",
    "common_total": "search with total, all found",
    "short": "search by cursor, of two letters",
    "total": "first page by number, with total",
}


@dataclass
class Sized:
    """A service on a table of some size."""

    rows: int
    mode: str
    service: Service
    times: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of each round's median request, by operation."""
    costs: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of PostgreSQL's processors for a request of each round."""

    def packets(self, operation: str, run: int) -> list[bytes]:
        """Return requests of an operation."""
        if operation == "get":
            return [request("GET", f"/api/items/{number}") for number in self._ids(run)]
        if operation in {"create", "replace"}:
            method = "POST" if operation == "create" else "PUT"
            paths = [f"/api/items/{number}" * (method == "PUT") for number in self._ids(run)]
            return [
                request(method, path or "/api/items/", _body(f"{operation} {run} {number}"))
                for number, path in enumerate(paths)
            ]
        return [request("GET", f"/api/items/?{self._query(operation)}")]

    def _ids(self, run: int) -> list[int]:
        chance = random.Random(run)  # noqa: S311 - no secret
        return [chance.randint(1, self.rows) for _ in range(5000)]

    def _query(self, operation: str) -> str:
        rare = "q=ITEM%20c4ca4238a0"
        return {
            "first": "after=",
            "last": f"after={self._cursor('sort=-id')}",
            "time": "after=&sort=-created_at",
            "missing": f"sort=created_at&after={self._cursor('created_at[null]=true')}",
            "range": "created_at[gte]=2024-01-01T00:10&created_at[lt]=2024-01-01T00:10:15&after=",
            "rare": f"{rare}&after=",
            "common": "q=item&after=",
            "rare_total": rare,
            "common_total": "q=item",
            "short": "q=zq&after=",
            "total": "page=1",
        }[operation]

    def _cursor(self, query: str) -> str:
        with closing(HTTPConnection("127.0.0.1", self.service.port, timeout=60)) as connection:
            connection.request("GET", f"/api/items/?after=&{query}")
            response = connection.getresponse()
            response.read()
            [cursor] = re.findall(r"after=([^>&]+)>", response.getheader("Link") or "")
            return str(cursor)


def _body(name: str) -> bytes:
    return json.dumps({"name": name, "description": f"{name}. {'lorem ipsum ' * 8}"}).encode()


def fill(url: str, rows: int) -> None:
    """Write the rows; the indexes are made afterwards, which is quicker."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes "
            "WHERE tablename = 'items' AND indexname <> 'pk_items'"
        )
        indexes = cursor.fetchall()
    drops = [f'DROP INDEX "{name}"' for name, _ in indexes]
    made = [definition for _, definition in indexes]
    execute(url, *drops, SEED.format(rows=rows), *made, "VACUUM ANALYZE items", "CHECKPOINT")


def main() -> None:
    """Measure, print a table, and with `--docs` put it on the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="of the table, by comma")
    parser.add_argument("--rounds", type=int, default=5, help="in which the services take turns")
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    options = parser.parse_args()
    environments.prepare("pegboard")
    sizes = [int(size) for size in options.sizes.split(",")]
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        execute(postgres.url, *[f"ALTER SYSTEM SET {k} = '{v}'" for k, v in DURABLE.items()])
        postgres.stop()
        postgres.start()
        redis = stack.enter_context(RedisServer())
        services: list[Sized] = []
        for rows in sizes:
            url = stack.enter_context(fresh_database(postgres.url))
            urls = {"DATABASE_URL": url, "REDIS_URL": redis.url}
            migrate(PEERS["pegboard"], urls)
            fill(url, rows)
            for mode in ("pegboard", "ordinary"):
                peer = PEERS[mode]
                settings = {"PEGBOARD_CACHE": "none", "PEGBOARD_PLUGINS": "items"}
                peer = replace(peer, variables={**peer.variables, **settings})
                service = stack.enter_context(Service(peer, Load(total=True), urls))
                services.append(Sized(rows, mode, service))
        for operation in OPERATIONS:
            for number in range(options.rounds):
                for one in services:
                    _measure(one, operation, number, postgres, options.seconds)
            print(operation, [round(min(one.times[operation]), 2) for one in services])
            sys.stdout.flush()
        facts = report.machine(postgres.url, redis.url)
    text = table(services, sizes, facts, options)
    print(text)
    if options.docs:
        report.put("growth", text)


def _measure(
    one: Sized, operation: str, number: int, postgres: PostgresServer, seconds: int
) -> None:
    run = number * 100 + (one.mode == "ordinary") * 50
    status = 201 if operation == "create" else 200
    packets = one.packets(operation, run)
    if number == 0:
        drive(one.service.port, packets[:50], status=status, seconds=0.3, connections=1)
        packets = one.packets(operation, run + 1)
    before = cpu(postgres)
    seen = drive(one.service.port, packets, status=status, seconds=seconds, connections=1)
    if seen.bad:
        message = f"{operation}: {seen.bad} of {seen.count} answers are no {status}"
        raise FAILURES[0](message)
    one.times.setdefault(operation, []).append(seen.p50 * 1000)
    one.costs.setdefault(operation, []).append((cpu(postgres) - before) / seen.count * 1000)


def table(
    services: list[Sized], sizes: list[int], facts: dict[str, object], options: argparse.Namespace
) -> str:
    """Return the table as Markdown."""
    head = ["", *(f"{size:,} rows" for size in sizes), "ratio", "fast path off", "ratio"]
    lines = [head, ["---"] * len(head)]
    for operation, title in OPERATIONS.items():
        line = [title]
        for mode in ("pegboard", "ordinary"):
            mine = [one for one in services if one.mode == mode]
            times = [min(one.times[operation]) for one in mine]
            costs = [min(one.costs[operation]) for one in mine]
            shown = [f"{t:.2f}; {c:.2f}" for t, c in zip(times, costs, strict=True)]
            line += shown if mode == "pegboard" else [shown[-1]]
            line.append(f"{times[-1] / times[0]:.2f}")
        lines.append(line)
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"""\
{facts["date"]}, {facts["processor"]}, {facts["cores"]} cores; load from {name_of_driver()}, one
request at a time. PostgreSQL {facts["postgres"]}. Rounds: {options.rounds} of {options.seconds} s.
Milliseconds until the answer; of them on PostgreSQL's processors, each of the best round, as other
programs only add to them. A ratio is the time with the most rows to that with the fewest.

{rows}"""


if __name__ == "__main__":
    main()

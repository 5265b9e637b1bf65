"""The service and its commands behind PgBouncer in transaction mode, as the guide sets it up."""

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from pegboard.testing.databases import execute
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI, StartService
from pegboard.testing.processes import Server, free_port, wait_until
from pegboard.testing.servers import PostgresServer, _open_directory, ordinary_user
from pegboard.testing.services import LiveServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
ITEMS = "/api/items/"

CONCURRENTLY = """
with op.get_context().autocommit_block():
    op.create_index("ix_notes", "notes", ["id"], postgresql_concurrently=True)
"""


class PgBouncer(Server):
    """PgBouncer with the configuration of the guide, in front of a database."""

    def __init__(self, program: str, url: str) -> None:
        """Write its files; the names of the guide stand for those of the URL."""
        target = urlsplit(url)
        port = free_port()
        directory = _open_directory()
        users = directory / "userlist.txt"
        users.write_text(f'"{target.username}" "{target.password}"\n')
        guide = (ROOT / "docs/how-to/pgbouncer.md").read_text(encoding="utf-8")
        [configuration] = re.findall(r"```ini\n(.*?)```", guide, re.DOTALL)
        for old, new in {
            "port=5432 dbname=pegboard": f"port={target.port} dbname={target.path[1:]}",
            "listen_port = 6432": f"listen_port = {port}",
            "/etc/pgbouncer/userlist.txt": str(users),
            "admin_users = pegboard": f"admin_users = {target.username}",
        }.items():
            assert old in configuration
            configuration = configuration.replace(old, new)
        file = directory / "pgbouncer.ini"
        file.write_text(configuration)
        user = ordinary_user() if os.geteuid() == 0 else None
        if user:
            os.chown(directory, *user)
        super().__init__([program, str(file)], port=port, directory=directory, user=user)
        place = target._replace(netloc=target.netloc.replace(f":{target.port}", f":{port}"))
        self.url = urlunsplit(place._replace(path="/pegboard"))
        self.admin_url = urlunsplit(place._replace(path="/pgbouncer"))

    def queries(self) -> int:
        """Return how many messages with queries clients have sent, which is one a round trip."""
        with closing(psycopg2.connect(self.admin_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SHOW STATS_TOTALS")
                names = [column.name for column in cursor.description or ()]
                rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return int(sum(row["query_count"] for row in rows if row["database"] == "pegboard"))


@pytest.fixture
def pgbouncer(own_postgres: PostgresServer) -> Iterator[PgBouncer]:
    """PgBouncer in front of a PostgreSQL server of its own."""
    if PROGRAM is None:
        pytest.skip("no pgbouncer: install the package of that name")
    with PgBouncer(PROGRAM, own_postgres.url) as server:
        yield server


@pytest.fixture
def service(pgbouncer: PgBouncer, live_server: StartService) -> LiveServer:
    """The service behind PgBouncer."""
    return live_server(DATABASE_URL=pgbouncer.url)


def rows(url: str, query: str) -> list[Any]:
    """Return the rows of a query."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def settings_of_all_backends(pgbouncer: PgBouncer, url: str) -> set[tuple[str, ...]]:
    """Return the settings that another client finds on the connections of the pooler."""
    pooled = {
        pid
        for [pid] in rows(
            url,
            "SELECT pid FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
    }
    found, seen = set(), set()
    with ExitStack() as stack:
        for _ in pooled:
            connection = stack.enter_context(closing(psycopg2.connect(pgbouncer.url)))
            cursor = stack.enter_context(connection.cursor())
            cursor.execute(
                "SELECT pg_backend_pid(), current_setting('statement_timeout'), "
                "current_setting('lock_timeout'), "
                "current_setting('idle_in_transaction_session_timeout')"
            )
            pid, *values = cursor.fetchone() or ()
            seen.add(pid)
            found.add(tuple(values))
    assert pooled <= seen
    return found


def shows(url: str, state: str) -> bool:
    """Return whether the server says that it is in this state of being read-only."""
    return rows(url, "SHOW transaction_read_only") == [(state,)]


def answers(service: LiveServer, status: int) -> bool:
    """Return whether readiness has this status; its checks run once a second at most."""
    return service.request("GET", "/health/ready")[0] == status


def locks(url: str) -> int:
    """Return how many advisory locks there are."""
    return len(rows(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"))


def test_the_service_leaves_nothing_on_the_connections(
    service: LiveServer, pgbouncer: PgBouncer, own_postgres: PostgresServer
) -> None:
    """Items are made, read, changed and deleted by many clients, and no setting stays."""

    def live(number: int) -> list[int]:
        status, body = service.request("POST", ITEMS, {"name": f"item {number}"})
        place = ITEMS + re.findall(rb'"id": ?(\d+)', body)[0].decode()
        calls = (("GET", place, None), ("PUT", place, {"name": "new"}), ("DELETE", place, None))
        return [status, *(service.request(*call)[0] for call in calls)]

    with ThreadPoolExecutor(8) as threads:
        assert [[201, 200, 200, 204]] * 24 == list(threads.map(live, range(24)))

    assert 200 == service.request("GET", "/health/ready")[0]
    assert {("0", "0", "0")} == settings_of_all_backends(pgbouncer, own_postgres.url)
    assert 0 == locks(own_postgres.url)


def test_limits_cost_no_round_trip(service: LiveServer, pgbouncer: PgBouncer) -> None:
    """A read is one query, which is a transaction of its own."""
    service.request("POST", ITEMS, {"name": "one"})

    def queries_of_ten_reads() -> int:
        before = pgbouncer.queries()
        for _ in range(10):
            assert 200 == service.request("GET", f"{ITEMS}1")[0]
        return pgbouncer.queries() - before

    # One of them may ask whether the server accepts writes, as happens every five seconds.
    assert 10 == min(queries_of_ten_reads(), queries_of_ten_reads())


def test_migrations_leave_no_lock(
    pgbouncer: PgBouncer,
    own_postgres: PostgresServer,
    plugin_folder: PluginFolder,
    make_app: MakeApp,
    cli: RunCLI,
) -> None:
    """Up, down and up again, with a revision outside transactions, and none waits for a lock."""
    plugin_folder.add_table("notes", upgrade=CONCURRENTLY)
    app = make_app(plugins=["items", "notes"], upgrade=False, DATABASE_URL=pgbouncer.url)
    for _ in range(3):
        for command in (["upgrade"], ["downgrade", "notes"], ["downgrade", "items"], ["upgrade"]):
            result = cli("db", *command, app=app)
            assert 0 == result.exit_code, result.output
            assert "another process" not in result.output
            assert 0 == locks(own_postgres.url)

    assert {("0", "0", "0")} == settings_of_all_backends(pgbouncer, own_postgres.url)


def test_a_read_only_server_behind_the_pooler_is_noticed(
    service: LiveServer, own_postgres: PostgresServer
) -> None:
    """A write is a 503, though what its connection knew of the server was of another time."""
    for number in range(8):
        assert 201 == service.request("POST", ITEMS, {"name": f"item {number}"})[0]
    for state, write, ready in (("on", 503, 503), ("off", 201, 200)):
        execute(
            own_postgres.url,
            "SET default_transaction_read_only = off",
            f"ALTER SYSTEM SET default_transaction_read_only = {state}",
            "SELECT pg_reload_conf()",
        )
        wait_until(partial(shows, own_postgres.url, state), f"read-only is {state}")
        with ThreadPoolExecutor(8) as threads:
            calls = [
                threads.submit(service.request, "POST", ITEMS, {"name": "one"}) for _ in range(8)
            ]
        assert {write} == {call.result()[0] for call in calls}
        wait_until(partial(answers, service, ready), f"readiness is {ready}")

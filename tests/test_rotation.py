"""A password of the database that is replaced under load, and replicas with different keys."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql
from sqlalchemy.engine import make_url

from pegboard.redis import get_fleet_keys
from pegboard.testing.databases import execute
from pegboard.testing.fixtures import MakeApp, StartService
from pegboard.testing.processes import wait_until
from pegboard.testing.services import LiveServer, run_pegboard

pytestmark = pytest.mark.slow

ROLE = "rotating"
CLIENTS = 3


class Database:
    """A database whose owner is a role of its own, and the file that has its URL."""

    def __init__(self, server: str, file: Path) -> None:
        self.server, self.file = server, file
        execute(
            server,
            f"CREATE ROLE {ROLE} LOGIN PASSWORD 'first'",
            f"GRANT ALL ON SCHEMA public TO {ROLE}",
        )
        self.write("first")

    def write(self, password: str) -> None:
        """Write the URL into the file."""
        url = make_url(self.server).set(username=ROLE, password=password)
        self.file.write_text(url.render_as_string(hide_password=False))

    def alter(self, password: str) -> None:
        """Give the role another password."""
        execute(self.server, f"ALTER ROLE {ROLE} PASSWORD '{password}'")

    def cut(self) -> None:
        """End all connections of the role."""
        statement = sql.SQL(
            "SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity WHERE usename = {}"
        )
        execute(self.server, statement.format(sql.Literal(ROLE)))


@pytest.fixture
def database(postgres_url: str, tmp_path: Path) -> Iterator[Database]:
    """A database whose password is `first`."""
    yield Database(postgres_url, tmp_path / "url")
    execute(postgres_url, f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}")


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start a service that has the URL from the file."""
    settings = {
        "PEGBOARD_PLUGINS": "items",
        "DATABASE_URL_FILE": str(database.file),
        "PEGBOARD_DATABASE_POOL_TIMEOUT": "20",
        "PEGBOARD_DATABASE_CONNECT_TIMEOUT": "20",
        "PEGBOARD_DATABASE_STATEMENT_TIMEOUT": "20",
    }
    done = run_pegboard("db", "upgrade", directory=tmp_path, **settings)
    assert 0 == done.returncode, done.stdout
    with ExitStack() as stack:
        yield lambda **more: stack.enter_context(LiveServer(**settings, **more))


@pytest.fixture
def service(start: Callable[..., LiveServer]) -> LiveServer:
    """The service as it is configured."""
    return start()


class Load:
    """Clients that read and write without a pause."""

    def __init__(self, service: LiveServer) -> None:
        self.service = service
        self.rounds = [0] * CLIENTS
        self.failures: list[int] = []
        self.ends = threading.Event()

    def run(self, client: int) -> None:
        """Use connections of the event loop, and those of threads, until the end."""
        while not self.ends.wait(0.02):
            for method, path, body in (
                ("GET", "/api/items/", None),
                ("POST", "/api/items/", {"name": "Saw"}),
                ("POST", "/api/items/bulk", [{"name": "Hammer"}]),
            ):
                status, _ = self.service.request(method, path, body, timeout=60)
                if status >= 300:
                    self.failures.append(status)
            self.rounds[client] += 1

    def go_on(self) -> None:
        """Wait until each client has gone some rounds more."""
        before = [*self.rounds]
        wait_until(
            lambda: all(now > then + 2 for now, then in zip(self.rounds, before, strict=True)),
            "all clients go on",
        )


def test_a_password_is_replaced_without_a_restart(database: Database, service: LiveServer):
    """Nothing fails as long as connections stay open, and new ones have the new password."""
    workers, load = service.workers, Load(service)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        futures = [pool.submit(load.run, client) for client in range(CLIENTS)]
        stack.callback(load.ends.set)
        load.go_on()
        database.write("second")
        load.go_on()
        database.alter("second")
        load.go_on()
        assert [] == load.failures
        database.cut()
        load.go_on()
        # What was under way when the connections were cut.
        assert {503} >= {*load.failures}
        load.failures.clear()
        load.go_on()
        assert [] == load.failures
    for future in futures:
        future.result()
    assert workers == service.workers
    assert "the password of the database was replaced, as in its file" in service.output
    assert "second" not in service.output


NOT_READY = "the new worker 1 is not ready, so the old one goes on serving: database: "


@pytest.mark.parametrize("way", ["at a signal", "by itself"])
def test_a_worker_that_is_not_ready_does_not_replace_another(
    database: Database, start: Callable[..., LiveServer], way: str
):
    """As at a reload with a wrong password in the file; another is tried with the right one."""
    longest = "60" if way == "at a signal" else "15"
    service = start(PEGBOARD_WORKER_START_TIMEOUT=longest)
    old = service.workers
    database.write("wrong")
    os.kill(service.pid, signal.SIGHUP)

    def until(said: str) -> None:
        def is_said() -> bool:
            assert 200 == service.request("GET", "/api/items/")[0]
            return said in service.output

        wait_until(is_said, f"the log says: {said}")

    until(NOT_READY)
    assert {*old} < {*service.workers}
    database.write("first")
    if way == "at a signal":
        os.kill(service.pid, signal.SIGHUP)
    until("reloaded")
    assert not {*old} & {*service.workers}
    assert "wrong" not in service.output


def test_a_worker_that_is_not_ready_serves_once_the_old_one_is_gone(
    database: Database, service: LiveServer
):
    """Else nobody would."""
    [old] = service.workers
    database.write("wrong")
    os.kill(service.pid, signal.SIGHUP)
    wait_until(lambda: NOT_READY in service.output, "the new one is not ready")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: answers(service), "the new one serves")
    told = f"worker 1 (process {old}) was killed by SIGKILL; it was about to be"
    wait_until(lambda: told in service.output, "its death is told")
    told = "the new worker 1 serves though it is not ready"
    wait_until(lambda: told in service.output, "it is told that the new one is not ready")


def test_a_worker_that_died_in_a_reload_is_replaced_in_it(
    database: Database, start: Callable[..., LiveServer]
):
    """As it may have read the wrong file, and served with it since nobody else did."""
    service = start(WORKERS="2")
    first, second = service.workers
    database.write("wrong")
    os.kill(service.pid, signal.SIGHUP)
    wait_until(lambda: NOT_READY in service.output, "the new one is not ready")
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: f"worker 2 (process {second})" in service.output, "the other has died")
    wait_until(lambda: 3 == len({*service.workers} - {second}), "another takes its place")
    database.write("first")
    os.kill(service.pid, signal.SIGHUP)
    wait_until(lambda: "reloaded" in service.output, "all are replaced")
    assert first not in service.workers
    assert [200] * 50 == [service.request("GET", "/health/ready")[0] for _ in range(50)]


def answers(service: LiveServer) -> bool:
    """Return whether the service answers at all."""
    try:
        return 200 == service.request("GET", "/health")[0]
    except OSError:
        return False


def test_a_reload_ends_when_the_database_is_back(database: Database, service: LiveServer):
    """Though the old worker is not ready either: both may be again."""
    old = service.workers
    database.alter("second")
    database.cut()
    wait_until(lambda: 503 == service.request("GET", "/health/ready")[0], "it is not ready")
    os.kill(service.pid, signal.SIGHUP)
    wait_until(lambda: NOT_READY in service.output, "the new one is not ready")
    assert "reloaded" not in service.output
    database.alter("first")
    wait_until(lambda: "reloaded" in service.output, "the worker is replaced")
    assert not {*old} & {*service.workers}


def test_a_service_notices_a_replica_with_another_key(
    live_server: StartService, make_app: MakeApp, redis_url: str, sqlite_url: str
):
    """Nobody has to ask it; it goes on."""
    shared: dict[str, Any] = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url}
    keys = get_fleet_keys(make_app(SECRET_KEY="another key " * 3, **shared))
    assert keys
    keys.compare()
    service = live_server(plugins=["items"], **shared)

    def has_noticed() -> bool:
        return bool(keys.compare()) and "[PB_SECRET_KEYS_DIFFER]" in service.output

    wait_until(has_noticed, "both notice the other one")
    status, body = service.request("GET", "/health/ready")
    assert (200, ["secret_key"]) == (status, json.loads(body)["degraded"])

"""Servers that become read-only, as an old primary does after a failover."""

import asyncio
import shutil
import subprocess
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, Integer, text
from sqlalchemy.exc import DBAPIError

from pegboard.api import health
from pegboard.database import (
    AsyncPool,
    CompiledStatement,
    async_link,
    db,
    failover,
    postgresql,
)
from pegboard.testing.databases import execute
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import wait_until
from pegboard.testing.servers import PostgresServer

pytestmark = pytest.mark.faults


class Standby(PostgresServer):
    """A copy of a server, which follows it until it is promoted."""

    def __init__(self, primary: PostgresServer) -> None:
        """Copy the files of the primary, which must be running."""
        super().__init__()
        data, owner = self.directory / "data", self.directory.stat()
        shutil.rmtree(data)
        arguments = ("--checkpoint=fast", "--no-sync", "--write-recovery-conf")
        subprocess.run(
            [self.binaries / "pg_basebackup", "-D", data, "-d", primary.url, *arguments],
            user=owner.st_uid,
            group=owner.st_gid,
            extra_groups=[],
            cwd=self.directory,
            check=True,
        )
        self.url = primary.url.replace(f":{primary.port}/", f":{self.port}/")


def make_read_only(url: str, *, state: str = "on") -> None:
    """Let the server refuse writes of all connections; `off` lets it accept them again."""
    execute(
        url,
        "SET default_transaction_read_only = off",
        f"ALTER SYSTEM SET default_transaction_read_only = {state}",
        "SELECT pg_reload_conf()",
    )

    def is_so() -> bool:
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            return bool(cursor.fetchone() == (state,))

    wait_until(is_so, f"read-only is {state}")


def new_client(make_app: MakeApp, url: str) -> FlaskClient:
    """Return a client of an app that writes rows, reads them, and tells its connection."""
    app = make_app(DATABASE_URL=url, TESTING=False, DATABASE_POOL_SIZE=2)

    @app.post("/rows")
    def write() -> dict[str, Any]:
        db.session.execute(text("INSERT INTO rows DEFAULT VALUES"))
        db.session.commit()
        return {}

    @app.get("/rows")
    def read() -> dict[str, Any]:
        query = text("SELECT count(*), pg_backend_pid() FROM rows")
        count, pid = db.session.execute(query).one()
        return {"count": count, "pid": pid}

    @app.post("/statement")
    def write_in_a_read_only_transaction() -> dict[str, Any]:
        db.session.execute(text("SET TRANSACTION READ ONLY"))
        return write()

    @app.post("/option")
    def write_on_a_read_only_connection() -> dict[str, Any]:
        db.session.connection(execution_options={"postgresql_readonly": True})
        return write()

    return app.test_client()


@pytest.fixture(autouse=True)
def _run_checks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SHARED_FOR", 0)


@pytest.fixture
def primary(own_postgres: PostgresServer) -> PostgresServer:
    """A server with a table."""
    execute(own_postgres.url, "CREATE TABLE rows (id serial)")
    return own_postgres


@pytest.fixture
def client(make_app: MakeApp, primary: PostgresServer) -> FlaskClient:
    """A client of an app on the server."""
    return new_client(make_app, primary.url)


def statuses(client: FlaskClient) -> tuple[int, int, int]:
    """Return the statuses of a write, of a read, and of `/health/ready`."""
    return (
        client.post("/rows").status_code,
        client.get("/rows").status_code,
        client.get("/health/ready").status_code,
    )


@pytest.mark.slow
def test_a_read_only_server_is_unavailable_for_writes(
    client: FlaskClient, primary: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A write is a 503 with `Retry-After`, reads go on, and the service is not ready."""
    assert (200, 200, 200) == statuses(client)
    make_read_only(primary.url)

    answer = client.post("/rows")
    assert (503, "1") == (answer.status_code, answer.headers["Retry-After"])
    assert (503, 200, 503) == statuses(client)
    assert "database fails: the server is read-only" in caplog.text

    make_read_only(primary.url, state="off")
    assert (200, 200, 200) == statuses(client)


@pytest.mark.slow
def test_writers_find_the_new_primary(make_app: MakeApp, primary: PostgresServer) -> None:
    """After a failover one write fails, and the next is on the new primary, as are reads."""
    with Standby(primary) as standby:
        port = f":{primary.port}/"
        hosts = f":{primary.port},127.0.0.1:{standby.port}/"
        url = primary.url.replace(port, hosts) + "?target_session_attrs=read-write"
        client = new_client(make_app, url)
        assert (200, 200, 200) == statuses(client)

        execute(standby.url, "SELECT pg_promote()")
        make_read_only(primary.url)

        assert (503, 200, 200) == statuses(client)
        assert (200, 200, 200) == statuses(client)
        assert 2 == client.get("/rows").json["count"]  # type: ignore[index]


@pytest.mark.slow
def test_readiness_leaves_an_old_primary_too(make_app: MakeApp, primary: PostgresServer) -> None:
    """A service that gets no writes, as it is not ready, would else stay with it for ever."""
    with Standby(primary) as standby:
        url = primary.url.replace(f":{primary.port}/", f":{primary.port},127.0.0.1:{standby.port}/")
        client = new_client(make_app, url + "?target_session_attrs=read-write")
        assert 200 == client.get("/health/ready").status_code
        execute(standby.url, "SELECT pg_promote()")
        make_read_only(primary.url)

        assert 503 == client.get("/health/ready").status_code
        assert 200 == client.get("/health/ready").status_code


@pytest.mark.slow
def test_readers_leave_an_old_primary_too(
    make_app: MakeApp, primary: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that gets neither writes nor probes would else read old rows for ever."""
    monkeypatch.setattr(postgresql, "READ_ONLY_INTERVAL", 0)
    with Standby(primary) as standby:
        url = primary.url.replace(f":{primary.port}/", f":{primary.port},127.0.0.1:{standby.port}/")
        client = new_client(make_app, url)
        assert 0 == client.get("/rows").json["count"]  # type: ignore[index]
        execute(standby.url, "SELECT pg_promote()", "INSERT INTO rows DEFAULT VALUES")
        make_read_only(primary.url)

        assert 1 == client.get("/rows").json["count"]  # type: ignore[index]


def write(engine: Engine) -> None:
    """Write a row."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO rows DEFAULT VALUES"))


@pytest.mark.slow
@pytest.mark.parametrize("is_noticed_by", ["the loop", "a thread"])
async def test_the_event_loop_leaves_an_old_primary_too(
    make_app: MakeApp, primary: PostgresServer, monkeypatch: pytest.MonkeyPatch, is_noticed_by: str
) -> None:
    """It asks itself, and gives its connections up with those of the pool."""
    statement = text("SELECT count(*) AS count FROM rows").columns(count=Integer)
    with Standby(primary) as standby:
        url = primary.url.replace(f":{primary.port}/", f":{primary.port},127.0.0.1:{standby.port}/")
        app = make_app(DATABASE_URL=url, DATABASE_POOL_SIZE=2)
        with app.app_context():
            engine = db.engine
        compiled = CompiledStatement(statement, engine.dialect, {"count": Integer()})
        pool = AsyncPool(engine, asyncio.get_running_loop())
        assert [(0,)] == await pool.execute(compiled, {})
        engine.connect().close()  # so that a thread, too, has a connection to the old primary
        execute(standby.url, "SELECT pg_promote()", "INSERT INTO rows DEFAULT VALUES")
        make_read_only(primary.url)

        if is_noticed_by == "the loop":
            monkeypatch.setattr(async_link, "READ_ONLY_INTERVAL", 0)
            monkeypatch.setattr(postgresql, "READ_ONLY_INTERVAL", 0)
        else:
            with pytest.raises(DBAPIError):
                await asyncio.to_thread(write, engine)
        assert [(1,)] == await pool.execute(compiled, {})
        pool.close()


@pytest.mark.slow
def test_of_several_servers_only_one_that_accepts_writes_is_used(
    make_app: MakeApp, primary: PostgresServer
) -> None:
    """Without `target_session_attrs`, too, wherever the standby stands in the list."""
    with Standby(primary) as standby:
        port, hosts = f":{primary.port}/", f":{standby.port},127.0.0.1:{primary.port}/"
        client = new_client(make_app, primary.url.replace(port, hosts))
        assert (200, 200, 200) == statuses(client)


@pytest.mark.slow
@pytest.mark.parametrize("attribute", ["any", "standby"])
def test_a_standby_that_is_asked_for_is_kept(
    make_app: MakeApp, primary: PostgresServer, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    """A service that only reads may read from a standby, and need not connect again and again."""
    monkeypatch.setattr(postgresql, "READ_ONLY_INTERVAL", 0)
    with Standby(primary) as standby:
        port, hosts = f":{primary.port}/", f":{standby.port},127.0.0.1:{primary.port}/"
        url = primary.url.replace(port, hosts) + f"?target_session_attrs={attribute}"
        client = new_client(lambda **options: make_app(**options, upgrade=False), url)
        pids = {client.get("/rows").json["pid"] for _ in range(3)}  # type: ignore[index]
        assert 1 == len(pids)
        assert 503 == client.post("/rows").status_code


@pytest.mark.slow
def test_a_standby_is_not_ready(make_app: MakeApp, primary: PostgresServer) -> None:
    """A server in recovery accepts no writes either; it is read from."""
    with Standby(primary) as standby:
        client = new_client(lambda **options: make_app(**options, upgrade=False), standby.url)
        assert (503, 200, 503) == statuses(client)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["statement", "option"])
def test_a_read_only_transaction_is_left_alone(client: FlaskClient, way: str) -> None:
    """A plugin that writes in a transaction it made read-only has a bug; the server has none."""
    client.post("/rows")
    pid = client.get("/rows").json["pid"]  # type: ignore[index]

    assert 500 == client.post(f"/{way}").status_code

    assert {"count": 1, "pid": pid} == client.get("/rows").json
    assert (200, 200, 200) == statuses(client)


@pytest.mark.slow
def test_refused_writes_do_not_close_what_readers_use_each_time(
    make_app: MakeApp, primary: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool is given up once; then each refused write closes its own connection only."""
    monkeypatch.setattr(failover, "PAUSE", 1000)
    client = new_client(make_app, primary.url)
    make_read_only(primary.url)
    assert 503 == client.post("/rows").status_code

    def pid_of(connection: Connection) -> object:
        return connection.scalar(text("SELECT pg_backend_pid()"))

    with client.application.app_context():
        with db.engine.connect() as reader:
            pid = pid_of(reader)
            assert 503 == client.post("/rows").status_code
        with db.engine.connect() as reader:
            assert pid == pid_of(reader)

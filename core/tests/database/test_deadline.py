"""The time of a request reaches the database: on threads, on the event loop, and on SQLite."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, Integer, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

import pegboard
from pegboard.database import AsyncPool, CompiledStatement, db
from pegboard.deadline import begin_deadline, current_deadline
from pegboard.resources import no_time_limit
from pegboard.testing.fixtures import MakeApp

EARLY = 1.5
"""Less than the ordinary limit of a statement."""

SLEEP = text("SELECT pg_sleep(5)")
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
def engine(make_engine_app: Callable[..., Flask], postgres_url: str) -> Engine:
    """An engine of two connections."""
    app = make_engine_app(postgres_url, pool_size=2, pool_timeout=30.0)
    with app.app_context():
        return db.engine


@contextmanager
def ends_early(error: type[Exception] = DBAPIError) -> Iterator[pytest.ExceptionInfo[Any]]:
    """Expect an error before the ordinary limit."""
    began = time.monotonic()
    with pytest.raises(error) as caught:
        yield caught
    assert EARLY > time.monotonic() - began


def in_request(function: Callable[..., None], seconds: float, *arguments: Any) -> None:
    """Call a function as in a request that has so many seconds."""

    def run() -> None:
        begin_deadline(seconds, None)
        function(*arguments)

    copy_context().run(run)


def check_statement(connection: Connection) -> None:
    """Execute one that is too slow; the server ends it, so that the connection is kept."""
    with ends_early() as caught:
        connection.execute(SLEEP)
    assert isinstance(caught.value.orig, psycopg2.errors.QueryCanceled)
    assert not caught.value.connection_invalidated


def test_a_statement_ends_with_the_time_of_its_request(engine: Engine):
    """The first of a transaction and a later one, however long the ordinary limit is."""

    def first() -> None:
        with engine.connect() as connection:
            check_statement(connection)

    def later() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            begin_deadline(0.3, None)
            check_statement(connection)

    in_request(first, 0.3)
    in_request(later, 60.0)
    with engine.connect() as connection:
        assert "2s" == connection.scalar(text("SHOW statement_timeout"))


def test_nothing_is_begun_or_committed_when_the_time_is_over(engine: Engine):
    """As the client was told that it has failed."""

    def write() -> None:
        with engine.connect() as connection:
            connection.execute(text("CREATE TABLE late (id int)"))
            begin_deadline(-1.0, None)
            with pytest.raises(OperationalError, match="the time of the request is over"):
                connection.commit()

    def read(connection: Connection) -> None:
        with pytest.raises(OperationalError, match="the time of the request is over"):
            connection.execute(text("SELECT 1"))

    in_request(write, 60.0)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('late')")) is None
        connection.rollback()
        in_request(read, -1.0, connection)


def test_a_block_without_a_limit_has_none(engine: Engine):
    """Nor has the request, from then on."""

    def report() -> None:
        with no_time_limit(), engine.begin() as connection:
            connection.execute(text("SELECT pg_sleep(0.2)"))

    in_request(report, 0.1)


def test_a_request_waits_for_a_connection_as_long_as_it_has_time(engine: Engine):
    """However long the pool would let it wait."""

    def connect() -> None:
        with ends_early(PoolTimeoutError):
            engine.connect()

    with engine.connect(), engine.connect():
        in_request(connect, 0.2)


@pytest.mark.slow
async def test_a_statement_of_the_event_loop_ends_with_its_request(engine: Engine):
    """And one that waits for a connection; the next is executed on the same one."""
    pool = AsyncPool(engine, asyncio.get_running_loop(), longest_wait=math.inf)

    async def run(statement: str, seconds: float) -> Any:
        begin_deadline(seconds, None)
        compiled = text(statement).columns(value=Integer)
        made = CompiledStatement(compiled, engine.dialect, {"value": Integer()})
        return await pool.execute(made, {})

    async def run_apart(statement: str, seconds: float) -> Any:
        return await asyncio.create_task(run(statement, seconds))

    try:
        pid = await run_apart("SELECT pg_backend_pid() AS value", 60.0)
        with ends_early() as caught:
            await run_apart("SELECT 1 AS value FROM pg_sleep(5)", 0.3)
        assert isinstance(caught.value.orig, psycopg2.errors.QueryCanceled)
        assert pid == await run_apart("SELECT pg_backend_pid() AS value", 60.0)
        slow = asyncio.create_task(run("SELECT 1 AS value FROM pg_sleep(1)", 60.0))
        await asyncio.sleep(0)
        with ends_early(PoolTimeoutError):
            await run_apart("SELECT 1 AS value", 0.1)
        assert [(1,)] == await slow
    finally:
        pool.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_view_is_ended_in_the_database(
    make_app: MakeApp,
    request: pytest.FixtureRequest,
    serve: Callable[..., Any],
    kind: str,
    caplog: pytest.LogCaptureFixture,
):
    """So that its thread is free for the next request, long before the statement would end."""
    caplog.set_level("INFO", "pegboard")
    url = request.getfixturevalue(f"{'postgres' if kind == 'postgresql' else kind}_url")
    app = make_app(DATABASE_URL=url, TESTING=False, SECRET_KEY="k", DATABASE_STATEMENT_TIMEOUT=50.0)

    @app.get("/slow")
    def slow() -> str:
        pegboard.db.session.execute(SLEEP if kind == "postgresql" else text(ENDLESS))
        return "done"

    @app.get("/next")
    def next_one() -> dict[str, Any]:
        deadline = current_deadline()
        assert deadline is not None
        pegboard.db.session.execute(text("SELECT 1"))
        return {"seconds": deadline.seconds}

    async with serve(app, threads=1) as client:
        began = time.monotonic()
        late = await client.ask("/slow", headers={"Request-Timeout": "300ms"})
        assert 504 == late.status
        assert b"within" in late.body
        answer = await client.ask("/next")
        assert (200, b'{"seconds":30.0}') == (answer.status, answer.body.strip())
        assert 4 > time.monotonic() - began
    [told] = [one for one in caplog.records if "has not answered within" in one.message]
    assert ("INFO", True) == (told.levelname, "0.3 s that its client gives" in told.message)

"""Statements that an event loop executes on connections of its own."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing
from contextvars import ContextVar
from functools import partial
from typing import Any

import psutil
import psycopg2
import pytest
from flask import Flask
from sqlalchemy import DateTime, Engine, Integer, String, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool, StaticPool

from pegboard.database import (
    AllBusyError,
    AsyncPool,
    CompiledStatement,
    UnreadableError,
    async_link,
    db,
    time_statements,
)
from pegboard.testing.databases import execute
from pegboard.testing.processes import WAIT_TIMEOUT, run_python, wait_until
from pegboard.testing.servers import PostgresServer

pytestmark = pytest.mark.faults

MAX_WAIT = 3.0
"""Seconds after which every statement has its error, whatever the server does."""

AT_ONCE = 1.0
"""Far less than any time-out."""

SLOW = "SELECT 1 AS value FROM pg_sleep(0.3)"

MakePool = Callable[..., Any]


class Pool:
    """The connections of the running loop, and statements to execute on them."""

    def __init__(self, engine: Engine, longest_wait: float = math.inf) -> None:
        self.engine = engine
        loop = asyncio.get_running_loop()
        self.connections = AsyncPool(engine, loop, longest_wait=longest_wait)

    async def rows(self, statement: str, type_: Any = Integer, **values: Any) -> list[Any]:
        """Return the rows of a statement; its only column is `value`."""
        compiled = text(statement).columns(value=type_)
        made = CompiledStatement(compiled, self.engine.dialect, {"value": type_()})
        return await self.connections.execute(made, values)

    async def run(self, statement: str, type_: Any = Integer, **values: Any) -> Any:
        """Return the only value of a statement."""
        [[value]] = await self.rows(statement, type_, **values)
        return value

    def start(self, statement: str = SLOW) -> "asyncio.Task[Any]":
        """Begin to execute a statement."""
        return asyncio.create_task(self.run(statement))

    async def pid(self) -> int:
        """Return the process of the server that has executed it."""
        return int(await self.run("SELECT pg_backend_pid() AS value"))

    async def fill(self, connections: int) -> None:
        """Let all connections be opened that there may be, and be idle."""
        await asyncio.gather(*(self.run(SLOW) for _ in range(2 * connections)))


@pytest.fixture
def pool_of(make_engine_app: Callable[..., Flask]) -> MakePool:
    """Make a pool that is open as long as the block lasts, by default of one connection."""

    @asynccontextmanager
    async def make(url: str, longest_wait: float = math.inf, **options: Any) -> AsyncIterator[Pool]:
        app = make_engine_app(url, **{"pool_size": 2, **options})
        with app.app_context():
            pool = Pool(db.engine, longest_wait)
        try:
            async with asyncio.timeout(WAIT_TIMEOUT):
                yield pool
        finally:
            pool.connections.close()

    return make


def query(url: str, statement: str) -> Any:
    """Return the only value of a statement that is executed beside the pool."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        [value] = cursor.fetchone() or [None]
        return value


def terminate(url: str, pid: int) -> None:
    """End the server's side of a connection, and wait until it has ended."""
    assert query(url, f"SELECT pg_terminate_backend({pid}, 5000)")


_OTHERS = (
    " FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@pytest.mark.slow
async def test_statements_are_executed_beside_each_other(pool_of, postgres_url) -> None:
    """By four connections at most, and by no more than half of the pool."""
    for size, own in ((1, 0), (3, 1), (5, 2), (8, 4), (20, 4)):
        async with pool_of(postgres_url, pool_size=size) as pool:
            assert (own > 0) == pool.connections.is_usable
            if own:
                statements = (pool.run(f"{SLOW}, pg_backend_pid()") for _ in range(3 * own))
                await asyncio.gather(*statements)
                assert own == await asyncio.to_thread(
                    query, postgres_url, f"SELECT count(*){_OTHERS}"
                )
        pool.engine.dispose()
        done = partial(query, postgres_url, f"SELECT count(*) = 0{_OTHERS}")
        await asyncio.to_thread(wait_until, done, "the connections are closed")


async def test_threads_and_the_loop_share_the_places_of_the_pool(pool_of, postgres_url) -> None:
    """Together they never have more connections than the pool has places."""
    async with pool_of(postgres_url, pool_size=4, pool_timeout=WAIT_TIMEOUT) as pool:
        counts = []

        def view(_: int) -> None:
            with pool.engine.connect() as connection:
                # The server's side of a connection that was closed may take a moment to end.
                wait_until(lambda: self_count(connection) <= 4, "no more than four")
                counts.append(self_count(connection))

        def self_count(connection: Any) -> int:
            return int(connection.scalar(text(f"SELECT count(*) + 1{_OTHERS}")))

        with ThreadPoolExecutor(8) as threads:
            views = [threads.submit(view, number) for number in range(40)]
            await asyncio.gather(*(pool.run("SELECT 1 AS value") for _ in range(200)))
            await asyncio.to_thread(lambda: [one.result() for one in views])
    assert max(counts) <= 4


@pytest.mark.slow
async def test_closed_connections_give_their_places_back(pool_of, postgres_url) -> None:
    """Threads can have all of them then."""
    async with pool_of(postgres_url, pool_size=4, pool_timeout=1.0) as pool:
        await pool.fill(2)
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(pool.engine.connect())
            with pytest.raises(PoolTimeoutError):
                pool.engine.connect()
            pool.connections.close()
            for _ in range(2):
                stack.enter_context(pool.engine.connect())


async def test_a_full_pool_is_waited_for(pool_of, postgres_url) -> None:
    """So long as a thread would wait, and not after a place has become free."""
    async with pool_of(postgres_url, pool_timeout=0.5) as pool:
        with ExitStack() as stack:
            held = [stack.enter_context(pool.engine.connect()) for _ in range(2)]
            with pytest.raises(PoolTimeoutError):
                await pool.pid()
            waits = asyncio.create_task(pool.pid())
            await asyncio.sleep(0)
            held[0].close()
            assert await waits


@pytest.mark.slow
async def test_each_statement_waits_its_own_time(pool_of, postgres_url) -> None:
    """One that comes later does not fail with the first."""
    async with pool_of(postgres_url, pool_timeout=1.0) as pool:
        with ExitStack() as stack:
            held = [stack.enter_context(pool.engine.connect()) for _ in range(2)]
            first = pool.start()
            await asyncio.sleep(0.7)
            second = pool.start()
            with pytest.raises(PoolTimeoutError):
                await first
            held[0].close()
            assert 1 == await second


@pytest.mark.slow
async def test_what_waits_for_slow_statements_is_left_to_threads(pool_of, postgres_url) -> None:
    """After a while, and at once until one of them has ended; none of it has been executed."""
    execute(postgres_url, "CREATE TABLE t (value integer)")
    insert = "INSERT INTO t VALUES (1) RETURNING value"
    async with pool_of(postgres_url, longest_wait=0.1, pool_size=4) as pool:
        await asyncio.gather(pool.run(SLOW), pool.run(SLOW))
        slow = [pool.start("SELECT 1 AS value FROM pg_sleep(1)") for _ in range(2)]
        waits = pool.start(insert)
        with pytest.raises(AllBusyError):
            await waits
        for _ in range(10):
            with pytest.raises(AllBusyError):
                await pool.run(insert)
        assert not any(one.done() for one in slow)
        assert [1, 1] == await asyncio.gather(*slow)
        assert 0 == await pool.run("SELECT count(*) AS value FROM t")
        assert [1, 1] == await asyncio.gather(*(pool.run(insert) for _ in range(2)))


@pytest.mark.parametrize(
    "options",
    [
        {"poolclass": NullPool},
        {"poolclass": StaticPool},
    ],
    ids=["null", "static"],
)
async def test_other_pools_are_left_to_threads(pool_of, postgres_url, options) -> None:
    """They have no places that the loop could take."""
    config = {"SQLALCHEMY_ENGINE_OPTIONS": options}
    async with pool_of(postgres_url, config=config) as pool:
        assert not pool.connections.is_usable


async def test_connections_that_a_plugin_makes_are_left_to_threads(pool_of, postgres_url) -> None:
    """Only the plugin knows how to make one."""
    options = {"creator": lambda: psycopg2.connect(postgres_url)}
    async with pool_of(postgres_url, config={"SQLALCHEMY_ENGINE_OPTIONS": options}) as pool:
        with pytest.raises(psycopg2.InterfaceError):
            await pool.pid()
        assert not pool.connections.is_usable
        with pool.engine.connect(), pool.engine.connect():
            pass


@pytest.mark.parametrize("name", ["connect", "checkout", "checkin"])
@pytest.mark.parametrize("options", [{}, {"named": True}, {"once": True}], ids=repr)
async def test_connections_that_a_plugin_prepares_are_left_to_threads(
    pool_of, postgres_url, name, options
) -> None:
    """Its listeners expect connections that wait."""

    def prepare(*args: Any, **kwargs: Any) -> None: ...

    async with pool_of(postgres_url) as pool:
        event.listen(pool.engine, name, prepare, **options)
        with pytest.raises(psycopg2.InterfaceError):
            await pool.pid()
        assert not pool.connections.is_usable


async def test_a_long_statement_is_sent_in_parts(pool_of, postgres_url) -> None:
    """The socket takes a part at a time."""
    async with pool_of(postgres_url, statement_timeout=WAIT_TIMEOUT) as pool:
        size = 20_000_000
        assert size == await pool.run("SELECT length(:text) AS value", text="x" * size)


async def test_a_long_answer_is_received_in_parts(pool_of, postgres_url) -> None:
    """All rows come, in their order."""
    async with pool_of(postgres_url, statement_timeout=WAIT_TIMEOUT) as pool:
        found = await pool.rows("SELECT generate_series(1, 200000) AS value")
        assert [*range(1, 200001)] == [value for [value] in found]


async def test_a_value_that_cannot_be_read_is_an_error(pool_of, postgres_url) -> None:
    """The driver refuses it when it fetches the row; the connection goes on."""
    async with pool_of(postgres_url) as pool:
        with pytest.raises(UnreadableError, match="year"):
            await pool.run("SELECT timestamp '20000-01-01' AS value", DateTime)
        assert 1 == await pool.run("SELECT 1 AS value")


async def test_a_value_that_cannot_be_sent_is_an_error(pool_of, postgres_url) -> None:
    """Nothing has been sent then; the connection goes on."""
    async with pool_of(postgres_url) as pool:
        with pytest.raises(ValueError, match="NUL"):
            await pool.run("SELECT :text AS value", String, text="\0")
        assert 1 == await pool.run("SELECT 1 AS value")


@pytest.mark.slow
async def test_any_number_may_end_while_they_are_sent(pool_of, postgres_url) -> None:
    """As the value is refused at once, or the server has answered by then; each ends on its own."""
    async with pool_of(postgres_url) as pool:
        statements = (pool.run("SELECT :text AS value", String, text="\0") for _ in range(2000))
        ends = await asyncio.gather(*statements, return_exceptions=True)
        assert {ValueError} == {type(end) for end in ends}
        assert 1 == await pool.run("SELECT 1 AS value")


@pytest.mark.parametrize(
    "statement, error",
    [
        ("SELECT 1 / 0 AS value", psycopg2.errors.DivisionByZero),
        ("SELECT * FROM absent", psycopg2.errors.UndefinedTable),
        ("INSERT INTO t VALUES (1) RETURNING a AS value", psycopg2.errors.UniqueViolation),
        ("SELECT 1 AS value FROM pg_sleep(30)", DBAPIError),
        ("UPDATE t SET a = 2 WHERE a = 1 RETURNING a AS value", DBAPIError),
    ],
    ids=["division", "table", "unique", "statement timeout", "lock timeout"],
)
async def test_an_error_leaves_the_connection_usable(
    pool_of, postgres_url, statement, error
) -> None:
    """The server ends the statement; the next one is executed by the same process of it."""
    execute(postgres_url, "CREATE TABLE t (a integer PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    limits = {"statement_timeout": 0.3, "lock_timeout": 0.1}
    async with pool_of(postgres_url, **limits) as pool:
        pid = await pool.pid()
        with closing(psycopg2.connect(postgres_url)) as other, other.cursor() as cursor:
            if statement.startswith("UPDATE"):
                cursor.execute("SELECT * FROM t FOR UPDATE")
            with pytest.raises(error) as raised:
                await pool.run(statement)
        if error is DBAPIError:
            assert not raised.value.connection_invalidated
        assert pid == await pool.pid()


async def test_settings_are_those_of_other_transactions(pool_of, postgres_url) -> None:
    """Time limits, and UTC; nothing of them stays on the connection."""
    async with pool_of(postgres_url, statement_timeout=1.25) as pool:
        assert "1250ms" == await pool.run(
            "SELECT current_setting('statement_timeout') AS value", String
        )
        assert "UTC" == await pool.run("SELECT current_setting('TimeZone') AS value", String)


async def test_a_cancelled_statement_gets_nobody_elses_rows(pool_of, postgres_url) -> None:
    """Nor does what waits for its connection; what is cancelled while it waits is not executed."""
    execute(postgres_url, "CREATE TABLE t (a integer)")
    async with pool_of(postgres_url) as pool:
        await pool.pid()
        cancelled, waits = pool.start(), pool.start("SELECT 2 AS value")
        also_cancelled = pool.start("INSERT INTO t VALUES (3) RETURNING a AS value")
        await asyncio.sleep(0)
        cancelled.cancel()
        also_cancelled.cancel()
        assert 2 == await waits
        assert 0 == await pool.run("SELECT count(*) AS value FROM t")
        for one in (cancelled, also_cancelled):
            with pytest.raises(asyncio.CancelledError):
                await one


@pytest.mark.slow
async def test_what_is_cancelled_while_its_connection_is_checked_is_not_executed(
    pool_of, own_postgres: PostgresServer, monkeypatch
) -> None:
    """The connection is given to the next statement."""
    execute(own_postgres.url, "CREATE TABLE t (a integer)")
    async with pool_of(own_postgres.url) as pool:
        pid = await pool.pid()
        monkeypatch.setattr(async_link, "TRUSTED_IDLE", -1.0)  # every connection counts as idle
        with own_postgres.suspended():
            cancelled = pool.start("INSERT INTO t VALUES (3) RETURNING a AS value")
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.sleep(0)
        assert 0 == await pool.run("SELECT count(*) AS value FROM t")
        assert pid == await pool.pid()


async def test_a_connection_is_replaced_after_the_pools_recycle_time(pool_of, postgres_url) -> None:
    """Of `pool_recycle`, as a connection of a thread is."""
    for seconds, is_kept in ((0, False), (3600, True)):
        config = {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_recycle": seconds}}
        async with pool_of(postgres_url, config=config) as pool:
            assert is_kept == (await pool.pid() == await pool.pid())


@pytest.mark.slow
async def test_an_answer_that_a_busy_loop_has_not_read_counts(pool_of, postgres_url) -> None:
    """The loop stood still for longer than the statement might take, the server did not."""
    async with pool_of(postgres_url, statement_timeout=0.1) as pool:
        await pool.pid()
        for _ in range(3):
            running = pool.start("SELECT 1 AS value")
            await asyncio.sleep(0)
            time.sleep(0.6)  # noqa: ASYNC251 - this is what is tested
            assert 1 == await running


async def test_an_idle_connection_that_the_server_has_closed_is_not_used(
    pool_of, postgres_url
) -> None:
    """Also while the loop has yet to read that it is closed."""
    async with pool_of(postgres_url) as pool:
        pid = await pool.pid()
        terminate(postgres_url, pid)
        assert pid != await pool.pid()


async def test_a_statement_whose_connection_is_closed_may_have_been_executed(
    pool_of, postgres_url
) -> None:
    """The error says so, and the next statement has another connection."""
    async with pool_of(postgres_url) as pool:
        pid = await pool.pid()
        running = pool.start("SELECT 1 AS value FROM pg_sleep(1.5)")
        await asyncio.to_thread(terminate, postgres_url, pid)
        with pytest.raises(DBAPIError) as raised:
            await running
        assert raised.value.connection_invalidated
        assert pid != await pool.pid()


async def test_a_connection_whose_server_a_pooler_has_lost_is_not_used_again(
    pool_of, postgres_url
) -> None:
    """The pooler keeps it open, and answers with an error that does not say what was executed."""
    async with pool_of(postgres_url) as pool:
        pid = await pool.pid()
        with pytest.raises(DBAPIError) as raised:
            await pool.run("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '08006'; END $$")
        assert raised.value.connection_invalidated
        assert pid != await pool.pid()


@pytest.mark.slow
async def test_a_restart_costs_only_statements_under_way(
    pool_of, own_postgres: PostgresServer
) -> None:
    """Once the server is back, the first statement is executed."""
    async with pool_of(own_postgres.url, pool_size=8) as pool:
        await pool.fill(4)
        own_postgres.stop()
        with pytest.raises(psycopg2.OperationalError):
            await pool.pid()
        own_postgres.start()
        assert await pool.pid()


@pytest.mark.slow
async def test_news_of_an_idle_connection_do_no_harm(pool_of, own_postgres: PostgresServer) -> None:
    """A server tells of a setting that has changed, between two statements or before one."""
    async with pool_of(own_postgres.url) as pool:
        for zone in ("Europe/Berlin", "Asia/Tokyo", "America/Lima"):
            await pool.pid()
            execute(
                own_postgres.url,
                f"ALTER SYSTEM SET TimeZone = '{zone}'",
                "SELECT pg_reload_conf()",
            )
            shown = partial(
                query, own_postgres.url, f"SELECT current_setting('TimeZone') = '{zone}'"
            )
            await asyncio.to_thread(wait_until, shown, "the server has reloaded")
            assert 1 == await pool.run("SELECT 1 AS value")


async def outcome(pool: Pool) -> tuple[bool, float]:
    """Return whether a statement was executed, and after how many seconds that was known."""
    began = time.monotonic()
    try:
        await pool.pid()
    except (DBAPIError, psycopg2.OperationalError, PoolTimeoutError):
        return False, time.monotonic() - began
    return True, time.monotonic() - began


@pytest.mark.slow
async def test_a_hanging_server_costs_no_statement_more_than_three_seconds(
    pool_of, own_postgres: PostgresServer
) -> None:
    """On connections in all states; later ones fail at once, and all work once it is back."""
    async with (
        pool_of(own_postgres.url, pool_size=8) as busy,
        pool_of(own_postgres.url, pool_size=8) as idle,
        pool_of(own_postgres.url, pool_size=8) as new,
    ):
        await idle.fill(4)
        await asyncio.sleep(1.2)  # they count as idle
        await busy.fill(4)
        with own_postgres.suspended():
            asked = [outcome(pool) for pool in (busy, idle, new) for _ in range(6)]
            for is_executed, seconds in await asyncio.gather(*asked):
                assert not is_executed
                assert seconds < MAX_WAIT
            for pool in (busy, idle, new):
                for _ in range(2):
                    is_executed, seconds = await outcome(pool)
                    assert not is_executed
                    assert seconds < AT_ONCE
        for pool in (busy, idle, new):
            while not (await outcome(pool))[0]:  # noqa: ASYNC110 - the breaker tells no event
                await asyncio.sleep(0.05)
            await pool.fill(4)


@pytest.mark.slow
async def test_an_idle_connection_that_hangs_costs_one_check(
    pool_of, own_postgres: PostgresServer
) -> None:
    """Not one for each connection: the first that gets no answer tells of all."""
    async with pool_of(own_postgres.url, pool_size=8) as pool:
        await pool.fill(4)
        await asyncio.sleep(1.2)  # they count as idle
        with own_postgres.suspended():
            is_executed, seconds = await outcome(pool)
            assert not is_executed
            assert seconds < 2.0


async def test_a_process_of_the_server_that_hangs_is_given_up(pool_of, postgres_url) -> None:
    """The statement may have been executed, and the next one has another connection."""
    async with pool_of(postgres_url, statement_timeout=0.3) as pool:
        pid = await pool.pid()
        process = psutil.Process(pid)
        process.suspend()
        try:
            with pytest.raises(DBAPIError, match=r"did not answer within 0\.6 s") as raised:
                await pool.pid()
            assert raised.value.connection_invalidated
            while not (await outcome(pool))[0]:  # noqa: ASYNC110 - the breaker tells no event
                await asyncio.sleep(0.05)
        finally:
            process.resume()


async def test_what_is_under_way_is_finished_when_the_pool_is_disposed_of(
    pool_of, postgres_url
) -> None:
    """The next statement has a new connection."""
    async with pool_of(postgres_url) as pool:
        pid = await pool.pid()
        running, waits = pool.start(), pool.start("SELECT pg_backend_pid() AS value")
        await asyncio.sleep(0)
        await asyncio.to_thread(pool.engine.dispose)
        assert 1 == await running
        assert pid != await waits


async def test_a_connection_that_is_opened_while_the_pool_is_disposed_of_is_not_used(
    pool_of, postgres_url
) -> None:
    """But another one is opened for what waits."""
    async with pool_of(postgres_url) as pool:
        waits = pool.start()
        await asyncio.sleep(0)
        pool.engine.dispose()
        assert 1 == await waits


async def test_what_is_under_way_fails_when_the_connections_are_closed(
    pool_of, postgres_url
) -> None:
    """Whether it runs, waits for a connection, or for one that is being opened."""
    async with pool_of(postgres_url) as pool, pool_of(postgres_url) as new:
        await pool.pid()
        tasks = [pool.start(), pool.start(), new.start()]
        await asyncio.sleep(0)
        for one in (pool, new):
            one.connections.close()
        for task in tasks:
            with pytest.raises((psycopg2.InterfaceError, DBAPIError)):
                await task


async def test_types_of_the_database_are_read_as_by_threads(pool_of, postgres_url) -> None:
    """SQLAlchemy tells the driver how, for each connection of its pool."""
    config = {"SQLALCHEMY_ENGINE_OPTIONS": {"json_deserializer": lambda found: ["read", found]}}
    async with pool_of(postgres_url, config=config) as pool:
        assert ["read", "[1]"] == await pool.run("SELECT '[1]'\\:\\:jsonb AS value", String)


FORK = """
import asyncio, gc, os, sys
from flask import Flask
from sqlalchemy import Integer, text
from pegboard.database import AsyncPool, CompiledStatement, DatabaseOptions, db, init_database

app = Flask("forked")
init_database(app, DatabaseOptions(sys.argv[1], pool_size=2))
with app.app_context():
    engine = db.engine
statement = CompiledStatement(
    text("SELECT pg_backend_pid() AS value").columns(value=Integer), engine.dialect,
    {"value": Integer()},
)

async def pid(pool):
    [[value]] = await pool.execute(statement, {})
    return value

async def run():
    pool = AsyncPool(engine, asyncio.get_running_loop())
    before = await pid(pool)
    child = os.fork()
    if not child:
        with engine.connect() as one, engine.connect() as other:
            ours = {c.scalar(text("SELECT pg_backend_pid()")) for c in (one, other)}
        engine.dispose()
        pool = None
        gc.collect()
        os._exit(0 if len(ours - {before}) == 2 else 1)
    status = os.waitpid(child, 0)[1]
    print(status, before == await pid(pool))
    pool.close()

asyncio.run(run())
"""


@pytest.mark.slow
def test_a_forked_process_leaves_the_connections_to_its_parent(postgres_url: str) -> None:
    """It has all places of its pool, and closes none of its parent's connections."""
    assert "0 True\n" == run_python(FORK, postgres_url)


async def test_statements_are_timed_if_that_is_wanted(pool_of: MakePool, postgres_url: str) -> None:
    """Each once, with the time of its execution alone, and in the context of its caller."""
    told: list[tuple[str, float, BaseException | None, str]] = []
    caller: ContextVar[str] = ContextVar("caller")
    async with pool_of(postgres_url) as pool:
        await pool.run("SELECT 1 AS value")
        time_statements(pool.engine, lambda *given: told.append((*given, caller.get())))
        caller.set("here")
        began = time.perf_counter()
        await asyncio.gather(pool.start(), pool.start())
        elapsed = time.perf_counter() - began
        with pytest.raises(psycopg2.DataError):
            await pool.run("SELECT 1/0 AS value")
        with pool.engine.connect() as connection:
            connection.execute(text("SELECT 2 AS value"))
            connection.commit()
    first, second, failed, *others = told
    assert (SLOW, None, "here") == (first[0], *first[2:]) == (second[0], *second[2:])
    assert 0.3 <= min(first[1], second[1]) < first[1] + second[1] <= elapsed
    assert isinstance(failed[2], psycopg2.DataError)
    assert ["SELECT 2 AS value", "COMMIT"] == [one[0] for one in others if "SHOW" not in one[0]]

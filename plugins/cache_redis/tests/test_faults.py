"""What is lost, late or executed after nobody waits for it any more, makes no read old."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import update

import pegboard
from pegboard.cache import Key, Lease, Touched, Transaction, acknowledgement, get_cache
from pegboard.database.connection import WatchedConnection, WatchedCursor
from pegboard.redis import get_channel
from pegboard.redis.pool import ServerChannel
from pegboard.testing.databases import execute
from pegboard.testing.fixtures import MakeApp, RunCLI
from pegboard.testing.processes import wait_until
from pegboard.testing.proxy import RedisProxy
from pegboard.testing.servers import RedisServer
from pegboard_cache_redis.cache.epoch import TRUST, WAIT, EpochStore
from pegboard_cache_redis.cache.scripts import FENCE, FILL, LEASE, RELEASE
from pegboard_cache_redis.cache.strategy import RedisStrategy
from pegboard_cache_redis.models import table

from .conftest import read_row

pytestmark = pytest.mark.faults

ITEM = "/api/items/1"

PATIENT = {
    "REDIS_TIMEOUT": 30,
    "DATABASE_POOL_TIMEOUT": 30,
    "DATABASE_LOCK_TIMEOUT": 30,
    "DATABASE_STATEMENT_TIMEOUT": 30,
}
"""Settings of a process that a busy machine does not make fail."""

ALL = 1000
"""More commands than any test sends: however often a step is repeated, it is caught."""

NewProcess = Callable[..., FlaskClient]
SCRIPTS = {"LEASE": LEASE, "FILL": FILL, "FENCE": FENCE, "RELEASE": RELEASE}


def digest(name: str) -> bytes:
    """Return what tells a script among the commands."""
    return SCRIPTS[name].digest.encode()


@pytest.fixture
def new_process(
    make_app: MakeApp, redis_proxy: RedisProxy, redis: Any, postgres_url: str
) -> NewProcess:
    """Start an app as another process has it; returns a client of it.

    Redis knows the scripts, so that each is sent by its digest.
    """
    for script in SCRIPTS.values():
        redis.script_load(script.source)

    def start(**config: Any) -> FlaskClient:
        app = make_app(
            plugins=["cache_redis", "items"],
            upgrade=True,
            **{
                "DATABASE_URL": postgres_url,
                "CACHE_STATUS_HEADER": True,
                "REDIS_URL": redis_proxy.url,
                "REDIS_TIMEOUT": 0.2,
                **config,
            },
        )
        return app.test_client()

    return start


@pytest.fixture
def writer(new_process: NewProcess) -> FlaskClient:
    """A client of a process that writes; the item has the name `old`."""
    client = new_process()
    assert 201 == client.post("/api/items/", json={"name": "old"}).status_code
    return client


@pytest.fixture
def reader(new_process: NewProcess, writer: FlaskClient) -> FlaskClient:
    """A client of another process, which has filled the cache."""
    client = new_process()
    wait_until(lambda: "hit" in read(client)[1], "the item is cached")
    return client


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds each write waits before it is acknowledged, while the test lasts."""
    found: list[float] = []
    release = RedisStrategy.release

    def note(strategy: RedisStrategy, fence: Any, transaction: Transaction) -> float:
        moment = release(strategy, fence, transaction)
        found.append(max(0.0, moment - time.monotonic()))
        return moment

    monkeypatch.setattr(RedisStrategy, "release", note)
    return found


def read(client: FlaskClient) -> tuple[str, str]:
    """Read the item; return its name and what the cache did."""
    response = client.get(ITEM)
    assert 200 == response.status_code
    assert response.json
    return response.json["name"], response.headers["Cache-Status"]


def write(client: FlaskClient, name: str = "new") -> int:
    """Save the item under another name; return the status."""
    return client.put(ITEM, json={"name": name}).status_code


def strategy_of(client: FlaskClient) -> RedisStrategy:
    """Return what a process stores answers with."""
    strategy = get_cache(client.application).strategy
    assert isinstance(strategy, RedisStrategy)
    return strategy


def test_a_write_over_a_connection_from_before_a_promotion_ends_no_epoch(
    writer: FlaskClient, reader: FlaskClient
):
    """The connection is replaced, and the server confirms the write as what it is now."""
    with writer.application.app_context():
        before = read_row()
    channel = get_channel(writer.application)
    assert isinstance(channel, ServerChannel)
    channel.servers()
    for connection in channel._idle:
        connection.server = "what it was"
    assert 200 == write(writer)
    assert "new" == read(reader)[0]
    with writer.application.app_context():
        assert before == read_row()


@pytest.fixture
def loner(new_process: NewProcess) -> FlaskClient:
    """A client of a process that does without Redis."""
    return new_process(REDIS_URL=None, CACHE="none", SESSIONS="cookie")


@pytest.mark.slow
def test_a_process_without_redis_turns_caching_off_when_it_writes(
    loner: FlaskClient, reader: FlaskClient, waits: list[float]
):
    """And waits until nobody trusts the cache; it is on again soon."""
    with loner.application.app_context():
        epoch = read_row()[0]
    assert 200 == write(loner)
    assert 0 < sum(waits)
    assert "new" == read(reader)[0]
    wait_until(lambda: "hit" in read(reader)[1], "caching is back")
    with loner.application.app_context():
        assert epoch < read_row()[0]


@pytest.mark.slow
def test_a_process_without_redis_has_nothing_to_do_where_nobody_caches(
    loner: FlaskClient, waits: list[float], cli: RunCLI
):
    """And says what there is to say."""
    assert 201 == loner.post("/api/items/", json={"name": "old"}).status_code
    assert 200 == write(loner)
    assert {0.0} == set(waits)
    with loner.application.app_context():
        assert (0, False, "") == read_row()
    stats = cli("cache", "stats", app=loner.application)
    assert {"enabled False", "unconfirmed 0"} <= set(map(normal, stats.output.splitlines()))
    assert 0 == cli("cache", "clear", app=loner.application).exit_code
    assert 200 == loner.get("/health/ready").status_code


def normal(line: str) -> str:
    """Return a line with single spaces."""
    return " ".join(line.split())


@pytest.mark.slow
def test_what_a_replica_holds_is_no_hit(new_process: NewProcess, own_redis: RedisServer):
    """It may be older than what its master has."""
    client = new_process(REDIS_URL=own_redis.url)
    client.post("/api/items/", json={"name": "old"})
    read(client)
    assert "hit" in read(client)[1]
    with Redis.from_url(own_redis.url) as redis:
        redis.replicaof("127.0.0.1", "1")
        assert "unavailable" in read(client)[1]


@contextmanager
def under_way(function: Callable[..., Any], *arguments: Any) -> Iterator[Future[Any]]:
    """Call a function in a thread, which has to end after the block."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function, *arguments)
        yield future
        future.result(60)


@pytest.mark.slow
@pytest.mark.parametrize("before, answer", [("FILL", "old"), ("LEASE", "new")])
def test_a_reader_that_was_held_while_another_wrote(
    writer: FlaskClient,
    new_process: NewProcess,
    redis_proxy: RedisProxy,
    redis: Any,
    before: str,
    answer: str,
):
    """Before its fill it has read the database, and stores nothing; before its lease it has not."""
    late = new_process(REDIS_TIMEOUT=30)
    wait_until(lambda: "hit" in read(late)[1], "the item is cached")
    redis.delete(*redis.keys("*:1"))
    with redis_proxy.hold_commands(digest(before)) as hold, under_way(read, late) as reading:
        hold.wait()
        assert 200 == write(writer)
        hold.release()
        assert answer == reading.result(60)[0]
    assert "new" == read(late)[0]


@pytest.mark.slow
def test_others_read_the_database_between_commit_and_release(
    reader: FlaskClient, new_process: NewProcess, redis_proxy: RedisProxy
):
    """So it would be, were the writer killed there; its fence stands for a while."""
    writer = new_process(REDIS_TIMEOUT=30)
    read(writer)
    with redis_proxy.hold_commands(digest("RELEASE")) as hold, under_way(write, writer) as writing:
        hold.wait()
        assert not writing.done()
        assert ("new", "pegboard; fwd=miss; detail=fenced") == read(reader)
        hold.release()
    wait_until(lambda: "hit" in read(reader)[1], "caching is back")
    assert "new" == read(reader)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FENCE", "RELEASE"])
@pytest.mark.parametrize("what", ["swallow", "hold_commands", "hold_replies"])
def test_a_step_of_a_writer_that_is_not_confirmed(
    writer: FlaskClient,
    reader: FlaskClient,
    redis_proxy: RedisProxy,
    waits: list[float],
    name: str,
    what: str,
):
    """Lost, late or only its reply lost: the write turns caching off, and is acknowledged.

    A step of a fast path that is not confirmed is taken once more, if Redis answers again.
    """
    read(writer)
    hold = getattr(redis_proxy, what)(digest(name), times=ALL)
    began = time.monotonic()
    assert 200 == write(writer)
    assert began + WAIT <= time.monotonic()
    assert 0 < sum(waits) <= WAIT
    assert 1 <= len(hold.caught)
    assert "new" == read(reader)[0]
    hold.release()
    assert "new" == read(reader)[0]
    wait_until(lambda: "hit" in read(reader)[1], "caching is back")
    assert "new" == read(reader)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LEASE", "FILL"])
@pytest.mark.parametrize("what", ["swallow", "hold_commands", "hold_replies"])
def test_a_step_of_a_reader_that_is_not_confirmed(
    writer: FlaskClient,
    reader: FlaskClient,
    redis_proxy: RedisProxy,
    redis: Any,
    name: str,
    what: str,
):
    """It costs the reader its time-out; executed late, it stores nothing that is old."""
    redis.delete(*redis.keys("*:1"))
    hold = getattr(redis_proxy, what)(digest(name))
    assert "old" == read(reader)[0]
    assert 1 == len(hold.caught)
    assert 200 == write(writer)
    hold.release()
    assert "new" == read(reader)[0]
    wait_until(lambda: "hit" in read(reader)[1], "caching is back")
    assert "new" == read(reader)[0]


@pytest.mark.slow
def test_a_fill_and_a_fence_that_come_late_in_the_wrong_order(
    writer: FlaskClient, reader: FlaskClient, redis_proxy: RedisProxy, redis: Any
):
    """As a server executes them that was suspended and goes on."""
    redis.delete(*redis.keys("*:1"))
    read(writer)
    redis.delete(*redis.keys("*:1"))
    fill = redis_proxy.hold_commands(digest("FILL"))
    fence = redis_proxy.hold_commands(digest("FENCE"), times=ALL)
    assert "old" == read(reader)[0]
    assert 200 == write(writer)
    fence.release()
    fill.release()
    assert "new" == read(reader)[0]
    wait_until(lambda: "hit" in read(reader)[1], "caching is back")
    assert "new" == read(reader)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config, status", [({"RESOURCES_FAST": False}, 503), ({}, 200)], ids=["view", "fast path"]
)
def test_a_release_that_is_lost_with_the_connection(
    new_process: NewProcess,
    reader: FlaskClient,
    redis_proxy: RedisProxy,
    postgres_url: str,
    config: dict[str, Any],
    status: int,
):
    """A view has no other connection to turn caching off by, so its write is not acknowledged.

    A fast path asks for another one, by which it is.
    """
    writer = new_process(REDIS_TIMEOUT=30, **config)
    read(writer)
    with redis_proxy.hold_commands(digest("RELEASE")) as hold, under_way(write, writer) as writing:
        hold.wait()
        execute(
            postgres_url,
            # With time to end, as a connection that is about to end may still be lent.
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        redis_proxy.cut()
        assert status == writing.result(60)
    # It is saved, and nothing stands in the way of its being seen; connections that have lost their
    # server may be the first to be used.
    wait_until(lambda: 200 == reader.get(ITEM).status_code, "the database is back")
    name, outcome = read(reader)
    assert "new" == name
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        assert "hit" not in outcome


def lose_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connection end with the commit, of a view."""

    def fail(connection: Any) -> None:
        connection.close()
        raise LOST

    monkeypatch.setattr(WatchedConnection, "commit", fail)


def lose_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connection end with the statement that commits by itself, of a fast path."""
    usual = WatchedCursor.execute

    def fail(cursor: Any, query: Any, values: Any = None) -> None:
        if not query.startswith("UPDATE items"):
            return usual(cursor, query, values)
        cursor.connection.close()
        raise LOST

    monkeypatch.setattr(WatchedCursor, "execute", fail)


LOST = psycopg2.OperationalError("lost")


@pytest.mark.slow
@pytest.mark.parametrize(
    "config, lose",
    [({"RESOURCES_FAST": False}, lose_a_commit), ({}, lose_an_update)],
    ids=["view", "fast path"],
)
def test_a_commit_that_fails_leaves_its_fence(
    new_process: NewProcess,
    reader: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    redis: Any,
    config: dict[str, Any],
    lose: Callable[[pytest.MonkeyPatch], None],
):
    """Whether it happened is not known, so nobody caches the row until the fence expires."""
    writer = new_process(**config)
    read(writer)
    lose(monkeypatch)
    assert 503 == write(writer)
    monkeypatch.undo()
    assert ("old", "pegboard; fwd=miss; detail=fenced") == read(reader)
    (key,) = redis.keys("*:1")
    assert 55_000 < redis.pttl(key) <= 60_000
    # As when its time has come.
    redis.delete(key)
    assert "stored" in read(reader)[1]


@pytest.mark.slow
def test_another_epoch_began_while_a_writer_turned_caching_off(
    writer: FlaskClient, reader: FlaskClient, redis_proxy: RedisProxy
):
    """Its statement committed by itself, and another process has filled the new epoch since."""
    strategy, other = strategy_of(writer), strategy_of(reader)
    key = Key("items", "x:1")
    touched = Touched(frozenset({key}))
    with writer.application.app_context():
        engine = pegboard.db.engine
    transaction = ByHand(engine.execution_options(isolation_level="AUTOCOMMIT"))
    read(writer)
    redis_proxy.swallow(digest("FENCE"))
    other._epochs.disable()
    fence = strategy.fence(touched, transaction)
    assert fence.has_disabled
    with engine.begin() as connection:
        connection.execute(update(table).values(enabled=True, epoch=table.columns.epoch + 1))
    other._epochs.refresh()
    lease = other.lease(key)
    assert isinstance(lease, Lease)
    assert other.fill(lease, b"old", 300)
    assert b"old" == other.look_up(key)
    transaction.commit()
    wait_until(lambda: not strategy._channel.is_unavailable, "Redis is back")
    moment = strategy.release(fence, transaction)
    time.sleep(max(0.0, moment - time.monotonic()))
    assert b"old" != other.look_up(key)


class ByHand:
    """The transaction of a writer that the test drives."""

    def __init__(self, engine: Any) -> None:
        self._connection = engine.connect()

    def execute(self, statement: Any) -> Any:
        """Run a statement."""
        result = self._connection.execute(statement)
        return result.all() if result.returns_rows else []

    def commit(self) -> None:
        """Commit."""
        self._connection.commit()


@pytest.mark.slow
def test_what_was_filled_is_not_shared_once_nobody_trusts_the_epoch(
    reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
):
    """A write that turned caching off may be acknowledged by then."""
    strategy = strategy_of(reader)
    lease = strategy.lease(Key("items", "x:1"))
    assert isinstance(lease, Lease)
    monkeypatch.setattr(strategy._epochs, "_clock", lambda: time.monotonic() + TRUST)
    monkeypatch.setattr(EpochStore, "_read", lambda _: None)
    assert not strategy.fill(lease, b"old", 300)


@pytest.mark.slow
def test_writers_need_no_second_connection_of_the_pool(new_process: NewProcess, waits: list[float]):
    """Ten at once on a process that knows nothing of the state yet, and has two connections."""
    process = new_process(DATABASE_POOL_SIZE=2, **PATIENT)
    assert 201 == process.post("/api/items/", json={"name": "old"}).status_code
    wait_until(lambda: "hit" in read(process)[1], "the item is cached")
    strategy_of(process)._epochs._state = None
    app = process.application
    waits.clear()
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda n: write(app.test_client(), f"name {n}"), range(10)))
    assert {200} == set(statuses)
    assert not any(waits)  # nobody had to wait for anything but the row
    assert 0 == strategy_of(process).stats()["unconfirmed"]


@pytest.mark.slow
def test_readers_have_connections_while_writers_wait(
    new_process: NewProcess, redis_proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
):
    """Ten writers wait until nobody trusts the cache, with two connections to the database."""
    process = new_process(DATABASE_POOL_SIZE=2, **PATIENT)
    app = process.application
    for number in range(1, 11):
        assert 201 == process.post("/api/items/", json={"name": f"item {number}"}).status_code
    wait_until(lambda: "hit" in read(process)[1], "the item is cached")
    waiting: list[float] = []
    gate = threading.Event()

    def wait(moment: float) -> None:
        waiting.append(moment)
        assert gate.wait(60)

    def write_one(number: int) -> int:
        return app.test_client().put(f"/api/items/{number}", json={"name": "new"}).status_code

    with redis_proxy.refusing(), ThreadPoolExecutor(10) as pool:
        monkeypatch.setattr(acknowledgement, "wait_until", wait)
        writing = [pool.submit(write_one, number) for number in range(1, 11)]
        wait_until(lambda: 10 == len(waiting), "all wait")
        monkeypatch.undo()
        assert all(waiting)
        assert "new" == read(process)[0]
        assert not any(one.done() for one in writing)
        gate.set()
        assert {200} == {one.result() for one in writing}


@pytest.mark.slow
def test_a_process_that_has_never_read_the_state_asks_once(
    new_process: NewProcess, writer: FlaskClient
):
    """However many requests want to know it at once."""
    process = new_process()
    epochs = strategy_of(process)._epochs
    epochs._state = None
    asked = []
    usual = epochs._read
    gate = threading.Barrier(8)

    def count() -> Any:
        asked.append(1)
        return usual()

    epochs._read = count  # type: ignore[method-assign]

    def ask() -> object:
        gate.wait()
        return epochs.current()

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
    assert all(one.result() for one in asking)
    assert [1] == asked

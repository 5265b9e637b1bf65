"""What looks after the cache in the background, step by step by a clock that the test moves."""

import gc
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis

import pegboard
from pegboard.cache import Key, get_cache
from pegboard.migrations import upgrade
from pegboard.redis import get_channel
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import wait_until
from pegboard.testing.servers import RedisServer
from pegboard_cache_redis.cache.activation import Activation
from pegboard_cache_redis.cache.background import IDLE, BackgroundRefresh
from pegboard_cache_redis.cache.epoch import WAIT, EpochStore
from pegboard_cache_redis.cache.stats import Stats
from pegboard_cache_redis.cache.strategy import RedisStrategy

from .conftest import Clock, read_row, write_row


@pytest.fixture
def app(make_app: MakeApp, own_redis: RedisServer, sqlite_url: str) -> Iterator[Flask]:
    """An app on a Redis of the test's own, its context active."""
    app = make_app(
        plugins=["cache_redis"],
        DATABASE_URL=sqlite_url,
        REDIS_URL=own_redis.url,
        REDIS_TIMEOUT=5,
    )
    with app.app_context():
        yield app


@pytest.fixture
def activation(app: Flask, epochs: EpochStore) -> Activation:
    """What turns caching on and off."""
    channel = get_channel(app)
    assert channel
    return Activation(channel, epochs, prefix="test")


@pytest.fixture
def background(app: Flask, epochs: EpochStore, activation: Activation) -> BackgroundRefresh:
    """A background refresh that the test runs step by step."""
    channel = get_channel(app)
    assert channel
    background = BackgroundRefresh(
        channel, epochs, activation, Stats(channel, epochs, prefix="test")
    )
    background._thread = threading.current_thread()
    background.wake()
    return background


def test_it_turns_caching_on_again_in_due_time(background: BackgroundRefresh, clock: Clock):
    """And no sooner."""
    write_row(epoch=5, enabled=False)
    assert background.run_once()
    clock.now += WAIT - 0.001
    assert background.run_once()
    assert not read_row()[1]
    clock.now += 0.001
    assert background.run_once()
    epoch, enabled, servers = read_row()
    assert epoch > 5
    assert enabled
    channel = get_channel()
    assert channel
    assert channel.servers() == {name.removeprefix("pb:1@") for name in servers.split()}


def test_a_server_that_was_replaced_ends_the_epoch(
    background: BackgroundRefresh, activation: Activation, clock: Clock
):
    """The reader that meets it reports it; the next epoch is that of the new server."""
    write_row(epoch=5, enabled=True, servers="former")
    background.run_once()
    assert read_row()[1]
    activation.report_foreign("another")
    background.run_once()
    assert (5, False, "former") == read_row()
    clock.now += WAIT
    background.run_once()
    assert read_row()[1]
    assert "former" != read_row()[2]


def test_a_connection_to_a_former_server_ends_no_epoch(
    background: BackgroundRefresh, activation: Activation
):
    """It is dropped, and the server that answers then is the right one."""
    channel = get_channel()
    assert channel
    (server,) = channel.servers()
    write_row(epoch=5, enabled=True, servers=f"pb:1@{server}")
    activation.report_foreign("former")
    background.run_once()
    assert (5, True, f"pb:1@{server}") == read_row()


def test_an_epoch_names_what_its_server_is_now(
    background: BackgroundRefresh, clock: Clock, own_redis: RedisServer
):
    """Not what it was before a promotion, as a connection of that time still says."""
    channel = get_channel()
    assert channel
    former = channel.servers()
    with closing(Redis.from_url(own_redis.url)) as client:
        client.replicaof("127.0.0.1", "1")
        client.replicaof("NO", "ONE")
    assert former == channel.servers()
    write_row(epoch=5, enabled=False)
    background.run_once()
    clock.now += WAIT
    background.run_once()
    _, enabled, servers = read_row()
    assert enabled
    assert {servers.removeprefix("pb:1@")} == channel.servers()
    assert former != channel.servers()


def test_what_keeps_it_off_is_said_once(
    background: BackgroundRefresh,
    clock: Clock,
    own_redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
):
    """Redis is full, for minutes."""
    write_row(epoch=5, enabled=False)
    background.run_once()
    clock.now += WAIT
    with closing(Redis.from_url(own_redis.url)) as client:
        client.config_set("maxmemory", 1)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                background.run_once()
        assert 1 == len(caplog.messages)
        assert "does not take writes" in caplog.messages[0]
        assert not read_row()[1]
        client.config_set("maxmemory", 0)
    background.run_once()
    assert read_row()[1]


def test_a_server_that_does_not_say_who_it_is_is_not_used(
    make_app: MakeApp, sqlite_url: str, epochs: EpochStore, caplog: pytest.LogCaptureFixture
):
    """Whether it was restarted, nobody could tell."""
    rules = "on >secret ~* &* +@all -info"
    with RedisServer(users={"app": rules}) as redis:
        other = make_app(
            plugins=["cache_redis"],
            DATABASE_URL=sqlite_url,
            REDIS_URL=redis.url_of("app", "secret"),
            REDIS_TIMEOUT=5,
        )
        channel = get_channel(other)
        assert channel
        activation = Activation(channel, epochs, prefix="test")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            activation.begin()
            activation.begin()
    assert not read_row()[1]
    assert ["caching stays off: Redis does not tell its run id (ACL: +info)"] == caplog.messages


def test_it_rests_when_nobody_asks(background: BackgroundRefresh, monkeypatch: pytest.MonkeyPatch):
    """An idle service leaves its database in peace."""
    assert background.run_once()
    background._used_at -= IDLE
    assert not background.run_once()


def refresh_threads() -> list[threading.Thread]:
    """Return the threads that refresh."""
    return [thread for thread in threading.enumerate() if thread.name == "pegboard-cache"]


def use(app: Flask) -> None:
    """Look something up."""
    strategy = get_cache(app).strategy
    assert isinstance(strategy, RedisStrategy)
    strategy.look_up(Key("items", "1"))


def connections_of(app: Flask) -> Collection[object]:
    """Return those on which the state is read, now and later."""
    strategy = get_cache(app).strategy
    assert isinstance(strategy, RedisStrategy)
    return strategy._epochs._opened


def test_it_ends_when_the_app_closes_its_connections(app: Flask):
    """And begins again with the next request."""
    wait_until(lambda: not refresh_threads(), "those of other tests have ended")
    use(app)
    assert 1 == len(refresh_threads())
    pegboard.db.engine.dispose()
    wait_until(lambda: not refresh_threads(), "it ends")
    use(app)
    assert 1 == len(refresh_threads())


@pytest.mark.slow
def test_it_ends_with_the_app(redis_url: str, tmp_path: Path):
    """An app that nobody has any more leaves no thread behind, and no connection."""
    wait_until(lambda: not refresh_threads(), "those of other tests have ended")
    config = {
        "ENV": "testing",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'gone.db'}",
        "MIGRATIONS_DIRECTORY": str(tmp_path / "alembic"),
        "REDIS_URL": redis_url,
    }
    app = pegboard.create_app(config, plugins=["cache_redis"])
    opened = connections_of(app)
    use(app)
    assert 1 == len(refresh_threads())
    with app.app_context():
        # Python complains of SQLite's connections that nobody has closed.
        pegboard.db.engine.dispose()
    use(app)
    assert opened
    del app

    def are_gone() -> bool:
        # Again and again: while it looks at the row, it is in use.
        gc.collect()
        return not refresh_threads() and not opened

    wait_until(are_gone, "it ends")


@pytest.mark.slow
def test_writes_before_the_migrations_of_the_cache_are_not_disturbed(
    make_app: MakeApp, redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """Nobody waits; once the table is there, caching begins by itself."""
    pytest.importorskip("pegboard_items")
    app = make_app(
        plugins=["items", "cache_redis"],
        upgrade=False,
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        REDIS_TIMEOUT=5,
        CACHE_STATUS_HEADER=True,
    )
    moments: list[float] = []
    release = RedisStrategy.release

    def note(*arguments: Any) -> float:
        moments.append(release(*arguments))
        return moments[-1]

    monkeypatch.setattr(RedisStrategy, "release", note)
    upgrade(app, "items")
    client = app.test_client()
    assert 201 == client.post("/api/items/", json={"name": "one"}).status_code
    assert 200 == client.put("/api/items/1", json={"name": "two"}).status_code
    response = client.get("/api/items/1")
    assert 200 == response.status_code
    assert "bypass" in response.headers["Cache-Status"]
    upgrade(app)
    assert not any(moments)
    use_until_hit: Callable[[], bool] = lambda: (  # noqa: E731
        "hit" in client.get("/api/items/1").headers["Cache-Status"]
    )
    wait_until(use_until_hit, "caching begins")

"""What strangers put into Redis is a miss, is replaced, and is reported once."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import update

import pegboard
from pegboard.cache import get_cache
from pegboard.testing.fixtures import MakeApp, RunCLI
from pegboard.testing.servers import RedisServer
from pegboard_items import Item

ITEMS = "/api/items/"
DEFECT = "is replaced: "
HUGE = 128 * 1024**2
ROOM = 8 * 1024**2
"""What reading and writing may take of memory and of the network, with a value of 1 MB at most."""


class Bomb:
    """What creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def app(make_app: MakeApp, redis_url: str, sqlite_url: str) -> Flask:
    """An app that says what its cache does; a busy machine is no fault of Redis."""
    return make_app(
        plugins=["cache_redis", "items"],
        DATABASE_URL=sqlite_url,
        REDIS_URL=redis_url,
        REDIS_TIMEOUT=5,
        CACHE_STATUS_HEADER=True,
    )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app, whose items 1 and 2 are cached."""
    client = app.test_client()
    for number in (1, 2):
        assert 201 == client.post(ITEMS, json={"name": f"item {number}"}).status_code
        assert "stored" in read(client, number)
        assert "hit" in read(client, number)
    return client


@pytest.fixture
def keys(redis: Any, client: FlaskClient) -> tuple[bytes, bytes, bytes]:
    """The keys of the group's marker, of item 1 and of item 2."""
    return find_keys(redis)


def find_keys(redis: Any) -> tuple[bytes, bytes, bytes]:
    """Return the keys of the group's marker, of item 1 and of item 2."""
    marker, first, second = sorted(
        redis.keys("pb:*{items%3Aview.*"), key=lambda key: (len(key), key)
    )
    return marker, first, second


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Return what was logged of the cache since the last time."""

    def take() -> list[str]:
        messages = [one for one in caplog.messages if DEFECT in one]
        caplog.clear()
        return messages

    with caplog.at_level(logging.WARNING):
        yield take


def read(client: FlaskClient, number: int = 1) -> str:
    """Read an item, and return what the cache did."""
    response = client.get(f"{ITEMS}{number}")
    assert response.json
    assert (200, f"item {number}") == (response.status_code, response.json["name"])
    return response.headers["Cache-Status"]


STRINGS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "nothing": lambda _mine, _other: b"",
    "text": lambda _mine, _other: b"hello",
    "of another row": lambda _mine, other: other,
    "cut off in its body": lambda mine, _other: mine[:-1],
    "cut off in its head": lambda mine, _other: mine[:20],
    "only its kind": lambda _mine, _other: b"V",
    "prolonged": lambda mine, _other: mine + b" ",
    "another tag": lambda mine, _other: mine[:17] + bytes(16) + mine[33:],
    "another body": lambda mine, _other: mine.replace(b"item 1", b"item 9"),
    "of 10 MB": lambda mine, _other: mine + bytes(10 * 1024**2),
    "10 MB of another kind": lambda _mine, _other: b"x" * 10 * 1024**2,
    "like a fence": lambda _mine, _other: b"False",
    "like a lease": lambda _mine, _other: b"Lorem ipsum",
    "of a lease's length": lambda _mine, _other: b"L" + b"x" * 16,
    "like a generation": lambda _mine, _other: b"G" + b"x" * 16,
}


@pytest.mark.parametrize("plant", STRINGS.values(), ids=list(STRINGS))
def test_a_string(client: FlaskClient, redis: Any, keys, warnings, plant):
    """Whatever it looks like."""
    _, first, second = keys
    redis.set(first, plant(redis.get(first), redis.get(second)))
    assert "stored" in read(client)
    assert 1 == len(warnings())
    assert "hit" in read(client)
    assert [] == warnings()


def test_a_pickle_is_not_executed(client: FlaskClient, redis: Any, keys, warnings, tmp_path):
    """Neither bare nor in a value's form."""
    _, first, _ = keys
    bomb = pickle.dumps(Bomb(tmp_path / "executed"))
    for planted in (bomb, redis.get(first)[:33] + bomb):
        redis.set(first, planted)
        assert "stored" in read(client)
        assert 1 == len(warnings())
    assert not (tmp_path / "executed").exists()
    pickle.loads(bomb)  # noqa: S301 - our own
    assert (tmp_path / "executed").exists()


TYPES: dict[str, Callable[[Redis, bytes], object]] = {
    "list": lambda redis, key: redis.rpush(key, "a"),
    "hash": lambda redis, key: redis.hset(key, "a", "b"),
    "set": lambda redis, key: redis.sadd(key, "a"),
    "sorted set": lambda redis, key: redis.zadd(key, {"a": 1}),
    "stream": lambda redis, key: redis.xadd(key, {"a": "b"}),
}


@pytest.mark.parametrize("plant", TYPES.values(), ids=list(TYPES))
@pytest.mark.parametrize("which", [0, 1], ids=["marker", "key"])
def test_another_type(client: FlaskClient, redis: Any, keys, warnings, plant, which: int):
    """Of the value, and of the marker of its group."""
    redis.delete(keys[which])
    plant(redis, keys[which])
    assert "stored" in read(client)
    assert 1 == len(warnings())
    assert "hit" in read(client)
    assert [] == warnings()


@pytest.mark.parametrize("marker", [b"", b"Garbage", b"G", b"hello", b"False", b"V" + bytes(40)])
def test_a_marker_of_a_stranger(client: FlaskClient, redis: Any, keys, marker: bytes):
    """It gets a new generation, and all values of the group are others."""
    redis.set(keys[0], marker)
    for number in (1, 2):
        assert "stored" in read(client, number)
        assert "hit" in read(client, number)


@pytest.mark.parametrize("which", [0, 1], ids=["marker", "key"])
def test_a_fence_for_ever(client: FlaskClient, redis: Any, keys, which: int):
    """No fence stands so long."""
    redis.set(keys[which], b"F" + b"x" * 16 + b"9" * 13)
    assert "stored" in read(client)
    assert "hit" in read(client)


def test_a_value_of_another_generation_is_no_defect(
    client: FlaskClient, redis: Any, keys, warnings
):
    """A write of the group has made it one."""
    redis.set(keys[0], b"G" + b"x" * 16)
    assert "stored" in read(client)
    assert [] == warnings()


def test_a_value_of_another_epoch_is_not_seen(client: FlaskClient, redis: Any, keys, warnings):
    """Its key is another one; under this one the value does not belong."""
    _, first, _ = keys
    parts = first.split(b":")
    for epoch in (b"0", b"%d" % (int(parts[2]) + 1)):
        redis.set(b":".join([*parts[:2], epoch, *parts[3:]]), redis.get(first))
    redis.delete(first)
    assert "stored" in read(client)
    assert [] == warnings()


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1], ids=["marker", "key"])
def test_a_huge_string_is_never_read_whole(
    make_app: MakeApp, own_redis: RedisServer, sqlite_url: str, which: int
):
    """Neither to read nor to write: all others would have to wait for it."""
    app = make_app(
        plugins=["cache_redis", "items"],
        DATABASE_URL=sqlite_url,
        REDIS_URL=own_redis.url,
        REDIS_TIMEOUT=5,
        CACHE_STATUS_HEADER=True,
    )
    client = app.test_client()
    for number in (1, 2):
        client.post(ITEMS, json={"name": f"item {number}"})
        read(client, number)
    with Redis.from_url(own_redis.url) as redis:
        keys = find_keys(redis)
        sent: Any = redis.info("stats")
        for kind in "VGFLx":
            for use in (read, write):
                redis.set(keys[which], kind)
                redis.setrange(keys[which], HUGE, "x")
                use(client)
                assert "hit" in (read(client), read(client))[1]
        assert HUGE + ROOM > redis.info("memory")["used_memory_peak"]
        read_in_all = redis.info("stats")["total_net_output_bytes"]
    assert 5 * ROOM > read_in_all - sent["total_net_output_bytes"]
    assert 0 == get_cache(app).strategy.stats()["unconfirmed"]


def write(client: FlaskClient) -> None:
    """Write item 1, and all items."""
    assert 200 == client.put(f"{ITEMS}1", json={"name": "item 1"}).status_code
    with client.application.app_context():
        pegboard.db.session.execute(update(Item).values(name=Item.name))
        pegboard.db.session.commit()


COUNTS: dict[str, Callable[[Any, str], object]] = {
    "digits": lambda redis, key: redis.hset(key, "hits", "9" * 5000),
    "large": lambda redis, key: redis.hset(key, "hits", bytes(2 * ROOM)),
    "text": lambda redis, key: redis.hset(key, "hits", "many"),
    "of another type": lambda redis, key: redis.set(key, "9" * 5000),
}


@pytest.mark.parametrize("plant", COUNTS.values(), ids=list(COUNTS))
def test_a_count(client: FlaskClient, redis: Any, cli: RunCLI, caplog, plant):
    """It is removed, and counted anew; who asks for the stats gets them."""
    redis.delete("pb:stats")
    plant(redis, "pb:stats")
    sent: Any = redis.info("stats")
    with caplog.at_level(logging.WARNING):
        stats = cli("cache", "stats", app=client.application)
        ready = client.get("/health/ready")
    assert (0, 200) == (stats.exit_code, ready.status_code)
    read_stats = pegboard.get_health(client.application).details["cache"]
    before = read_stats()
    assert "all processes" == before["counted_in"]
    assert 1 == len([one for one in caplog.messages if "stats" in one])
    assert "hit" in read(client)
    assert before["hits"] < read_stats()["hits"]
    assert ROOM > redis.info("stats")["total_net_output_bytes"] - sent["total_net_output_bytes"]

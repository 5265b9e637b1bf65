"""Tests of replicas that sign with other keys."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from redis import Redis

from pegboard import create_app
from pegboard.redis import fleet_keys, get_fleet_keys
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import WAIT_TIMEOUT

OLD, NEW, OTHER = "the old key " * 3, "the new key " * 3, "another key " * 3

MakeReplica = Callable[..., Flask]


@pytest.fixture
def replica(make_app: MakeApp, redis_url: str, sqlite_url: str) -> MakeReplica:
    """Make a replica of one service, with these keys: the first one is signed with."""

    def make(key: str, *fallbacks: str, **config: Any) -> Flask:
        keys = {"SECRET_KEY": key, "SECRET_KEY_FALLBACKS": fallbacks}
        return make_app(**{"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, **keys, **config})

    return make


def foreign(app: Flask) -> int:
    """Compare now; returns how many keys of others the app does not take."""
    keys: Any = get_fleet_keys(app)
    keys._due = 0.0
    return len(keys.compare())


def test_replicas_with_different_keys_are_told(replica: MakeReplica, caplog):
    """Both say so once, with a code, and stay ready; no key is in the log or in Redis."""
    caplog.set_level(logging.INFO, "pegboard.redis.fleet_keys")
    one, other = replica(OLD), replica(OTHER)
    assert [0, 1, 1, 1] == [foreign(one), foreign(other), foreign(one), foreign(one)]
    assert 2 == caplog.text.count("[PB_SECRET_KEYS_DIFFER]")
    for app in (one, other):
        answer = app.test_client().get("/health/ready")
        body = answer.get_json()
        assert (200, ["secret_key"]) == (answer.status_code, body["degraded"])
        assert "failing" == body["checks"]["secret_key"]
    assert not any(key in caplog.text for key in (OLD, OTHER))


def test_a_database_is_one_however_its_url_is_written(redis_url: str):
    """With the usual port or without it, by any user; another database is another service's."""
    urls = ("a@DB/shop", "b@db:5432/shop", "b@db:5433/shop", "b@db/other")
    config = {"ENV": "testing", "REDIS_URL": redis_url, "SESSIONS": "cookie"}
    one, same, *others = (
        create_app({**config, "SECRET_KEY": key, "DATABASE_URL": f"postgresql://{url}"}, plugins=[])
        for key, url in zip((OLD, OTHER, NEW, NEW), urls, strict=True)
    )
    assert [0, 1] == [foreign(one), foreign(same)]
    assert [0, 0] == [foreign(app) for app in others]


@pytest.mark.parametrize(
    "keys",
    [
        [(OLD,), (OLD,)],
        [(OLD,), (OLD, NEW)],
        [(OLD, NEW), (NEW, OLD)],
        [(NEW, OLD), (NEW, OLD)],
        [(NEW, OLD), (NEW,)],
    ],
    ids=["the same", "announced", "replaced", "all", "forgotten"],
)
def test_a_key_that_is_replaced_step_by_step_is_none_of_another(
    replica: MakeReplica, keys: list[tuple[str, ...]]
):
    """Each replica takes what the others sign, whichever step of the rotation they are at."""
    replicas = [replica(*one) for one in keys]
    assert [0] * 4 == [foreign(one) for one in replicas * 2]


def test_a_replica_that_was_not_told_of_the_new_key_says_so(replica: MakeReplica):
    """The other one takes what it signs, and has nothing to say."""
    older, newer = replica(OLD), replica(NEW, OLD)
    assert [0, 0, 1] == [foreign(older), foreign(newer), foreign(older)]


def test_what_ends_is_forgotten(replica: MakeReplica, redis_url: str, caplog):
    """A replica with another key is gone: after some time it counts no more."""
    caplog.set_level(logging.INFO, "pegboard.redis.fleet_keys")
    one, other = replica(OLD), replica(OTHER)
    foreign(other)
    assert foreign(one)
    with Redis.from_url(redis_url) as client:
        [name] = client.keys("pegboard:keys:*")
        assert 0 < client.pttl(name) <= 20_000
        for field in client.hkeys(name):
            client.hset(name, field, int(client.hget(name, field)) - 21)
    assert not foreign(one)
    assert "sign with keys that this one takes again" in caplog.text
    assert [] == one.test_client().get("/health/ready").get_json()["degraded"]


CORRUPT: dict[str, Callable[[Redis, str], object]] = {
    "another type": lambda client, name: client.delete(name) and client.rpush(name, "x"),
    "no fingerprint": lambda client, name: client.hset(name, b"\xff\xfe", int(time.time())),
    "fields of a million bytes": lambda client, name: client.hset(name, "a" * 10**6, "1"),
    "no number": lambda client, name: client.hset(name, "a" * 12, "none"),
    "nan": lambda client, name: client.hset(name, "a" * 12, "nan"),
    "a time to come": lambda client, name: client.hset(name, "a" * 12, int(time.time()) + 10**9),
    "endless": lambda client, name: client.hset(name, "a" * 12, "inf"),
    "a time long ago": lambda client, name: client.hset(name, "a" * 12, "-1e300"),
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_what_no_process_has_noted_is_removed(replica: MakeReplica, redis_url: str, kind: str):
    """The keys of others are compared as before, whatever anybody has written beside them."""
    one, other = replica(OLD), replica(OTHER)
    assert 0 == foreign(one)
    with Redis.from_url(redis_url) as client:
        [name] = client.keys("pegboard:keys:*")
        [own] = client.hkeys(name)
        assert CORRUPT[kind](client, name)
        assert 0 == foreign(one)
        assert [own] == client.hkeys(name)
        assert 0 < client.pttl(name) <= 20_000
    assert [1, 1] == [foreign(other), foreign(one)]


def test_the_comparison_goes_on_after_an_error(replica: MakeReplica, monkeypatch, caplog):
    """An error is logged, and does not end the thread."""
    keys: Any = get_fleet_keys(replica(OLD))
    monkeypatch.setattr(fleet_keys, "INTERVAL", 0.05)
    compared = threading.Semaphore(0)

    def fail() -> None:
        compared.release()
        message = "a bug"
        raise RuntimeError(message)

    monkeypatch.setattr(keys, "compare", fail)
    keys.watch()
    for _ in range(3):
        assert compared.acquire(timeout=WAIT_TIMEOUT)
    assert "the keys of the fleet could not be compared" in caplog.text


def test_other_services_on_the_server_do_not_count(replica: MakeReplica, tmp_path):
    """They have another database."""
    one = replica(OLD)
    other = replica(OTHER, DATABASE_URL=f"sqlite:///{tmp_path / 'other.db'}")
    assert [0, 0, 0] == [foreign(one), foreign(other), foreign(one)]


def test_without_redis_or_rights_nothing_is_said(replica: MakeReplica, redis_url: str):
    """It is no fault of the keys."""
    assert get_fleet_keys(replica(OLD, REDIS_URL=None)) is None
    one, other = replica(OLD), replica(OTHER)
    foreign(other)
    with Redis.from_url(redis_url) as client:
        [name] = client.keys("pegboard:keys:*")
        client.delete(name)
        client.set(name, "of another type")
    assert not foreign(one)
    assert [] == one.test_client().get("/health/ready").get_json()["degraded"]

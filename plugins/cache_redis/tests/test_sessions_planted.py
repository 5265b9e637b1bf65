"""Sessions that another program has written to: never believed, never run, replaced."""

import itertools
import logging
import pickle
from pathlib import Path

import pytest
from flask import session

from pegboard_cache_redis import rotate_session

KEYS = "pb:session:*"


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def client(app, desk):
    """A client that is logged in."""
    client = app.test_client()
    desk.run(client, lambda: session.update(user=1, cart=[1]))
    return client


@pytest.fixture
def key(client, redis):
    """The key of its session."""
    (key,) = redis.keys(KEYS)
    return key


@pytest.fixture
def other_key(client, app, desk, redis, key):
    """The key of the session of another client, who is an administrator."""
    desk.run(app.test_client(), lambda: session.update(user=2, admin=True))
    (other_key,) = set(redis.keys(KEYS)) - {key}
    return other_key


def read():
    """Return what is in the session."""
    return dict(session)


def expect_new_session(desk, client, redis, key, caplog):
    """The planted data is a miss, one log line, and gone; the client begins anew."""
    before = client.get_cookie("session").value
    with caplog.at_level(logging.WARNING):
        answer = desk.run(client, read)
    assert 200 == answer.status_code
    assert {} == answer.json
    assert 1 == len([record for record in caplog.records if "pegboard" in record.name])
    assert not redis.exists(key)
    desk.run(client, lambda: session.update(fresh=1))
    assert before != client.get_cookie("session").value
    assert {"fresh": 1} == desk.run(client, read).json


def test_a_planted_pickle_is_not_run(desk, client, redis, key, caplog, tmp_path):
    """In a field, behind a seal or without one, and instead of the hash."""
    mark = tmp_path / "executed"
    bomb = pickle.dumps(Bomb(mark))
    redis.hset(key, "cart", redis.hget(key, "cart")[:16] + bomb)
    expect_new_session(desk, client, redis, key, caplog)
    assert not mark.exists()


DATA = [b"", b"2", b"x" * 15, b"x" * 16, b"\x80\x04." * 10, b"x" * 10_000_000]


@pytest.mark.parametrize("planted", [*itertools.product(["user", "new", ""], DATA)], ids=range(18))
def test_a_planted_field_is_not_believed(desk, client, redis, key, caplog, planted):
    """Whatever it holds, in a field that was there or in another."""
    redis.hset(key, *planted)
    expect_new_session(desk, client, redis, key, caplog)


def test_a_truncated_field_is_not_believed(desk, client, redis, key, caplog):
    """The seal is of the whole."""
    redis.hset(key, "cart", redis.hget(key, "cart")[:-1])
    expect_new_session(desk, client, redis, key, caplog)


def test_another_content_behind_a_seal_is_not_believed(desk, client, redis, key, caplog):
    """Nobody becomes another by a number."""
    redis.hset(key, "user", redis.hget(key, "user")[:16] + b"2")
    expect_new_session(desk, client, redis, key, caplog)


def test_ten_megabytes_stay_where_they_are(desk, client, redis, key):
    """They would take longer to read than Redis is given."""
    redis.hset(key, "huge", b"x" * 10_000_000)
    before = redis.info("stats")["total_net_output_bytes"]
    assert {} == desk.run(client, read).json
    assert redis.info("stats")["total_net_output_bytes"] - before < 100_000


def test_a_field_of_the_same_session_is_not_believed_under_another_name(
    desk, client, redis, key, caplog
):
    """The seal is of the name, too."""
    redis.hset(key, "cart", redis.hget(key, "user"))
    expect_new_session(desk, client, redis, key, caplog)


def test_a_field_of_another_session_is_not_believed(desk, client, redis, key, other_key, caplog):
    """The seal is of the id, too."""
    redis.hset(key, "admin", redis.hget(other_key, "admin"))
    expect_new_session(desk, client, redis, key, caplog)


def test_another_session_in_its_place_is_not_believed(desk, client, redis, key, other_key, caplog):
    """Nobody becomes another by renaming a key."""
    redis.copy(other_key, key, replace=True)
    expect_new_session(desk, client, redis, key, caplog)


def test_a_name_that_is_no_text_is_not_believed(desk, client, redis, key, caplog):
    """Names are of any bytes in Redis."""
    redis.hset(key, b"\xff\xfe", redis.hget(key, "user"))
    expect_new_session(desk, client, redis, key, caplog)


def test_more_fields_than_a_session_can_have_are_not_read(desk, client, redis, key, caplog):
    """They are counted first."""
    redis.hset(key, mapping={str(number): "" for number in range(70_000)})
    expect_new_session(desk, client, redis, key, caplog)


@pytest.mark.parametrize("kind", ["string", "list", "set", "sorted set", "stream"])
def test_another_type_is_not_believed(desk, client, redis, key, caplog, kind):
    """It is replaced like any other data."""
    redis.delete(key)
    {
        "string": lambda: redis.set(key, pickle.dumps({"user": 2})),
        "list": lambda: redis.rpush(key, "user", "2"),
        "set": lambda: redis.sadd(key, "user"),
        "sorted set": lambda: redis.zadd(key, {"user": 2}),
        "stream": lambda: redis.xadd(key, {"user": 2}),
    }[kind]()
    expect_new_session(desk, client, redis, key, caplog)


def test_data_planted_while_a_request_is_under_way_is_not_taken_along(
    desk, client, redis, key, twin
):
    """A login that finds it has no session to rotate."""
    with desk.under_way(twin(client), rotate_session, read) as slow:
        redis.hset(key, "admin", "true")
    assert 409 == slow.result().status_code
    assert {} == desk.run(client, read).json


def test_a_session_planted_without_an_end_gets_one(desk, client, redis, key):
    """What lives for ever is renewed like what is about to die."""
    redis.persist(key)
    assert {"user": 1, "cart": [1]} == desk.run(client, read).json
    assert 0 < redis.pttl(key)

"""Redis unavailable: who touches the session is told so, and nobody is silently a stranger."""

import time
from contextlib import closing

import pytest
from flask import session
from redis import Redis

import pegboard
from pegboard.redis import get_channel
from pegboard.testing.processes import free_port, wait_until
from pegboard_cache_redis import end_session, rotate_session

pytestmark = pytest.mark.faults

TIMEOUT = 1.0
"""Seconds that Redis is given."""


@pytest.fixture
def server(own_redis):
    """A server that the test may harm."""
    return own_redis


@pytest.fixture
def app(make_app, desk, server):
    """An app whose sessions are on that server."""
    return make_app(plugins=["cache_redis", desk], REDIS_URL=server.url, REDIS_TIMEOUT=TIMEOUT)


@pytest.fixture
def client(app, desk):
    """A client that is logged in."""
    client = app.test_client()
    desk.run(client, lambda: session.update(user=1))
    return client


def read():
    """Return what is in the session."""
    return dict(session)


def careless():
    """Take every error for a session without a user."""
    try:
        return session.get("user")
    except Exception:  # noqa: BLE001 - this is what must not help
        return "anonymous"


def log_in():
    """Log in."""
    rotate_session()
    session["user"] = 2


def expect_503(answer):
    """It is the platform's error, says when to come again, and hands out nothing."""
    assert 503 == answer.status_code
    assert {"message", "status"} == answer.json.keys()
    assert 503 == answer.json["status"]
    assert "application/json" == answer.content_type
    assert "1" == answer.headers["Retry-After"]
    assert answer.headers["X-Request-ID"]
    assert "Set-Cookie" not in answer.headers


def wait_for_redis(app):
    """Wait until the app has noticed that Redis is back."""
    channel = get_channel(app)
    assert channel
    wait_until(lambda: not channel.is_unavailable, "the breaker closes")


ACTIONS = {
    "reads": read,
    "writes": lambda: session.update(user=3),
    "rotates": log_in,
    "ends": end_session,
    "passes over the error": careless,
}


@pytest.mark.parametrize("fault", ["SIGKILL", "SIGSTOP"])
def test_who_touches_the_session_is_answered_503(app, desk, client, server, fault):
    """Within the time that Redis is given; who does not touch it is answered as ever."""

    def harmed():
        for action in ACTIONS.values():
            began = time.monotonic()
            expect_503(desk.run(client, action))
            assert time.monotonic() - began < 5 * TIMEOUT
            assert 200 == desk.run(client, lambda: "plain").status_code
            assert 200 == desk.run(app.test_client(), read).status_code

    if fault == "SIGSTOP":
        with server.suspended():
            harmed()
        wait_for_redis(app)
        assert 200 == desk.run(client, read).status_code
    else:
        server.kill()
        harmed()
        server.start()
        wait_for_redis(app)
        assert {} == desk.run(client, read).json
        assert 200 == desk.run(client, log_in).status_code


def test_a_first_session_that_cannot_be_stored_is_answered_503(app, desk, server):
    """The client must not believe that it is logged in."""
    server.kill()
    expect_503(desk.run(app.test_client(), log_in))


@pytest.mark.parametrize("action", [log_in, ACTIONS["writes"], end_session])
def test_redis_that_dies_before_the_save_is_answered_503(desk, client, server, action):
    """Also when the view had read its session and has given its answer."""

    def then():
        return "done"

    def first():
        read()
        action()

    with desk.under_way(client, first, then) as answer:
        server.kill()
    expect_503(answer.result())


def test_a_save_that_hangs_is_answered_503_and_never_revives_a_session(
    app, desk, client, server, twin
):
    """What timed out executes late, after the logout that came when the server was back."""
    slow = twin(client)
    before = client.get_cookie("session").value
    with desk.under_way(slow, lambda: session.update(user=9), lambda: "done") as answer:
        stop = server.suspended()
        stop.__enter__()
    try:
        expect_503(answer.result())
    finally:
        stop.__exit__(None, None, None)
    wait_for_redis(app)
    assert 200 == desk.run(client, end_session).status_code
    slow.set_cookie("session", before)
    assert {} == desk.run(slow, read).json


def test_redis_without_memory_is_answered_503(app, desk, client, server, caplog):
    """A session can be read, ended and given another id, but not begun or changed.

    Readiness tells, and the log has one line however many requests fail.
    """
    with closing(Redis.from_url(server.url)) as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", 1)
        assert {"user": 1} == desk.run(client, read).json
        expect_503(desk.run(client, ACTIONS["writes"]))
        expect_503(desk.run(app.test_client(), log_in))
        assert ["redis"] == app.test_client().get("/health/ready").get_json()["degraded"]
        assert 1 == caplog.text.count("the session could not be read or stored")
        assert {"user": 1} == desk.run(client, read).json
        assert 200 == desk.run(client, log_in).status_code
        assert {"user": 2} == desk.run(client, read).json
        assert 200 == desk.run(client, end_session).status_code
        assert [] == redis.keys("pb:session:*")


def test_a_server_that_was_replaced_is_not_believed(app, desk, client, server):
    """It does not know yet which sessions have begun and ended since."""
    with closing(Redis.from_url(server.url)) as redis:
        redis.replicaof("127.0.0.1", str(free_port()))
        expect_503(desk.run(client, read))
        redis.replicaof("NO", "ONE")
    wait_for_redis(app)
    assert {"user": 1} == desk.run(client, read).json


def test_redis_that_forbids_the_end_of_a_session_is_answered_503(desk, client, server):
    """The client must not believe that it is logged out."""
    with closing(Redis.from_url(server.url)) as redis:
        redis.execute_command("ACL", "SETUSER", "default", "-unlink")
    expect_503(desk.run(client, end_session))


def test_the_answer_503_is_for_browsers_of_other_origins_too(make_app, desk, server):
    """What other plugins and CORS add to answers is on it, and `Vary` is."""
    config = {"REDIS_URL": server.url, "CORS_ORIGINS": "https://app.example"}
    app = make_app(plugins=["cache_redis", desk], **config)
    client = app.test_client()
    client.environ_base["HTTP_ORIGIN"] = "https://app.example"
    desk.run(client, lambda: session.update(user=1))
    server.kill()
    answer = desk.run(client, ACTIONS["writes"])
    expect_503(answer)
    assert "https://app.example" == answer.headers["Access-Control-Allow-Origin"]
    assert {"Cookie", "Origin"} <= set(answer.headers["Vary"].split(", "))


def test_sessions_survive_a_script_flush(desk, client, server):
    """The server knows no script any more; they are sent again."""
    with closing(Redis.from_url(server.url)) as redis:
        redis.script_flush()
        assert {"user": 1} == desk.run(client, read).json
        redis.script_flush()
        desk.run(client, log_in)
        assert {"user": 2} == desk.run(client, read).json


def test_without_redis_the_start_says_what_is_missing(make_app):
    """And how to choose otherwise; each of these ways starts."""
    with pytest.raises(pegboard.StartupError) as caught:
        make_app(plugins=["cache_redis"])
    (problem,) = caught.value.problems
    assert "cache_redis" == problem.plugin
    assert problem.summary.startswith("REDIS_URL is not set")
    assert "PEGBOARD_SESSIONS=cookie" in problem.hint
    make_app(plugins=["cache_redis"], CACHE="memory", SESSIONS="cookie")
    make_app(plugins=["cache_redis"], CACHE="none", SESSIONS="cookie")
    make_app(plugins=["cache_redis"], PLUGINS_POLICY="cache_redis=skip")

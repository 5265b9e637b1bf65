"""What happens to requests while Redis is unavailable, and that it counts again afterwards."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

import pegboard
from pegboard.redis import ChannelError
from pegboard.testing.processes import wait_until

pytestmark = pytest.mark.faults

LIMIT = "4/minute"


@pytest.fixture
def start(serve, own_redis):
    """Build an app on a Redis of its own; settings as keywords. Returns its client."""

    def start(plugins=(), **config):
        return serve(plugins, REDIS_URL=own_redis.url, RATELIMIT_DEFAULT=LIMIT, **config)

    return start


def get(client, path="/api/things/"):
    """Ask once; return the status."""
    return client.get(path).status_code


def test_each_worker_counts_its_share(start, own_redis):
    """By default; the limit that is told is the share."""
    client = start(WORKERS=2)
    client.get("/api/things/", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    own_redis.kill()
    answers = [client.get("/api/things/") for _ in range(3)]

    assert [200, 200, 429] == [one.status_code for one in answers]
    assert {'"default-minute";q=2;w=60'} == {one.headers["RateLimit-Policy"] for one in answers}


def test_what_redis_has_counted_is_not_forgotten(start, own_redis):
    """A client that has used up the limit gets nothing, others a share of what they had left."""
    client = start(WORKERS=2)

    def ask(number: int) -> int:
        peer = {"REMOTE_ADDR": f"192.0.2.{number}"}
        status: int = client.get("/api/things/", environ_overrides=peer).status_code
        return status

    used = [[ask(number) for _ in range(number)] for number in range(1, 5)]
    own_redis.kill()

    assert {200} == {status for statuses in used for status in statuses}
    assert [1, 1, 1, 0] == [[ask(number) for _ in range(5)].count(200) for number in range(1, 5)]
    assert 2 == [ask(9) for _ in range(5)].count(200)


@pytest.mark.slow
def test_a_window_that_an_outage_touches_holds_at_most_twice_the_limit(
    serve, own_redis, limiter_of
):
    """What Redis counts and what the worker admits meanwhile; nobody settles it afterwards."""
    client = serve(REDIS_URL=own_redis.url, RATELIMIT_DEFAULT="4/day")
    limiter = limiter_of(client.application)
    statuses = [get(client) for _ in range(2)]
    with own_redis.suspended():
        statuses += [get(client) for _ in range(9)]
    assert 4 == statuses.count(200)

    def is_refused_by_redis() -> bool:
        statuses.append(get(client))
        return statuses[-1] == 429 and not limiter.is_failing

    wait_until(is_refused_by_redis, "Redis counts again and refuses", timeout=10)
    assert 4 <= statuses.count(200) <= 8


def test_an_outage_is_said_once(make_app, limiter_of, caplog):
    """Though some of the requests that are under way are counted still, in whatever thread."""
    limiter = limiter_of(make_app(plugins=["ratelimit"]))
    caplog.set_level(logging.INFO, "pegboard_ratelimit")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(100):
            pool.submit(limiter.note_failure, ChannelError("unavailable"))
            pool.submit(limiter.note_success)

    assert 1 == len([one for one in caplog.records if "counted" in one.message])
    assert limiter.is_failing


def test_all_are_admitted_where_the_door_is_open(start, own_redis):
    """Without headers, as it is not known what the client has left."""
    client = start(RATELIMIT_ON_FAILURE="open")
    own_redis.kill()
    answers = [client.get("/api/things/") for _ in range(9)]

    assert {200} == {one.status_code for one in answers}
    assert not any("RateLimit" in one.headers for one in answers)


@pytest.mark.slow
def test_none_is_admitted_where_the_door_is_closed(start, own_redis):
    """503, in the platform's format, with the time to come again."""
    client = start(RATELIMIT_ON_FAILURE="closed")
    own_redis.kill()
    answer = client.get("/api/things/")

    assert 503 == answer.status_code
    assert {
        "message": "Requests cannot be counted at the moment. Try again.",
        "status": 503,
    } == answer.get_json()
    assert "1" == answer.headers["Retry-After"]
    assert 200 == client.get("/health").status_code


def test_a_rule_has_a_policy_of_its_own(start, own_redis, plugin_of):
    """A plugin knows which of its views must not be called uncounted."""
    blueprint = pegboard.Blueprint("login", __name__)
    blueprint.get("/login")(pegboard.rate_limit("9/minute", on_failure="closed")(lambda: "in"))

    client = start((plugin_of(blueprint),), RATELIMIT_ON_FAILURE="open")
    assert [200, 200] == [get(client), get(client, "/login")]
    own_redis.kill()

    assert [200, 503] == [get(client), get(client, "/login")]


@pytest.mark.slow
def test_redis_counts_again_by_itself(start, own_redis, caplog):
    """Once it is back; the operator is told of both, once."""
    client = start()
    caplog.set_level(logging.INFO, "pegboard_ratelimit")
    get(client)
    own_redis.kill()
    for _ in range(3):
        get(client)
    own_redis.start()
    url = own_redis.url

    def is_counted() -> bool:
        get(client)
        with Redis.from_url(url) as redis:
            return bool(redis.keys("pegboard:ratelimit:*"))

    def said() -> list[str]:
        get(client)
        return [record.message for record in caplog.records if record.name.endswith("limiter")]

    wait_until(is_counted, "Redis counts again")
    wait_until(lambda: len(said()) > 1, "it is said")
    first, second = said()
    assert first.startswith("requests cannot be counted, the on_failure policy applies: ")
    assert "requests are counted again" == second


@pytest.mark.slow
def test_a_redis_that_does_not_answer_costs_little(start, own_redis):
    """At most one time-out a second, whatever number of requests comes."""
    client = start(RATELIMIT_ON_FAILURE="open", REDIS_TIMEOUT=1)
    get(client)
    with own_redis.suspended():
        began = time.monotonic()
        statuses = [get(client) for _ in range(50)]
        taken = time.monotonic() - began

    assert {200} == set(statuses)
    assert 10.0 > taken


@pytest.mark.parametrize("command", ["CONFIG SET maxmemory 1", "SCRIPT FLUSH", "FLUSHALL"])
def test_what_redis_refuses_is_no_error_of_the_client(start, own_redis, command):
    """Out of memory counts as unavailable; a script that is lost is sent again."""
    client = start()
    get(client)
    with Redis.from_url(own_redis.url) as redis:
        redis.execute_command(*command.split())
    answers = [client.get("/api/things/") for _ in range(2)]

    assert [200, 200] == [one.status_code for one in answers]
    assert all("RateLimit" in one.headers for one in answers)


def test_a_value_of_somebody_else_is_a_count_that_begins(start, own_redis):
    """Whatever its type; and it expires."""
    client = start()
    key = "pegboard:ratelimit:d.default:127.0.0.1"
    with Redis.from_url(own_redis.url) as redis:
        redis.rpush(key, "x")
        assert [200] * 4 + [429] == [get(client) for _ in range(5)]
        assert 60_000 >= redis.pttl(key) > 50_000
        assert [key.encode()] == redis.keys()

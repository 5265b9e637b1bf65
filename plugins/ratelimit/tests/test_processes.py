"""Several processes, one limit."""

import json
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis, RedisCluster
from redis.crc import key_slot

from pegboard.redis import get_redis
from pegboard.testing.services import LiveServer, run_pegboard
from pegboard_ratelimit import Limit, Policy
from pegboard_ratelimit.counting import RedisStorage
from pegboard_ratelimit.counting.redis import WINDOW

HAMMER = textwrap.dedent("""
    import json, multiprocessing, sys, threading, time
    import pegboard

    url, limit, processes, threads, requests, pause = json.loads(sys.argv[1])
    config = {"ENV": "testing", "REDIS_URL": url, "RATELIMIT_DEFAULT": limit}
    app = pegboard.create_app(
        {**config, "LOG_LEVEL": "CRITICAL", "REDIS_TIMEOUT": 30}, plugins=["ratelimit"]
    )

    def ask(admitted):
        client = app.test_client()
        for _ in range(requests):
            before = time.monotonic()
            if client.get("/x").status_code != 429:
                admitted.append((before, time.monotonic()))
            time.sleep(pause)

    def run(start, results):
        admitted = []
        workers = [threading.Thread(target=ask, args=[admitted]) for _ in range(threads)]
        start.wait()
        [worker.start() for worker in workers]
        [worker.join() for worker in workers]
        results.put(admitted)

    fork = multiprocessing.get_context("fork")
    start, results = fork.Barrier(processes), fork.SimpleQueue()
    children = [fork.Process(target=run, args=[start, results]) for _ in range(processes)]
    [child.start() for child in children]
    print(json.dumps([times for _ in children for times in results.get()]))
""")


def hammer(url, limit, *, processes, threads, requests, pause=0.0):
    """Send requests from several processes at once; return when each admitted one was sent."""
    plan = json.dumps([url, limit, processes, threads, requests, pause])
    done = subprocess.run(
        [sys.executable, "-c", HAMMER, plan],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return sorted(tuple(times) for times in json.loads(done.stdout))


@pytest.mark.slow
def test_800_requests_of_4_processes_find_a_limit_of_100(redis_url):
    """Exactly 100 are admitted."""
    admitted = hammer(redis_url, "100/minute", processes=4, threads=4, requests=50)

    assert 100 == len(admitted)


@pytest.mark.slow
def test_no_two_seconds_hold_more_than_ten(redis_url):
    """However the requests fall on an edge; and it is not always fewer."""
    admitted = hammer(redis_url, "10/2s", processes=4, threads=2, requests=150, pause=0.04)

    # Certainly within a window: sent after it began, and answered before it ended.
    worst = max(
        sum(1 for sent, got in admitted if sent >= start and got < start + 2.0)
        for start, _ in admitted
    )
    assert 10 >= worst
    # Each thread pauses for 6 s in all, and takes as long as the machine needs.
    lasted = max(got for _, got in admitted) - admitted[0][0]
    assert 20 <= len(admitted) <= 10 * (1 + lasted // 2)


def test_a_request_is_one_round_trip(serve, redis_url):
    """One script; a refused client costs none for a while."""
    client = serve(REDIS_URL=redis_url, RATELIMIT_DEFAULT="3/minute;3/hour")
    client.get("/api/things/")

    def calls(redis):
        found = redis.info("commandstats")
        return sum(
            found.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha")
        )

    with Redis.from_url(redis_url) as redis:
        before = calls(redis)
        for _ in range(2):
            client.get("/api/things/")
        assert 2 == calls(redis) - before
        for _ in range(20):
            assert 429 == client.get("/api/things/").status_code
        assert 3 >= calls(redis) - before - 2


def test_time_is_the_servers(redis_url):
    """The script takes no time from its caller."""
    command = WINDOW.call(keys=["k"], arguments=[1, 5, 1_000_000, 0])

    assert b"redis.call('TIME')" in WINDOW.in_full(command.packed)


@pytest.mark.slow
@pytest.mark.parametrize("servers", ["own_sentinels", "own_cluster"])
def test_sentinels_and_clusters_count_as_one_server_does(request, serve, servers):
    """In a cluster the clients are spread over the nodes, whatever braces a route has."""
    running = request.getfixturevalue(servers)
    client = serve(
        REDIS_URL=running.url, RATELIMIT_ROUTES="GET /api/things/{id}=2/minute", REDIS_TIMEOUT=5
    )

    def get(number: int) -> int:
        peer = {"REMOTE_ADDR": f"192.0.2.{number}"}
        status: int = client.get("/api/things/1", environ_overrides=peer).status_code
        return status

    assert {(200, 200, 429)} == {tuple(get(number) for _ in range(3)) for number in range(20)}
    redis = get_redis(client.application)
    if isinstance(redis, RedisCluster):
        keys = redis.keys("*", target_nodes=RedisCluster.PRIMARIES)
        assert 20 == len(keys)
        assert 10 < len({key_slot(key) for key in keys if isinstance(key, bytes)})


@pytest.mark.slow
def test_800_requests_at_once_find_a_limit_of_100_in_a_service(own_redis, tmp_path):
    """Exactly 100 are admitted, with the settings as they are by default."""
    settings = {
        "PEGBOARD_ENV": "development",
        "PEGBOARD_PLUGINS": "ratelimit",
        "DATABASE_URL": f"sqlite:///{tmp_path}/rules.db",
        "WORKERS": "4",
        "REDIS_URL": own_redis.url,
        "PEGBOARD_RATELIMIT_DEFAULT": "100/minute",
    }
    upgraded = run_pegboard("db", "upgrade", directory=tmp_path, **settings)
    assert 0 == upgraded.returncode, upgraded.stdout
    with LiveServer(**settings) as server:
        start = threading.Barrier(100)

        def ask(_: int) -> list[int]:
            start.wait()
            return [server.request("GET", "/x", timeout=30)[0] for _ in range(8)]

        with ThreadPoolExecutor(100) as pool:
            statuses = [status for found in pool.map(ask, range(100)) for status in found]

    assert {404: 100, 429: 700} == Counter(statuses)


@pytest.mark.slow
def test_deployments_on_one_redis_are_told_apart_by_their_prefix(serve, redis_url):
    """Those of one prefix share counts, those of another do not; keys begin with it."""
    clients = [
        serve(REDIS_URL=redis_url, RATELIMIT_DEFAULT="1/minute", **config)
        for config in ({}, {"RATELIMIT_PREFIX": "pegboard"}, {"RATELIMIT_PREFIX": "shop.two"})
    ]
    statuses = [client.get("/api/things/").status_code for client in clients]
    with Redis.from_url(redis_url) as redis:
        keys = {key.decode() for key in redis.scan_iter()}

    assert [200, 429, 200] == statuses
    name = "ratelimit:d.default:127.0.0.1"
    assert {f"pegboard:{name}", f"shop.two:{name}"} == keys


def test_no_rule_and_client_have_the_key_of_others():
    """Whatever colons and braces a route is written with."""
    storage, limit = RedisStorage("pegboard"), Limit((Policy(1, 60),))
    asked = [
        *(("s./a", "2001:db8::/64"), ("s./a:2001", "db8::/64")),
        *(("s./{a}", "192.0.2.1"), ("s./(a)", "192.0.2.1")),
    ]
    keys = {storage.counter(rule, limit).prepare(client).key for rule, client in asked}

    assert 4 == len(keys)
    assert not any(b"{" in key for key in keys)

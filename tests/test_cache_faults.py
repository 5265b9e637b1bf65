"""The assembled service while Redis has faults: bounded, never stale, and soon caching again."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import count
from typing import Any, NamedTuple

import psutil
import psycopg2
import pytest
from redis import Redis

from pegboard.testing.fixtures import StartService
from pegboard.testing.holds import Hold
from pegboard.testing.processes import wait_until
from pegboard.testing.proxy import RedisProxy
from pegboard.testing.servers import PostgresServer, RedisServer
from pegboard.testing.services import LiveServer

# Where a subset of the plugins is tested, this one may be missing.
RELEASE = pytest.importorskip("pegboard_cache_redis.cache.scripts").RELEASE

pytestmark = pytest.mark.slow

ITEM = "/api/items/1"
PAUSE = 1.0
"""Seconds for which no request of a process asks a server that did not answer."""

BACK_WITHIN = 10.0
ACKNOWLEDGED_WITHIN = 2.5

versions = count(1)


class Answer(NamedTuple):
    """What a client is told of the item."""

    name: str
    how: str


@pytest.fixture
def proxy(own_redis: RedisServer) -> Iterator[RedisProxy]:
    """What stands between the services and the test's own Redis."""
    with RedisProxy(own_redis.url) as proxy:
        yield proxy


@pytest.fixture
def redis(own_redis: RedisServer) -> Iterator[Redis]:
    """A client that goes past the proxy."""
    with closing(Redis.from_url(own_redis.url)) as client:
        yield client


@pytest.fixture
def start(live_server: StartService, postgres_url: str, proxy: RedisProxy) -> StartService:
    """Start services on one database and, through the proxy, one Redis."""

    def run(*, upgrade: bool = True, **settings: Any) -> LiveServer:
        defaults = {
            "DATABASE_URL": postgres_url,
            "REDIS_URL": proxy.url,
            "PEGBOARD_PLUGINS": "items,cache_redis",
            "PEGBOARD_CACHE_STATUS_HEADER": "true",
            "PEGBOARD_LOG_LEVEL": "WARNING",
        }
        return live_server(upgrade=upgrade, **{**defaults, **settings})

    return run


@pytest.fixture
def service(start: StartService) -> LiveServer:
    """A service that has cached its item."""
    service = start()
    assert 201 == service.request("POST", "/api/items/", {"name": "first"})[0]
    wait_until_it_caches(service)
    return service


@pytest.fixture
def other(start: StartService, service: LiveServer) -> LiveServer:
    """Another service on the same database and Redis, which has the item from the cache."""
    other = start(upgrade=False)
    wait_until_it_caches(other)
    return other


def read(service: LiveServer) -> Answer:
    """Read the item."""
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.request("GET", ITEM)
        response = connection.getresponse()
        body = response.read().decode()
        assert 200 == response.status, body
        return Answer(body.split('"name":"')[1].split('"')[0], response.headers["Cache-Status"])


def write(service: LiveServer, name: str) -> int:
    """Save the item under a name; returns the status."""
    return service.request("PUT", ITEM, {"name": name}, timeout=30)[0]


def assert_fenced(service: LiveServer, name: str) -> None:
    """Find the item under that name, and that nobody may cache it."""
    found, how = read(service)
    assert name == found
    assert how.endswith("detail=fenced")


def wait_until_it_caches(service: LiveServer) -> None:
    """Wait until the item comes from the cache again; that is soon."""
    wait_until(lambda: "hit" in read(service).how, "caching is back", BACK_WITHIN)


@contextmanager
def killed(redis: RedisServer, _client: Redis, _proxy: RedisProxy) -> Iterator[None]:
    """Nobody listens; then it is empty."""
    redis.kill()
    yield
    redis.start()


@contextmanager
def restored(redis: RedisServer, _client: Redis, _proxy: RedisProxy) -> Iterator[None]:
    """It comes back with what it held when the item had its first name."""
    snapshot = redis.snapshot()
    yield
    redis.kill()
    redis.restore(snapshot)
    redis.start()


@contextmanager
def suspended(redis: RedisServer, _client: Redis, _proxy: RedisProxy) -> Iterator[None]:
    """It answers nothing, and executes everything when it goes on."""
    with redis.suspended():
        yield


@contextmanager
def slowed(_redis: RedisServer, _client: Redis, proxy: RedisProxy) -> Iterator[None]:
    """Each reply takes 200 ms."""
    proxy.delay = 0.2
    yield
    proxy.delay = 0.0


@contextmanager
def read_only(_redis: RedisServer, client: Redis, _proxy: RedisProxy) -> Iterator[None]:
    """It has become a replica."""
    client.replicaof("127.0.0.1", "1")
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def full(_redis: RedisServer, client: Redis, _proxy: RedisProxy) -> Iterator[None]:
    """It has no memory for anything."""
    client.config_set("maxmemory", 1)
    yield
    client.config_set("maxmemory", 0)


@contextmanager
def flushed(_redis: RedisServer, client: Redis, _proxy: RedisProxy) -> Iterator[None]:
    """It has lost everything at once."""
    client.flushall()
    yield


@pytest.mark.parametrize(
    "fault",
    [killed, restored, suspended, slowed, read_only, full, flushed],
    ids=lambda f: f.__name__,
)
def test_a_fault_of_redis(
    service: LiveServer,
    other: LiveServer,
    own_redis: RedisServer,
    redis: Redis,
    proxy: RedisProxy,
    fault: Callable[..., Any],
):
    """No request fails, hardly one pays, nothing is stale, and caching comes back."""
    services = (service, other)
    with fault(own_redis, redis, proxy):
        began = time.monotonic()
        assert {200} == {service.request("GET", ITEM)[0] for _ in range(100)}
        assert {200} == {other.request("GET", ITEM)[0] for _ in range(100)}
        name = f"version {next(versions)}"
        assert 200 == write(service, name)
        assert {name} == {read(one).name for one in services for _ in range(20)}
        took = time.monotonic() - began
    assert {name} == {read(one).name for one in services for _ in range(20)}
    for one in services:
        wait_until_it_caches(one)
        assert name == read(one).name
    # Each time that a request finds out, one line says so.
    for one in services:
        assert one.output.count("Redis is unavailable") <= 1 + took / PAUSE


@pytest.fixture
def hold(proxy: RedisProxy, service: LiveServer, other: LiveServer) -> Iterator[Hold]:
    """What catches the next writer between its commit and the release of its fence."""
    # The first write has made the server know the script.
    assert 200 == write(service, "second")
    wait_until_it_caches(other)
    digest = RELEASE.call(keys=["key"]).packed.split(b"\r\n")[4]
    with proxy.hold_commands(digest) as hold:
        yield hold


def test_redis_is_killed_between_commit_and_release(
    service: LiveServer, other: LiveServer, own_redis: RedisServer, hold: Hold
):
    """The write is acknowledged soon, and every later read is new."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, service, "new")
        hold.wait()
        began = time.monotonic()
        own_redis.kill()
        assert 200 == writing.result(30)
        assert time.monotonic() - began < ACKNOWLEDGED_WITHIN
    assert {"new"} == {read(one).name for one in (service, other) for _ in range(20)}
    own_redis.start()
    wait_until_it_caches(other)
    assert {"new"} == {read(one).name for one in (service, other) for _ in range(20)}


@pytest.fixture
def patient(start: StartService, service: LiveServer) -> LiveServer:
    """A service that waits for Redis for a long time."""
    patient = start(upgrade=False, PEGBOARD_REDIS_TIMEOUT="30")
    wait_until_it_caches(patient)
    return patient


def test_the_writer_is_killed_between_commit_and_release(
    patient: LiveServer, other: LiveServer, hold: Hold
):
    """The next read is new, and so is every later one; its fence still stands."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, patient, "new")
        hold.wait()
        for worker in psutil.Process(patient.pid).children():
            worker.kill()
        with suppress(OSError, HTTPException):
            writing.result(30)
        assert_fenced(other, "new")
    hold.drop()
    assert_fenced(other, "new")


def test_the_writer_is_killed_and_its_release_comes_late(
    patient: LiveServer, other: LiveServer, hold: Hold
):
    """What it had sent is executed after its end."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, patient, "new")
        hold.wait()
        for worker in psutil.Process(patient.pid).children():
            worker.kill()
        with suppress(OSError, HTTPException):
            writing.result(30)
    hold.release()
    wait_until_it_caches(other)
    assert "new" == read(other).name


def test_the_writer_is_killed_and_redis_forgets_its_fence(
    patient: LiveServer, other: LiveServer, hold: Hold, redis: Redis
):
    """Who fills now has read after the commit."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, patient, "new")
        hold.wait()
        for worker in psutil.Process(patient.pid).children():
            worker.kill()
        redis.flushall()
        with suppress(OSError, HTTPException):
            writing.result(30)
        assert "new" == read(other).name
    wait_until_it_caches(other)
    assert "new" == read(other).name


def test_a_hundred_reads_at_expiry_are_one_statement_for_each_process(
    own_postgres: PostgresServer, start: StartService, redis: Redis, own_redis: RedisServer
):
    """Even while the database is slow: those who come later wait for those who ask."""
    # A busy machine is no fault of Redis.
    settings = {"REDIS_URL": own_redis.url, "PEGBOARD_REDIS_TIMEOUT": "5"}
    services = [
        start(upgrade=number == 0, DATABASE_URL=own_postgres.url, **settings) for number in range(2)
    ]
    assert 201 == services[0].request("POST", "/api/items/", {"name": "first"})[0]
    for service in services:
        wait_until_it_caches(service)
    with closing(psycopg2.connect(own_postgres.url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("ALTER SYSTEM SET log_statement = 'all'")
        cursor.execute("SELECT pg_reload_conf()")
        wait_until(lambda: is_logging(own_postgres, cursor), "statements are logged")
        before = statements(own_postgres)
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE items")
        redis.delete(*redis.keys("pb:*{items%3Aview.*:1"))
        with ThreadPoolExecutor(100) as pool:
            reading = [pool.submit(read, services[number % 2]) for number in range(100)]
            wait_until(lambda: statements(own_postgres) > before, "the first asks")
            time.sleep(0.3)  # until the other process has given up waiting for the first
            cursor.execute("ROLLBACK")
            assert {"first"} == {one.result().name for one in reading}
    assert 1 <= statements(own_postgres) - before <= 2


def is_logging(postgres: PostgresServer, cursor: Any) -> bool:
    """Say whether the server writes down the statements that it executes."""
    cursor.execute("SELECT 'written down'")
    return "SELECT 'written down'" in postgres.output


def statements(postgres: PostgresServer) -> int:
    """Return how often the item was asked for."""
    return postgres.output.count("WHERE items.id = 1")


def test_a_database_that_hangs_is_no_slower_to_find_out(
    own_postgres: PostgresServer, start: StartService
):
    """Nobody waits for the cache's state and then for the database as well."""
    service = start(DATABASE_URL=own_postgres.url)
    assert 201 == service.request("POST", "/api/items/", {"name": "first"})[0]
    wait_until_it_caches(service)
    with own_postgres.suspended(), ThreadPoolExecutor(16) as pool:
        time.sleep(3)  # until the state is no longer trusted
        began = time.monotonic()
        reading = [pool.submit(service.request, "GET", ITEM) for _ in range(16)]
        assert {503} == {one.result()[0] for one in reading}
        assert time.monotonic() - began < 3
    wait_until(lambda: 200 == service.request("GET", ITEM)[0], "the database is back")

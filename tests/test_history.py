"""No client reads an older value than one it was told is saved, whatever happens to Redis.

Writers and readers use several real services at once while faults strike. Everything they see is
recorded with the time of one clock; a checker then looks for a read that is older than what was
acknowledged before it began. The same checker convicts a strategy that is known to be wrong.
"""

import json
import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Self

import psutil
import psycopg2
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import wait_until
from pegboard.testing.servers import RedisServer
from pegboard.testing.services import LiveServer

pytestmark = pytest.mark.slow
logger = logging.getLogger(__name__)

ITEMS = "/api/items/"
KEYS = (1, 2, 3, 4)
CREATED, DELETED, RENAMED = TOTALS = (11, 12, 13)
"""Keys that stand for totals: of items that are created, deleted, or given another name."""

STOCK = 2000
"""How many items there are to delete, and how many to rename."""
REMARKS = "/api/remarks/"
LISTED = "/api/listed/"
"""The same items, whose lists are cached whole."""

READERS = 6
SERVICES = 2
SECONDS = float(os.environ.get("PEGBOARD_TEST_HISTORY_SECONDS", "0"))
"""For how long faults strike; 0 means that each strikes once."""

SEED = int(os.environ.get("PEGBOARD_TEST_HISTORY_SEED", "3"))


@dataclass(frozen=True, slots=True)
class Write:
    """A version that a client asked to save."""

    key: int
    version: int
    """Of a total: how many writes at least have changed it."""
    began: float
    acknowledged: float | None
    """None when the client does not know what came of it."""


@dataclass(frozen=True, slots=True)
class Read:
    """A version that a client was given."""

    key: int
    version: int
    began: float
    ended: float
    service: int
    is_hit: bool


@dataclass
class History:
    """What all clients saw; each key has one writer at a time, whose versions count up."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def stale_reads(self) -> list[tuple[Write, Read]]:
        """Return the reads that are older than a write acknowledged before they began."""
        return [pair for key in {read.key for read in self.reads} for pair in self._stale(key)]

    def _stale(self, key: int) -> Iterator[tuple[Write, Read]]:
        writes = sorted(
            (one for one in self.writes if one.key == key and one.acknowledged is not None),
            key=lambda one: one.acknowledged or 0.0,
        )
        highest: Write | None = None
        position = 0
        for read in sorted((one for one in self.reads if one.key == key), key=lambda r: r.began):
            while position < len(writes):
                write = writes[position]
                assert write.acknowledged is not None
                if write.acknowledged >= read.began:
                    break
                if highest is None or write.version > highest.version:
                    highest = write
                position += 1
            if highest is not None and read.version < highest.version:
                yield highest, read


class Client:
    """One thread's kept-alive connections to the services."""

    def __init__(self, services: Sequence[LiveServer], remarked: Collection[int]) -> None:
        self._remarked = remarked
        self._used: Counter[int] = Counter()
        self._connections = [HTTPConnection("127.0.0.1", one.port, timeout=30) for one in services]

    def save(self, service: int, key: int, version: int) -> int:
        """Write a version; returns the status."""
        name: object = {"name": name_of(version)}
        if key == CREATED:
            # One alone, or in an array.
            name = {"name": "created"}
            method, path = "POST", f"{ITEMS}{'bulk' if version % 2 else ''}"
            return self._request(service, method, path, [name] if version % 2 else name)[0]
        if key in {DELETED, RENAMED}:
            method = "DELETE" if key == DELETED else "PUT"
            number = stocked(key) + self._used[key]
            self._used[key] += 1
            body = None if key == DELETED else name
            return self._request(service, method, f"{ITEMS}{number}", body)[0]
        path = REMARKS if key in self._remarked else ITEMS
        return self._request(service, "PUT", f"{path}{key}", name)[0]

    def version(self, service: int, key: int, *, is_listed: bool) -> tuple[int, int, bool]:
        """Read a version; returns the status, the version, and whether it was cached.

        With `is_listed` it is read from a list that is cached whole, if it is of items.
        """
        if key not in TOTALS and (key in self._remarked or not is_listed):
            path = REMARKS if key in self._remarked else ITEMS
            status, body, headers = self._request(service, "GET", f"{path}{key}")
            is_hit = headers.get("Cache-Status", "").startswith("pegboard; hit")
            name = json.loads(body)["name"] if status == HTTPStatus.OK else name_of(0)
            return status, int(name.removeprefix("version ")), is_hit
        path = LISTED if is_listed else ITEMS
        query = f"?page_size=1&name={NAMES[key]}" if key in TOTALS else f"?page={key}&page_size=1"
        status, body, headers = self._request(service, "GET", f"{path}{query}")
        if status != HTTPStatus.OK:
            return status, 0, False
        is_hit = headers.get("Cache-Status", "").startswith("pegboard; hit")
        if key not in TOTALS:
            return status, int(json.loads(body)[0]["name"].removeprefix("version ")), is_hit
        found = json.loads(headers["X-Pagination"])["total"]
        return status, found if key == CREATED else STOCK - found, is_hit

    def _request(
        self, service: int, method: str, path: str, body: object = None
    ) -> tuple[int, bytes, Message]:
        connection = self._connections[service]
        text, headers = None, {}
        if body is not None:
            text, headers = json.dumps(body), {"Content-Type": "application/json"}
        try:
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()


NAMES = {CREATED: "created", DELETED: "deleted", RENAMED: "renamed"}
"""The names of the items that make up the totals."""


def stocked(key: int) -> int:
    """Return the first number of the items that are there to be deleted, or renamed."""
    return 1_000_000 * TOTALS.index(key)


def name_of(version: int) -> str:
    """Return the name of an item of that version."""
    return f"version {version}"


class Load:
    """Clients that write and read all the time, until told to stop.

    Of the keys in `remarked` they write and read what refers to the item, not the item itself.
    With `has_lists` they also read from lists that are cached whole.
    """

    def __init__(
        self,
        services: Sequence[LiveServer],
        remarked: Collection[int] = (),
        *,
        has_lists: bool = False,
    ) -> None:
        self.history = History()
        self.longest_pause = 0.2
        """Seconds between two writes of a key at most."""
        self._has_lists = has_lists
        self._services = services
        self._remarked = remarked
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(key, random.Random(SEED + key)))
            for key in (*KEYS, *TOTALS)
        ] + [
            threading.Thread(target=self._read, args=(random.Random(-SEED - number),))
            for number in range(READERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def _write(self, key: int, chance: random.Random) -> None:
        version = 0
        acknowledged: float | None = time.monotonic()
        with closing(Client(self._services, self._remarked)) as client:
            while not self._stopped.wait(chance.uniform(0, self.longest_pause)):
                # Whether a write has changed a total is unknown if it was not acknowledged.
                version += key not in TOTALS or acknowledged is not None
                began = time.monotonic()
                acknowledged = None
                try:
                    status = client.save(chance.randrange(len(self._services)), key, version)
                except (OSError, HTTPException) as error:
                    self.history.failures[f"write: {type(error).__name__}"] += 1
                else:
                    if status < HTTPStatus.MULTIPLE_CHOICES:
                        acknowledged = time.monotonic()
                    else:
                        self.history.failures[f"write: {status}"] += 1
                self.history.writes.append(Write(key, version, began, acknowledged))

    def _read(self, chance: random.Random) -> None:
        with closing(Client(self._services, self._remarked)) as client:
            while not self._stopped.wait(chance.uniform(0, 0.01)):
                key = chance.choice((*KEYS, *TOTALS))
                service = chance.randrange(len(self._services))
                began = time.monotonic()
                try:
                    is_listed = self._has_lists and chance.random() < 1 / 2
                    status, version, is_hit = client.version(service, key, is_listed=is_listed)
                except (OSError, HTTPException) as error:
                    self.history.failures[f"read: {type(error).__name__}"] += 1
                    continue
                ended = time.monotonic()
                if status == HTTPStatus.OK:
                    self.history.reads.append(Read(key, version, began, ended, service, is_hit))
                else:
                    self.history.failures[f"read: {status}"] += 1


class Faults:
    """What strikes: each method is one fault, over when it returns."""

    def __init__(self, redis: RedisServer, services: Sequence[LiveServer], chance: random.Random):
        self._redis = redis
        self._services = services
        self._chance = chance
        self._snapshot = redis.snapshot()

    def kill_redis(self) -> None:
        """Restart empty."""
        self._redis.kill()
        self._pass(1)
        self._redis.start()

    def suspend_redis(self) -> None:
        """Hang, and then execute late what nobody waits for any more."""
        with self._redis.suspended():
            self._pass(3)

    def flush_redis(self) -> None:
        """Lose values, leases and fences at once, ten times."""
        with self._client() as client:
            for _ in range(10):
                client.flushall()
                self._pass(0.1)

    def evict(self) -> None:
        """Lose any of them at any time."""
        with self._client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 2**17)
            for number in range(2000):
                with suppress(ResponseError):  # nothing is left to evict
                    client.set(f"filler:{number}", "x" * 1000)
            client.config_set("maxmemory", 0)
            client.delete(*(f"filler:{number}" for number in range(2000)))

    def fill_memory(self) -> None:
        """Refuse what needs memory."""
        with self._client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            self._pass(2)
            client.config_set("maxmemory", 0)

    def make_replica(self) -> None:
        """Refuse to write, as a master that was deposed."""
        with self._client() as client:
            client.replicaof("127.0.0.1", "1")
            self._pass(2)
            client.replicaof("NO", "ONE")

    def restore_snapshot(self) -> None:
        """Come back with what was there a while ago."""
        self._redis.kill()
        self._redis.restore(self._snapshot)
        self._redis.start()
        self._pass(1)
        self._snapshot = self._redis.snapshot()

    def kill_worker(self) -> None:
        """Leave fences and leases that nobody lifts."""
        service = self._chance.choice(self._services)
        workers = psutil.Process(service.pid).children()
        self._chance.choice(workers).kill()
        wait_until(
            lambda: len(psutil.Process(service.pid).children()) == len(workers), "a new worker"
        )

    def cut_connections(self) -> None:
        """Close every connection to Redis, ten times."""
        with self._client() as client:
            for _ in range(10):
                client.client_kill_filter(_type="normal", skipme=True)
                self._pass(0.1)

    def _client(self) -> "closing[Redis]":
        return closing(Redis.from_url(self._redis.url, socket_timeout=10))

    @staticmethod
    def _pass(seconds: float) -> None:
        """Let clients meet the fault for a while."""
        time.sleep(seconds)


FAULTS = (
    Faults.kill_redis,
    Faults.suspend_redis,
    Faults.flush_redis,
    Faults.evict,
    Faults.fill_memory,
    Faults.make_replica,
    Faults.restore_snapshot,
    Faults.kill_worker,
    Faults.cut_connections,
)
BACK_WITHIN = 10.0
"""Seconds after a fault within which every service caches again."""

ENOUGH_HITS = 20


def is_caching(history: History, since: float) -> bool:
    """Say whether every service has given a number of hits since a moment."""
    hits: Counter[int] = Counter()
    for read in reversed(history.reads):
        if read.ended < since:
            return False
        hits[read.service] += read.is_hit
        if all(hits[service] > ENOUGH_HITS for service in range(SERVICES)):
            return True
    return False


def strike(faults: Faults, history: History) -> dict[str, float]:
    """Let every fault strike in a random but repeatable order; returns how long each lasted on."""
    chance = random.Random(SEED)
    lasting: dict[str, float] = {}
    deadline = time.monotonic() + SECONDS
    while True:
        for fault in chance.sample(FAULTS, len(FAULTS)):
            fault(faults)
            over = time.monotonic()
            wait_until(
                lambda: is_caching(history, over),  # noqa: B023 - called at once
                f"caching is back after {fault.__name__}",
                BACK_WITHIN,
            )
            took = time.monotonic() - over
            lasting[fault.__name__] = max(took, lasting.get(fault.__name__, 0.0))
            if SECONDS and time.monotonic() > deadline:
                return lasting
        if time.monotonic() > deadline:
            return lasting


@pytest.fixture
def start_services(
    postgres_url: str, own_redis: RedisServer, live_server: StartService
) -> Callable[..., list[LiveServer]]:
    """Start services of two workers each on one database, with the items that clients use."""

    def start(**settings: str) -> list[LiveServer]:
        settings = {
            "DATABASE_URL": postgres_url,
            "REDIS_URL": own_redis.url,
            "WORKERS": "2",
            "PEGBOARD_LOG_LEVEL": "WARNING",
            "PEGBOARD_CACHE_STATUS_HEADER": "true",
            **settings,
        }
        services = [live_server(upgrade=number == 0, **settings) for number in range(SERVICES)]
        for _ in KEYS:
            assert 201 == services[0].request("POST", ITEMS, {"name": name_of(0)})[0]
        with closing(psycopg2.connect(postgres_url)) as connection, connection:
            for key in (DELETED, RENAMED):
                rows = (NAMES[key], stocked(key), stocked(key) + STOCK - 1)
                connection.cursor().execute(STOCKING, rows)
        return services

    return start


STOCKING = """
INSERT INTO items (id, name) SELECT number, %s FROM generate_series(%s, %s) AS number
"""

REMARKED = (3, 4)
"""The items of which remarks are written; the others are written themselves."""

REMARKS_TABLE = """
CREATE TABLE remarks (id integer PRIMARY KEY, item_id integer, name text NOT NULL);
INSERT INTO remarks VALUES (3, 3, 'version 0'), (4, 4, 'version 0'), (7, NULL, ''), (8, NULL, '');
"""
REMARKS_PLUGIN = """
from flask import Blueprint, request
from marshmallow import Schema, fields
from pegboard.resources import Filter, Operation
from pegboard_items import Item
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, select, update

remarks = Table(
    "remarks",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("item_id", ForeignKey(Item.id)),
    Column("name", String),
)
blueprint = Blueprint("remarks", __name__, url_prefix="/api/remarks")


@blueprint.get("/<int:item_id>")
@pegboard.cached(Item, ttl=300, name="remark", depends=remarks.c.item_id)
def show(item_id):
    name = select(remarks.c.name).where(remarks.c.item_id == item_id)
    return {"name": pegboard.db.session.execute(name).scalar_one()}


@blueprint.put("/<int:item_id>")
def replace(item_id):
    name = request.get_json()["name"]
    is_odd = int(name.split()[-1]) % 2
    old, new = (item_id, item_id + 4) if is_odd else (item_id + 4, item_id)
    for key, values in ((old, {"item_id": None}), (new, {"item_id": item_id, "name": name})):
        pegboard.db.session.execute(update(remarks).where(remarks.c.id == key).values(values))
    pegboard.db.session.commit()
    return {"name": name}


class ListedSchema(Schema):
    name = fields.String()


listed = pegboard.Resource(
    "listed",
    __name__,
    Item,
    ListedSchema,
    noun="listed item",
    operations={Operation.LIST},
    filters=[Filter(Item.name)],
    list_ttl=300,
)


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint, listed.blueprint]
"""
"""A plugin whose answers about an item are the remark that refers to it, of two that take turns."""


def test_no_read_is_older_than_what_was_acknowledged(
    start_services: Callable[..., list[LiveServer]],
    own_redis: RedisServer,
    plugin_folder: PluginFolder,
    postgres_url: str,
):
    """Whatever strikes in the middle of it; of items, of what refers to them, and of totals."""
    plugin_folder.add("remarks", REMARKS_PLUGIN)
    with closing(psycopg2.connect(postgres_url)) as connection, connection:
        connection.cursor().execute(REMARKS_TABLE)
    services = start_services(
        PEGBOARD_PLUGINS="items,cache_redis,remarks", PYTHONPATH=str(plugin_folder.path)
    )
    with Load(services, REMARKED, has_lists=True) as load:
        wait_until(lambda: is_caching(load.history, 0.0), "caching")
        lasting = strike(Faults(own_redis, services, random.Random(SEED)), load.history)
        load.longest_pause = 5.0  # a busy machine caches a total between two writes, too
        wait_until(
            lambda: {*KEYS, *TOTALS} == {read.key for read in [*load.history.reads] if read.is_hit},
            "each key is cached at times",
        )
    report(load.history, lasting)
    assert [] == load.history.stale_reads()
    with closing(Redis.from_url(own_redis.url)) as client:
        assert client.keys("*{items%3A%3Aitems.0}:total/*")
    # A worker that is killed takes its requests with it, and nothing else may fail.
    assert [] == [failure for failure in load.history.failures if failure[-3:].isdigit()]


BROKEN = """
import time

from pegboard.cache import Lease, Miss
from pegboard.redis import get_redis


class DeleteAfterCommit:
    name = "broken"

    def __init__(self, app):
        self._redis = get_redis(app)

    def look_up(self, key):
        return self._redis.get(key.name) or Miss("miss")

    def lease(self, key):
        return Lease(key, "")

    def fill(self, lease, value, ttl):
        time.sleep(0.01)
        return self._redis.set(lease.key.name, value, ex=ttl)

    def fence(self, touched, transaction):
        return touched

    def release(self, touched, transaction):
        if touched.keys:
            self._redis.delete(*(key.name for key in touched.keys))
        return 0.0

    def give_back(self, lease):
        pass

    def abandon(self, fence):
        pass

    def clear(self, group=None):
        self._redis.flushdb()

    def stats(self):
        return {}


@pegboard.hookimpl
def pegboard_cache_strategy(app):
    return DeleteAfterCommit(app)
"""


def test_the_checker_convicts_deletion_after_commit(
    start_services: Callable[..., list[LiveServer]], plugin_folder: PluginFolder
):
    """With no fault at all: a slow reader fills after the deletion."""
    plugin_folder.add("broken", BROKEN)
    services = start_services(PEGBOARD_PLUGINS="items,broken", PYTHONPATH=str(plugin_folder.path))
    with Load(services) as load:
        wait_until(lambda: bool(load.history.stale_reads()), "a stale read")


def report(history: History, lasting: dict[str, float]) -> None:
    """Log the stats; `-o log_cli=true -o log_cli_level=INFO` shows them."""
    saved = [one.acknowledged - one.began for one in history.writes if one.acknowledged is not None]
    taken = [read.ended - read.began for read in history.reads]
    hits = sum(read.is_hit for read in history.reads)
    logger.info("%d reads, %d of them hits, the slowest %.3f s", len(taken), hits, max(taken))
    logger.info("%d writes, %d acknowledged", len(history.writes), len(saved))
    logger.info("the slowest write %.3f s; failures %s", max(saved), dict(history.failures))
    logger.info(
        "caching was back after %s", {name: round(took, 1) for name, took in lasting.items()}
    )

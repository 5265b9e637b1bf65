"""What these tests share: a plugin that does what a test wants, a clock, the row of the state."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib.util import find_spec
from threading import Event
from typing import Any

import pytest
from flask import Blueprint, Flask, jsonify
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import select, update
from werkzeug.test import TestResponse

import pegboard
from pegboard.redis import get_channel
from pegboard_cache_redis.cache.epoch import EpochStore
from pegboard_cache_redis.models import table

pytest_plugins = ["pegboard.testing.fixtures"]

# These look at what is cached of items.
WITH_ITEMS = ["test_faults.py", "test_migrations.py", "test_planted.py"]
collect_ignore = [] if find_spec("pegboard_items") else WITH_ITEMS

PATIENCE = 60
Action = Callable[[], Any]


class Desk:
    """A plugin with one view, which runs what the test hands over."""

    name = "desk"

    def __init__(self) -> None:
        self._action: dict[str, Action] = {}

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Serve `/desk/NUMBER`."""
        blueprint = Blueprint("desk", __name__)
        blueprint.add_url_rule(
            "/desk/<number>", "run", lambda number: jsonify(self._action[number]())
        )
        return [blueprint]

    def run(self, client: FlaskClient, action: Action) -> TestResponse:
        """Let a client's request run the action; what it returns is the JSON of the answer."""
        number = str(len(self._action))
        self._action[number] = action
        return client.get(f"/desk/{number}")

    @contextmanager
    def under_way(
        self, client: FlaskClient, first: Action, then: Action
    ) -> Iterator[Future[TestResponse]]:
        """Hold a request between two actions, for as long as the block lasts."""
        reached, released = Event(), Event()

        def action() -> Any:
            first()
            reached.set()
            assert released.wait(PATIENCE)
            return then()

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(self.run, client, action)
            assert reached.wait(PATIENCE)
            try:
                yield future
            finally:
                released.set()
                future.exception(PATIENCE)


@pytest.fixture
def desk() -> Desk:
    """The plugin that runs the test's actions."""
    return Desk()


@pytest.fixture
def app(make_app: Any, desk: Desk, redis_url: str) -> Flask:
    """An app with cache_redis and the desk."""
    # A busy machine is no fault of Redis.
    patience = {"REDIS_TIMEOUT": 5}
    app: Flask = make_app(plugins=["cache_redis", desk], REDIS_URL=redis_url, **patience)
    return app


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of the server, as an operator or an intruder has one."""
    with closing(Redis.from_url(redis_url)) as client:
        yield client


@pytest.fixture
def twin(app: Flask) -> Callable[[FlaskClient], FlaskClient]:
    """Make a client that shows the same cookie as another."""

    def make(client: FlaskClient) -> FlaskClient:
        other = app.test_client()
        if cookie := client.get_cookie("session"):
            other.set_cookie("session", cookie.value)
        return other

    return make


@pytest.fixture
def round_trips(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands each round trip to Redis had, while the test lasts."""
    counted: list[int] = []
    channel = get_channel(app)
    assert channel
    exchange = channel.exchange

    def count(commands: Any) -> Any:
        counted.append(len(commands))
        return exchange(commands)

    monkeypatch.setattr(channel, "exchange", count)
    return counted


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture
def new_epochs(app: Flask, clock: Clock) -> Callable[[], EpochStore]:
    """What another process knows, which is nothing yet."""
    with app.app_context():
        engine = pegboard.db.engine
    return lambda: EpochStore(engine, "pb:1", clock)


@pytest.fixture
def epochs(new_epochs: Callable[[], EpochStore]) -> EpochStore:
    """What one process knows, which is nothing yet."""
    return new_epochs()


def write_row(**values: object) -> None:
    """Write the row of `cache_state` as another process does."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(update(table).where(table.columns.id == 1).values(**values))


def read_row() -> tuple[int, bool, str]:
    """Return the row as the database has it."""
    columns = table.columns
    with pegboard.db.engine.connect() as connection:
        found = connection.execute(select(columns.epoch, columns.enabled, columns.servers)).one()
    return found[0], found[1], found[2]

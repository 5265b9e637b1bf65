"""Every subset of the first-party plugins: what is there, what is not, and that it works.

Each runs where nothing else is installed (the environments `py*-core*` that tox-pegboard makes).
"""

import os
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate
from sqlalchemy import inspect

import pegboard
from pegboard.cache import get_cache
from pegboard.stages import Stages
from pegboard.testing.fixtures import MakeApp, RunCLI
from pegboard.testing.proxy import RedisProxy

SUBSET = {entry.name for entry in entry_points(group="pegboard.plugins")}
"""The plugins that are installed here."""

HAS_ITEMS, HAS_CACHE, HAS_LIMITS = (
    name in SUBSET for name in ("items", "cache_redis", "ratelimit")
)
CURRENT = {"name": "Hammer", "description": None}

Make = Callable[..., Flask]


@pytest.fixture
def make(make_app: MakeApp, database_url: str) -> Make:
    """Build the app of all installed plugins, on SQLite and on PostgreSQL."""

    def make(**config: Any) -> Flask:
        return make_app(plugins=None, DATABASE_URL=database_url, **config)

    return make


@pytest.fixture
def app(make: Make, redis_url: str) -> Flask:
    """The app with Redis."""
    return make(REDIS_URL=redis_url)


def test_the_environment_has_what_its_name_says() -> None:
    """Nothing more and nothing less is installed."""
    named = os.environ.get("PEGBOARD_TEST_SUBSET")
    assert (SUBSET if named is None else set(named.split())) == SUBSET


@pytest.mark.slow
def test_all_that_is_installed_is_active(app: Flask) -> None:
    """Discovery finds each, and nothing is left out."""
    registry = pegboard.get_registry(app)
    assert (SUBSET, ()) == ({plugin.name for plugin in registry.plugins}, registry.skipped)


def test_tables_are_those_of_the_plugins(app: Flask) -> None:
    """Each brings its own and the table of its history; the core brings none."""
    owned = {"items": "items", "cache_redis": "cache_state", "ratelimit": "ratelimit_rules"}
    with app.app_context():
        found = {
            name
            for name in inspect(pegboard.db.engine).get_table_names()
            if name != "alembic_version_site"
        }

    owners = SUBSET & owned.keys()
    expected = {owned[name] for name in owners} | {f"alembic_version_{name}" for name in owners}
    assert expected == found


def test_commands_are_those_of_the_core_and_the_plugins(app: Flask, cli: RunCLI) -> None:
    """A plugin that is absent leaves no command."""
    help_text = cli("--help", app=app).output
    listed = {line.split()[0] for line in help_text.splitlines() if line.startswith("  ")}

    assert {"cache", "config", "db", "plugins", "serve"} <= listed
    assert (HAS_ITEMS, HAS_LIMITS) == ("items" in listed, "ratelimit" in listed)


def test_document_describes_what_is_there(app: Flask) -> None:
    """It is valid; paths, schemas and the answers of limits come with their plugins."""
    document = app.test_client().get("/openapi.json").get_json()

    validate(document)
    paths = document["paths"]
    assert HAS_ITEMS == ("/api/items/{item_id}" in paths)
    assert HAS_ITEMS == any(name.startswith("items.") for name in document["components"]["schemas"])
    if HAS_ITEMS:
        assert HAS_LIMITS == ("429" in paths["/api/items/"]["get"]["responses"])
    assert "429" not in paths["/health"]["get"]["responses"]


def test_answers_tell_limits_where_there_are_limits(app: Flask) -> None:
    """Also an answer to an unknown path; health is never limited."""
    client = app.test_client()
    answer = client.get("/api/items/" if HAS_ITEMS else "/nothing")

    assert (200 if HAS_ITEMS else 404) == answer.status_code
    assert HAS_LIMITS == ("RateLimit" in answer.headers)
    assert "RateLimit" not in client.get("/health").headers


def test_health_is_well(app: Flask) -> None:
    """Readiness has the checks of the active plugins."""
    answer = app.test_client().get("/health/ready")

    assert (200, "ready") == (answer.status_code, answer.get_json()["message"])
    assert HAS_ITEMS == ("items.table" in answer.get_json()["checks"])


def test_cache_is_the_best_there_is(app: Flask, database_url: str) -> None:
    """That of the plugin, else one in the process where it cannot be old, else none."""
    embedded = "memory" if database_url.startswith("sqlite") else "none"
    expected = "cache_redis" if HAS_CACHE else embedded
    assert expected == get_cache(app).strategy.name


def test_without_redis_it_serves_or_says_what_is_missing(make: Make) -> None:
    """Only cache_redis needs it, and names the ways out."""
    if HAS_CACHE:
        with pytest.raises(pegboard.StartupError) as caught:
            make()
        assert "cache_redis" in str(caught.value)
        assert "REDIS_URL" in str(caught.value)
        assert "PEGBOARD_CACHE" in str(caught.value)
    app = make(CACHE="memory", SESSIONS="cookie")
    answer = app.test_client().get("/api/items/" if HAS_ITEMS else "/nothing")

    assert HAS_LIMITS == ("RateLimit" in answer.headers)


@pytest.mark.skipif(not HAS_ITEMS, reason="without items there is no such route")
def test_items_are_written_and_read_back(app: Flask) -> None:
    """Created, cached or not, replaced, deleted: each read is of the last write."""
    client = app.test_client()
    path = client.post("/api/items/", json=CURRENT).headers["Location"]
    first = [client.get(path).get_json()["name"] for _ in range(3)]
    client.put(path, json={**CURRENT, "name": "Anvil"})
    second = [client.get(path).get_json()["name"] for _ in range(3)]
    client.delete(path)

    assert ["Hammer"] * 3 == first
    assert ["Anvil"] * 3 == second
    assert 404 == client.get(path).status_code


def test_a_request_takes_one_round_trip_at_most(make: Make, redis_proxy: RedisProxy) -> None:
    """What the cache and the limits want from Redis travels together; who wants none, takes none.

    A first request also opens a connection, and a miss asks for the right to fill.
    """
    client = make(REDIS_URL=redis_proxy.url, REDIS_TIMEOUT=5.0).test_client()
    if HAS_CACHE:
        # Nobody looks after the cache in the background, where connections are opened as well.
        strategy: Any = get_cache(client.application).strategy
        strategy._background._thread = threading.current_thread()
    path = "/nothing"
    if HAS_ITEMS:
        path = client.post("/api/items/", json=CURRENT).headers["Location"]
    answers = [client.get(path) for _ in range(2)]

    redis_proxy.round_trips.clear()
    answers.append(client.get(path))

    wanted = [
        *(["EVALSHA"] if HAS_LIMITS else []),
        *(["GETRANGE", "GETRANGE", "UNLINK"] if HAS_CACHE and HAS_ITEMS else []),
    ]
    assert ([wanted] if wanted else []) == redis_proxy.round_trips
    assert {200 if HAS_ITEMS else 404} == {answer.status_code for answer in answers}


@pytest.mark.skipif(not HAS_ITEMS, reason="it is about a resource")
def test_usual_requests_take_the_fast_path(
    make_app: MakeApp, postgres_url: str, redis_url: str
) -> None:
    """No plugin of ours stands in its way."""
    app = make_app(plugins=None, DATABASE_URL=postgres_url, REDIS_URL=redis_url)
    stages: Any = app.wsgi_app
    while not isinstance(stages, Stages):
        stages = stages.app
    take = stages.take_fast_path
    taken: list[Any] = []

    async def noting(*given: Any) -> Any:
        taken.append(await take(*given))
        return taken[-1]

    stages.take_fast_path = noting  # type: ignore[assignment, method-assign]
    client = app.test_client()
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/api/items/", CURRENT),
        ("GET", "/api/items/", None),
        ("GET", "/api/items/1", None),
        ("PUT", "/api/items/1", {**CURRENT, "name": "Saw"}),
        ("PATCH", "/api/items/1", {"name": "Axe"}),
        ("DELETE", "/api/items/1", None),
    ]
    statuses = [
        client.open(path, method=one, json=body).status_code for one, path, body in requests
    ]
    assert [201, 200, 200, 200, 200, 204] == statuses
    assert statuses == [None if answer is None else answer.status for answer in taken]

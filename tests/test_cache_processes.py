"""A cache in Redis beside commands and scripts of other processes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from pegboard.cache import get_cache
from pegboard.redis import get_redis
from pegboard.testing.services import clean_environment, run_pegboard

URL = "/api/items/1"
UPDATE = """
import pegboard
from pegboard_items import Item
with pegboard.create_app().app_context():
    pegboard.db.session.get(Item, 1).name = "Saw"
    pegboard.db.session.commit()
"""


@pytest.fixture
def settings(database_url: str, redis_url: str) -> dict[str, str]:
    """What all processes have in common."""
    return {
        "PEGBOARD_ENV": "development",
        "PEGBOARD_PLUGINS": "items,cache_redis",
        "SECRET_KEY": "the key of all processes, long enough",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
    }


@pytest.fixture
def client(make_app: Any, settings: dict[str, str]) -> FlaskClient:
    """A client of this process; an item is in the cache that all processes share."""
    config = {name.removeprefix("PEGBOARD_"): value for name, value in settings.items()}
    app = make_app(plugins=["items", "cache_redis"], CACHE_STATUS_HEADER=True, **config)
    client: FlaskClient = app.test_client()
    assert 201 == client.post("/api/items/", json={"name": "Hammer"}).status_code
    strategy: Any = get_cache(app).strategy
    strategy._activation.begin()
    client.get(URL)
    assert "hit" == told(client)
    return client


def told(client: FlaskClient) -> str:
    """How the next answer comes about."""
    return client.get(URL).headers["Cache-Status"].removeprefix("pegboard; ")


@pytest.fixture
def run(settings: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Run a command in another process."""

    def run(*arguments: str) -> str:
        done = run_pegboard(*arguments, directory=tmp_path, **settings)
        assert 0 == done.returncode, done.stdout
        return done.stdout

    return run


@pytest.mark.slow
def test_a_script_in_another_process_is_seen(
    client: FlaskClient, settings: dict[str, str], tmp_path: Path
) -> None:
    """As soon as it has committed."""
    command = [sys.executable, "-c", UPDATE]
    subprocess.run(command, cwd=tmp_path, env=clean_environment(settings), check=True)
    assert "Saw" == client.get(URL).get_json()["name"]
    assert "hit" == told(client)


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["pb", "other"])
def test_a_script_without_redis_is_seen(
    client: FlaskClient, settings: dict[str, str], tmp_path: Path, prefix: str
) -> None:
    """It turns caching off in its own transaction, whether or not it would make the same keys."""
    del settings["REDIS_URL"]
    settings |= {"PEGBOARD_CACHE": "none", "PEGBOARD_SESSIONS": "cookie"}
    settings["PEGBOARD_CACHE_REDIS_PREFIX"] = prefix
    command = [sys.executable, "-c", UPDATE]
    subprocess.run(command, cwd=tmp_path, env=clean_environment(settings), check=True)
    assert "Saw" == client.get(URL).get_json()["name"]


@pytest.mark.slow
def test_an_import_in_another_process_costs_nothing_but_itself(
    client: FlaskClient, run: Callable[..., str], tmp_path: Path
) -> None:
    """New items are there, and the answers about others stay."""
    (tmp_path / "items.jsonl").write_text(json.dumps({"name": "Saw"}) + "\n", encoding="utf-8")
    run("items", "import", "items.jsonl")
    assert "hit" == told(client)
    assert "Saw" == client.get("/api/items/2").get_json()["name"]


def total(client: FlaskClient) -> int:
    """The total of all items."""
    response = client.get("/api/items/?page_size=1")
    found: int = json.loads(response.headers["X-Pagination"])["total"]
    return found


@pytest.mark.slow
def test_a_total_is_exact_after_writes_of_other_processes(
    client: FlaskClient, run: Callable[..., str], tmp_path: Path
) -> None:
    """And is cached again by the next request."""
    assert [1, 1] == [total(client), total(client)]
    redis = get_redis(client.application)
    assert redis is not None
    with redis:
        [key] = redis.keys("*total/*")
        (tmp_path / "items.jsonl").write_text('{"name": "Saw"}\n' * 3, encoding="utf-8")
        run("items", "import", "items.jsonl")
        assert 4 == total(client)
        value = redis.get(key)
        assert 4 == total(client)
        assert value == redis.get(key)
        run("cache", "clear", "items")
        assert 4 == total(client)
        assert value != redis.get(key)


@pytest.mark.slow
def test_an_operator_clears_the_cache_from_another_process(
    client: FlaskClient, run: Callable[..., str]
) -> None:
    """Of one table; and sees the counts of all processes."""
    assert "cleared" in run("cache", "clear", "items")
    assert "fwd=miss; stored" == told(client)
    assert "hit" == told(client)
    stats = dict(line.split(maxsplit=1) for line in run("cache", "stats").splitlines())
    assert ("cache_redis", "True") == (stats["strategy"], stats["enabled"])
    assert {"hits", "misses", "fills", "fences"} <= set(stats)

"""The fixture `clock` moves what the plugins keep for a time, in the process and in Redis."""

from typing import Any

import pytest
from flask import session

from pegboard.testing.fixtures import Clock, MakeApp


@pytest.fixture(params=["process", "redis"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A configuration without Redis, and one with it."""
    if request.param == "process":
        return {"CACHE": "memory", "SESSIONS": "cookie"}
    urls = {"DATABASE_URL": "postgres_url", "REDIS_URL": "redis_url"}
    return {key: request.getfixturevalue(name) for key, name in urls.items()}


@pytest.mark.slow
def test_limits_count_anew(config: dict[str, Any], make_app: MakeApp, clock: Clock) -> None:
    """When the window is over, and not before."""
    app = make_app(plugins=["items", "ratelimit"], RATELIMIT_DEFAULT="2/hour", **config)
    client = app.test_client()
    found = []
    for seconds in (0, 0, 3000, 500, 700):
        clock.advance(seconds)
        found.append(client.get("/api/items/").status_code)
    assert [200, 200, 429, 429, 200] == found


@pytest.mark.slow
def test_a_sliding_window_slides(config: dict[str, Any], make_app: MakeApp, clock: Clock) -> None:
    """Each request counts for an hour of its own."""
    app = make_app(plugins=["items", "ratelimit"], RATELIMIT_DEFAULT="2/hour", **config)
    client = app.test_client()
    found = []
    for seconds in (0, 2000, 1900, 0):
        clock.advance(seconds)
        found.append(client.get("/api/items/").status_code)
    assert [200, 200, 200, 429] == found


@pytest.mark.slow
def test_cached_answers_are_looked_up_anew(
    config: dict[str, Any], make_app: MakeApp, clock: Clock
) -> None:
    """When the time is over for which the view caches them."""
    app = make_app(plugins=["items", "cache_redis"], CACHE_STATUS_HEADER=True, **config)
    client = app.test_client()
    path = client.post("/api/items/", json={"name": "Hammer"}).headers["Location"]
    found = []
    for seconds in (0, 0, 200, 101):
        clock.advance(seconds)
        found.append(client.get(path).headers["Cache-Status"].partition(";")[2].strip()[:5])
    assert ["fwd=m", "hit", "hit", "fwd=m"] == found


def test_sessions_end(config: dict[str, Any], make_app: MakeApp, clock: Clock) -> None:
    """When they have not been used for their lifetime."""
    app = make_app(
        plugins=["cache_redis"],
        SECRET_KEY="k" * 32,
        PERMANENT_SESSION_LIFETIME=60,
        CACHE_REDIS_SESSION_PERMANENT_LIFETIME=60,
        **config,
    )

    @app.get("/count")
    def count() -> dict[str, int]:
        session.permanent = True
        session["count"] = session.get("count", 0) + 1
        return {"count": session["count"]}

    client = app.test_client()
    found = []
    for seconds in (0, 30, 61):
        clock.advance(seconds)
        found.append(client.get("/count").get_json()["count"])
    assert [1, 2, 1] == found

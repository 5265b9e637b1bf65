"""The optional Redis client."""

import pytest

from pegboard import StartupError, create_app, get_redis
from pegboard.testing.fixtures import MakeApp


def test_there_is_no_client_without_a_url(app):
    """And readiness does not speak of Redis."""
    assert get_redis(app) is None
    assert "redis" not in app.test_client().get("/health/ready").get_json()["checks"]


def test_the_client_reaches_a_real_server(make_app: MakeApp, redis_url):
    """Readiness says so."""
    app = make_app(REDIS_URL=redis_url)
    client = get_redis(app)
    assert client is not None
    assert client.ping()
    assert "ok" == app.test_client().get("/health/ready").get_json()["checks"]["redis"]


def test_a_server_that_is_away_is_named_by_readiness(make_app: MakeApp, own_redis):
    """The service is alive, but not ready."""
    app = make_app(REDIS_URL=own_redis.url)
    own_redis.kill()
    response = app.test_client().get("/health/ready")
    assert 503 == response.status_code
    assert "not ready: redis" == response.get_json()["message"]
    assert 200 == app.test_client().get("/health").status_code


def test_a_url_that_cannot_be_read_stops_the_start():
    """The cure shows how to write it; the password is not printed."""
    with pytest.raises(StartupError, match="REDIS_URL") as caught:
        create_app({"ENV": "testing", "REDIS_URL": "http://:hunter2@host"}, plugins=[])
    assert "hunter2" not in str(caught.value)

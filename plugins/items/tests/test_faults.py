"""Items while the database is away."""

from collections.abc import Callable

import pytest
from flask import Flask

from pegboard.testing.servers import PostgresServer

pytestmark = pytest.mark.faults


@pytest.mark.slow
def test_requests_fail_while_the_database_is_away_and_not_after(
    make_app: Callable[..., Flask], own_postgres: PostgresServer
) -> None:
    """The error is the platform's, and names nothing of the server."""
    client = make_app(plugins=["items"], DATABASE_URL=own_postgres.url).test_client()
    path = client.post("/api/items/", json={"name": "Hammer"}).headers["Location"]
    own_postgres.kill()
    for answer in (client.get("/api/items/"), client.post("/api/items/", json={"name": "Saw"})):
        assert 503 == answer.status_code
        assert {"message", "status"} == answer.get_json().keys()
        assert "postgresql" not in answer.text
    own_postgres.start()
    assert 204 == client.delete(path).status_code

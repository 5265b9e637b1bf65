"""What requests to items may cost."""

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

from pegboard.testing.fixtures import Budget


def test_no_request_sends_more_than_two_statements(
    client: FlaskClient, create: Callable[..., dict[str, Any]], statement_budget: Budget
) -> None:
    """However many items there are; a list has its total, a change the row before it."""
    items = [create(f"Nail {number}") for number in range(3)]
    path = f"/api/items/{items[0]['id']}"
    with statement_budget(statements=2, round_trips=0):
        assert 3 == len(client.get("/api/items/").get_json())
        assert 200 == client.get(path).status_code
        assert 201 == client.post("/api/items/", json={"name": "Hammer"}).status_code
        assert 200 == client.put(path, json={"name": "Saw"}).status_code
        assert 200 == client.patch(path, json={"name": "Plane"}).status_code
        assert 204 == client.delete(path).status_code

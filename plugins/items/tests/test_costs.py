"""What requests to items cost in statements; a change that needs more has to be worth them."""

from typing import Any

import pytest

from pegboard.testing.fixtures import Budget, MakeApp

MOST = [
    ("POST", "/api/items/", 1),
    ("GET", "/api/items/1", 1),
    ("GET", "/api/items/1", 0),
    ("PUT", "/api/items/1", 2),
    ("GET", "/api/items/?page_size=2", 2),
    ("GET", "/api/items/?q=saw", 2),
    ("DELETE", "/api/items/1", 2),
]
"""Requests in their order, each with the statements that it may send."""


@pytest.mark.slow
def test_requests_keep_to_their_budgets(
    make_app: MakeApp, database_url: str, statement_budget: Budget
) -> None:
    """On both databases: what is cached costs none, a first page asks for the number of rows."""
    app = make_app(plugins=["items"], DATABASE_URL=database_url, CACHE="memory")
    client = app.test_client()
    client.post("/api/items/", json={"name": "Saw"})
    for method, path, most in MOST:
        body: dict[str, Any] = {"json": {"name": "Hammer"}} if method in {"POST", "PUT"} else {}
        with statement_budget(statements=most, round_trips=0) as costs:
            answer = client.open(path, method=method, **body)
        assert answer.status_code in {200, 201, 204}, (method, path)
        assert most == 0 or costs.requests[0].statements, (method, path)

"""What every service does, checked before it is measured: the same work, and no less."""

import json
from http import HTTPStatus
from typing import Any

import psycopg2
import redis
from services import Service

LIMIT = 20
"""Requests a minute with which a service is started to see that it refuses more."""
REFUSED_AT_LEAST = HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY


class ContractError(Exception):
    """Raised when a service does not do what is measured."""


def check_limit(service: Service) -> None:
    """Check that a service that was started with `LIMIT` refuses requests, but not sooner."""
    for number in range(2 * LIMIT + 5):
        status, body, _ = service.request("GET", "/api/items/1")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            _demand(number >= LIMIT // 2, f"refused after {number} requests")
            _demand(_is_error(body, status), f"429 has the body {body!r}")
            return
    _demand(truth=False, what=f"never answers 429 to more than {LIMIT} requests a minute")


def check(service: Service, *, total: bool) -> bool:
    """Check answers, cache and errors of a service over fresh rows, with no limit.

    Returns whether its lists have a total, which they must if it is asked for.
    """
    contract = _Contract(service)
    contract.reads_and_caches()
    contract.writes()
    contract.refuses()
    return contract.lists(total=total)


class _Contract:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.redis = redis.Redis.from_url(service.urls["REDIS_URL"])

    def sql(self, statement: str) -> Any:
        """Run a statement behind the back of the service; returns the first value, if any."""
        with psycopg2.connect(self.service.urls["DATABASE_URL"]) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                row = cursor.fetchone() if cursor.description else None
        connection.close()
        return row and row[0]

    def ask(self, method: str, path: str, status: int = HTTPStatus.OK, **body: Any) -> Any:
        """Return the JSON of an answer that has the status."""
        sent = json.dumps(body).encode() if body else None
        got, answer, _ = self.service.request(method, path, sent)
        _demand(got == status, f"{method} {path} {body}: {got}, not {status}: {answer[:200]!r}")
        return json.loads(answer) if answer else None

    def name_of(self, number: int) -> Any:
        item = self.ask("GET", f"/api/items/{number}")
        wanted = {"id", "name", "description", "created_at", "updated_at"}
        _demand(wanted <= item.keys(), f"an item is {item}")
        return item["name"]

    def reads_and_caches(self) -> None:
        _demand(self.name_of(2) == "Item 2", "does not read what is in the table")
        self.sql("UPDATE items SET name = 'changed' WHERE id = 2")
        _demand(self.name_of(2) == "Item 2", "does not cache an item")
        self.redis.flushdb()
        _demand(self.name_of(2) == "changed", "does not cache in Redis alone")

    def writes(self) -> None:
        for name in ("first", "second"):
            self.name_of(3)
            item = self.ask("PUT", "/api/items/3", name=name, description="Änderung")
            _demand(item["name"] == name == self.name_of(3), "does not show what was replaced")
        _demand(self.sql("SELECT name FROM items WHERE id = 3") == "second", "does not replace")
        new = self.ask("POST", "/api/items/", HTTPStatus.CREATED, name="New", description="x")
        path = f"/api/items/{new['id']}"
        _demand(self.name_of(new["id"]) == "New", "does not create")
        self.ask("DELETE", path, HTTPStatus.NO_CONTENT)
        self.fails("GET", path, b"", HTTPStatus.NOT_FOUND)

    def refuses(self) -> None:
        before = self.sql("SELECT count(*) FROM items")
        for body in (b'{"name": ""}', b'{"description": "x"}', b"{no json"):
            self.fails("POST", "/api/items/", body, *REFUSED_AT_LEAST)
        self.fails("PUT", "/api/items/4", b'{"name": ""}', *REFUSED_AT_LEAST)
        after = self.sql("SELECT count(*) FROM items")
        _demand(before == after, "makes a row of what it refuses")

    def fails(self, method: str, path: str, body: bytes, *statuses: int) -> None:
        status, answer, _ = self.service.request(method, path, body or None)
        what = f"{method} {path} {body!r}: {status} {answer[:200]!r}"
        _demand(status in statuses and _is_error(answer, status), what)

    def lists(self, *, total: bool) -> bool:
        status, answer, pagination = self.service.request("GET", "/api/items/?page=3&page_size=5")
        page = json.loads(answer)
        rows = page if isinstance(page, list) else page.get("items")
        _demand(status == HTTPStatus.OK and rows, f"page 3 is {page}")
        _demand([row["id"] for row in rows] == list(range(11, 16)), f"page 3 is {rows}")
        counted = (json.loads(pagination) if pagination else page).get("total")
        if total:
            _demand(counted == self.sql("SELECT count(*) FROM items"), f"the total is {counted}")
        self.sql("UPDATE items SET name = 'seen at once' WHERE id = 5")
        _, answer, _ = self.service.request("GET", "/api/items/?page=1&page_size=20")
        _demand(b"seen at once" in answer, "caches a list")
        return counted is not None


def _is_error(body: bytes, status: int) -> bool:
    try:
        error = json.loads(body)
    except ValueError:
        return False
    return isinstance(error, dict) and bool(error.get("message")) and error.get("status") == status


def _demand(truth: object, what: str) -> None:
    if not truth:
        raise ContractError(what)

"""Exports of lists over HTTP, on both databases."""

import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, request
from marshmallow import Schema, fields, post_dump
from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped

import pegboard
from pegboard.resources import EQUALITY, Filter, Operation, Text
from pegboard.testing.fixtures import MakeApp

CSV, JSONL = {"Accept": "text/csv"}, {"Accept": "application/x-ndjson"}


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Leaf(Base):
    """A leaf."""

    __tablename__ = "leaves"

    text: Mapped[str]
    size: Mapped[int | None]

    @property
    def ratio(self) -> float:
        """Something that cannot be said of all."""
        if not self.size:
            pegboard.abort(409, "No ratio.")
        return 1 / self.size


class LeafSchema(Schema):
    """A leaf."""

    id = fields.Integer(dump_only=True)
    text = Text(required=True)
    size = fields.Integer(load_default=None, allow_none=True)


class RatioSchema(LeafSchema):
    """A leaf with what fails for some."""

    ratio = fields.Float(dump_only=True)


class LoudSchema(LeafSchema):
    """A leaf whose schema changes what it has written."""

    @post_dump
    def shout(self, row: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Return it in capital letters."""
        return {**row, "text": row["text"].upper()}


class Own(pegboard.Resource[Leaf]):
    """Leaves of which guests see none, and others the large ones."""

    def rows(self) -> Select[tuple[Leaf]]:
        """Return the large ones; after a query of its own."""
        smallest = pegboard.db.session.scalar(select(func.min(Leaf.size)))
        return super().rows().where(Leaf.size > smallest)

    def permit_read(self, operation: Operation, row: Leaf | None = None) -> None:
        """Refuse guests."""
        if "X-User" not in request.headers:
            pegboard.abort(403, f"Guests may not {operation}.")


def declare(kind: type[pegboard.Resource[Leaf]] = pegboard.Resource, **options: Any) -> Any:
    """A resource of leaves."""
    options = {
        "noun": "leaf",
        "sort": [Leaf.id, Leaf.size],
        "search": [Leaf.text],
        "filters": [Filter(Leaf.size, EQUALITY)],
        "sparse": True,
        "export": True,
        "schema": LeafSchema,
        **options,
    }
    return kind("leaves", __name__, Leaf, options.pop("schema"), **options)


Start = Callable[..., Flask]


@pytest.fixture
def start(make_app: MakeApp, database_url: str) -> Iterator[Start]:
    """Start an app with one resource and three leaves."""
    apps: list[Flask] = []

    def start(resource: pegboard.Resource[Any], **settings: Any) -> Flask:
        class Plugin:
            name = "tree"

            @pegboard.hookimpl
            def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
                return [resource.blueprint]

        app: Flask = make_app(plugins=[Plugin()], DATABASE_URL=database_url, **settings)
        with app.app_context():
            Base.metadata.create_all(pegboard.db.engine)
        fill(app, ("one", 3), ('tw"o\n', None), ("thrée", 1))
        apps.append(app)
        return app

    yield start
    for app in apps:
        with app.app_context():
            Base.metadata.drop_all(pegboard.db.engine)


def fill(app: Flask, *leaves: tuple[str, int | None]) -> None:
    """Store leaves."""
    with app.app_context(), pegboard.db.engine.begin() as connection:
        rows = [{"text": text, "size": size} for text, size in leaves]
        connection.execute(insert(Leaf), rows)


def connections_in_use(app: Flask) -> int:
    """Return how many connections requests hold."""
    with app.app_context():
        pool: Any = pegboard.db.engine.pool
        count: int = pool.checkedout()
        return count


@pytest.mark.slow
def test_a_list_is_had_as_a_file(start):
    """With all rows, in the order asked for, with the fields asked for."""
    client = start(declare(page_sizes=lambda: (1, 1))).test_client()

    whole = client.get("/api/leaves/?sort=-size", headers=CSV)
    assert 'id,text,size\r\n1,"one",3\r\n3,"thrée",1\r\n2,"tw""o\n",\r\n' == whole.text
    assert "text/csv; charset=utf-8" == whole.headers["Content-Type"]
    assert 'attachment; filename="leaves.csv"' == whole.headers["Content-Disposition"]
    assert "Accept" in whole.vary
    assert "X-Pagination" not in whole.headers

    some = client.get("/api/leaves/?q=E&sort=size&fields=text,id&page=1&page_size=1", headers=JSONL)
    assert [{"id": 3, "text": "thrée"}, {"id": 1, "text": "one"}] == [
        json.loads(line) for line in some.text.splitlines()
    ]
    assert "application/x-ndjson" == some.headers["Content-Type"]
    assert 'attachment; filename="leaves.jsonl"' == some.headers["Content-Disposition"]
    assert "1" == client.get("/api/leaves/?size=3&fields=id", headers=CSV).text.split()[1]


def test_an_export_of_nothing_is_whole(start):
    """A first line in CSV, an empty file of JSON lines."""
    client = start(declare()).test_client()

    assert "id,text,size\r\n" == client.get("/api/leaves/?q=none", headers=CSV).text
    answer = client.get("/api/leaves/?q=none", headers=JSONL)
    assert (200, "") == (answer.status_code, answer.text)


@pytest.mark.parametrize(
    "accept, expected",
    [
        (None, "json"),
        ("application/json", "json"),
        ("*/*", "json"),
        ("text/html, */*;q=0.8", "json"),
        ("text/*", "json"),
        ("image/png", "json"),
        ("text/csv, application/json", "json"),
        ("text/csv;q=0", "json"),
        ("text/csv;q=0.5, application/json;q=0.9", "json"),
        ("Text/CSV; charset=utf-8", "csv"),
        ("text/csv, */*;q=0.1", "csv"),
        ("text/csv, */*", "csv"),
        ("application/x-ndjson, text/csv;q=0.9", "x-ndjson"),
    ],
)
def test_only_a_named_media_type_asks_for_a_file(start, accept, expected):
    """Whatever else a client accepts, it gets the list as before; caches keep them apart."""
    client = start(declare()).test_client()

    answer = client.get("/api/leaves/", headers={} if accept is None else {"Accept": accept})

    assert 200 == answer.status_code
    assert expected == answer.mimetype.rpartition("/")[2]
    assert ("X-Pagination" in answer.headers) == (expected == "json")
    assert "Accept" in answer.vary


def test_a_list_that_is_not_exported_stays_one(start):
    """It has no file, and does not vary."""
    answer = start(declare(export=False)).test_client().get("/api/leaves/", headers=CSV)

    assert "application/json" == answer.mimetype
    assert "Accept" not in answer.vary


@pytest.mark.parametrize("query", ["page=2", "after=1.~", "after="])
def test_an_export_has_no_pages(start, query):
    """A client that asks for page after page would never come to an end."""
    client = start(declare(sort=[Leaf.id, Leaf.size])).test_client()

    answer = client.get(f"/api/leaves/?{query}", headers=CSV)

    assert 422 == answer.status_code
    assert {query.partition("=")[0]: ["An export has all rows; leave this out."]} == (
        answer.json["errors"].get("query") or answer.json["errors"]
    )


def test_what_a_client_may_not_see_is_in_no_file(start):
    """`permit_read` and `rows` are asked as for the list."""
    client = start(declare(Own)).test_client()

    assert 403 == client.get("/api/leaves/", headers=CSV).status_code
    assert ["id", "1"] == [
        line.split(",")[0]
        for line in client.get("/api/leaves/", headers={**CSV, "X-User": "a"}).text.splitlines()
    ]


def test_what_the_schema_does_with_rows_is_in_the_file(start):
    """As in the list."""
    client = start(declare(schema=LoudSchema)).test_client()

    rows = list(csv.reader(io.StringIO(client.get("/api/leaves/", headers=CSV).text)))

    assert ["ONE", 'TW"O\n', "THRÉE"] == [row[1] for row in rows[1:]]


def test_an_error_before_the_first_byte_is_an_ordinary_one(start):
    """A wrong parameter, and a row that cannot be written."""
    client = start(declare(schema=RatioSchema)).test_client()

    assert 422 == client.get("/api/leaves/?size=much", headers=CSV).status_code
    failed = client.get("/api/leaves/", headers=CSV)
    assert (409, "application/json") == (failed.status_code, failed.mimetype)
    assert "Content-Disposition" not in failed.headers
    assert 0 == connections_in_use(client.application)


def test_the_document_says_what_can_be_had(start):
    """The media types and the header; what is not with them is not required."""
    call, plain = (
        start(declare(export=is_exported))
        .test_client()
        .get("/openapi.json")
        .json["paths"]["/api/leaves/"]["get"]["responses"]["200"]
        for is_exported in (True, False)
    )
    assert plain["content"]["application/json"] == call["content"]["application/json"]
    assert {"application/json", "text/csv", "application/x-ndjson"} == set(call["content"])
    assert "Content-Disposition" in call["headers"]
    assert call["headers"]["X-Pagination"]["required"] is False


@pytest.mark.slow
@pytest.mark.parametrize("accept", [CSV, JSONL])
def test_a_long_export_takes_little_memory(start, accept):
    """Rows are read while they are sent, and the connection is given back in the end."""
    app = start(declare(schema=LeafSchema))
    fill(app, *(("x" * 1000, number) for number in range(20_000)))
    client = app.test_client()
    client.get("/api/leaves/?q=none", headers=accept)

    tracemalloc.start()
    try:
        answer = client.get("/api/leaves/", headers=accept, buffered=False)
        size = sum(map(len, answer.response))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    answer.close()

    assert size > 20_000_000
    assert peak < 10_000_000
    assert 0 == connections_in_use(app)


def test_a_client_that_goes_gives_the_connection_back(start):
    """In the middle of a file, and after its headers."""
    app = start(declare())
    fill(app, *(("x" * 1000, number) for number in range(3000)))
    client = app.test_client()

    answer = client.get("/api/leaves/", headers=CSV, buffered=False)
    next(iter(answer.response))
    answer.close()
    assert 200 == client.head("/api/leaves/", headers=CSV).status_code

    assert 0 == connections_in_use(app)


@pytest.mark.slow
def test_the_time_limit_does_not_end_an_export(make_app, postgres_url):
    """Though a statement has begun the transaction before; it holds for the list."""

    class Slow(pegboard.Resource[Leaf]):
        def rows(self) -> Select[tuple[Leaf]]:
            pegboard.db.session.execute(select(1))
            return super().rows().where(func.pg_sleep(0.5).is_not(None))

    resource = declare(Slow)

    class Plugin:
        name = "tree"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [resource.blueprint]

    app = make_app(plugins=[Plugin()], DATABASE_URL=postgres_url, DATABASE_STATEMENT_TIMEOUT=0.3)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    fill(app, ("one", 1))
    client = app.test_client()

    assert 503 == client.get("/api/leaves/").status_code
    assert 2 == len(client.get("/api/leaves/", headers=CSV).text.splitlines())
    assert 503 == client.get("/api/leaves/").status_code

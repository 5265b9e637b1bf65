"""Totals of lists that are told only to those who ask: `PEGBOARD_RESOURCES_TOTAL=request`."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase
from werkzeug.test import TestResponse

import pegboard
from pegboard.testing.fixtures import MakeApp

URL = "/api/notes/?page_size=2"


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Note(Base):
    """A note."""

    __tablename__ = "notes"


class NoteSchema(Schema):
    """A note."""

    id = fields.Integer(dump_only=True)


class Plugin:
    """The plugin of the notes."""

    name = "notes"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve them."""
        notes = pegboard.Resource("notes", __name__, Note, NoteSchema, noun="note")
        return [notes.blueprint]


@pytest.fixture
def client(make_app: MakeApp, database_url: str) -> FlaskClient:
    """A client of an app with five notes."""
    app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, RESOURCES_TOTAL="request")
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
        pegboard.db.session.add_all([Note() for _ in range(5)])
        pegboard.db.session.commit()
    return app.test_client()


@pytest.fixture
def statements(client: FlaskClient) -> Iterator[list[str]]:
    """The statements that are sent."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    with client.application.app_context():
        engine = pegboard.db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def told(response: TestResponse) -> dict[str, int]:
    """What an answer says of its page."""
    assert 200 == response.status_code, response.json
    found: dict[str, int] = json.loads(response.headers["X-Pagination"])
    return found


PAGES = [
    (1, [1, 2], {"page": 1, "next_page": 2}, ["first", "next"]),
    (2, [3, 4], {"page": 2, "previous_page": 1, "next_page": 3}, ["first", "prev", "next"]),
    (3, [5], {"page": 3, "previous_page": 2}, ["first", "prev"]),
    (9, [], {}, ["first"]),
]


@pytest.mark.parametrize("page, rows, expected, relations", PAGES)
def test_a_page_without_a_total_is_not_counted(
    client: FlaskClient,
    statements: list[str],
    page: int,
    rows: list[int],
    expected: dict[str, int],
    relations: list[str],
):
    """One row more than wanted shows whether there is a next page."""
    response = client.get(f"{URL}&page={page}")
    assert rows == [row["id"] for row in response.get_json()]
    assert {"page_size": 2, "first_page": 1, **expected} == told(response)
    links = response.headers["Link"].split(", ")
    assert [f'rel="{one}"' for one in relations] == [link.split("; ")[1] for link in links]
    assert "Preference-Applied" not in response.headers
    assert "Prefer" in response.vary
    assert not any("count(" in statement for statement in statements)


def test_the_page_of_an_empty_list_is_the_first(client: FlaskClient):
    """As nothing says that there is another."""
    with client.application.app_context():
        pegboard.db.session.query(Note).delete()
        pegboard.db.session.commit()
    assert {"page_size": 2, "first_page": 1, "page": 1} == told(client.get(URL))


ASKING = [
    "count=exact",
    "Count = exact",
    'count="exact"',
    "return=minimal, count=exact",
    'note="a, count=none", count=exact; foo=1',
    "count=exact, count=none",
]


@pytest.mark.parametrize("prefer", ASKING)
def test_who_asks_is_told_the_total(client: FlaskClient, prefer: str):
    """In any form of RFC 7240; of a preference stated twice the first counts."""
    response = client.get(URL, headers={"Prefer": prefer})
    assert {"total": 5, "total_pages": 3, "first_page": 1, "last_page": 3}.items() <= told(
        response
    ).items()
    assert "count=exact" == response.headers["Preference-Applied"]
    assert 'rel="last"' in response.headers["Link"]
    assert "Prefer" in response.vary


NOT_ASKING = ["", "count", "count=planned", "count=none, count=exact", "x=count=exact", ";;,=,"]


@pytest.mark.parametrize("prefer", NOT_ASKING)
def test_who_prefers_something_else_is_not(client: FlaskClient, prefer: str):
    """A preference is never an error."""
    response = client.get(URL, headers={"Prefer": prefer})
    assert "total" not in told(response)
    assert "Preference-Applied" not in response.headers


def test_a_cursor_page_is_as_ever(client: FlaskClient):
    """It never has a total."""
    response = client.get(f"{URL}&after=", headers={"Prefer": "count=exact"})
    assert {"page_size", "next_after"} == set(told(response))
    assert "Preference-Applied" not in response.headers


def test_the_document_says_so(client: FlaskClient):
    """Of the list alone."""
    path = client.get("/openapi.json").get_json()["paths"]["/api/notes/"]
    [prefer] = [one for one in path["get"]["parameters"] if one.get("name") == "Prefer"]
    assert "header" == prefer["in"]
    headers: dict[str, Any] = path["get"]["responses"]["200"]["headers"]
    assert {"Preference-Applied", "X-Pagination"} <= set(headers)
    assert "Prefer: count=exact" in headers["X-Pagination"]["description"]
    assert not any(one.get("name") == "Prefer" for one in path["post"].get("parameters", []))


def test_without_the_setting_everybody_is_told(make_app: MakeApp):
    """And the document has no such header."""
    app = make_app(plugins=[Plugin()])
    text = json.dumps(app.test_client().get("/openapi.json").get_json())
    assert "Preference-Applied" not in text

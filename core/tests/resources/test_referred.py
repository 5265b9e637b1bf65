"""Rows that refer to rows which not every client may see."""

from typing import Any

import pytest
from flask import request
from marshmallow import Schema, fields
from sqlalchemy import ForeignKey, Select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Line, Operation


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Shelf(Base):
    """A shelf of somebody's."""

    __tablename__ = "shelves"

    owner: Mapped[str]


class Book(Base):
    """A book on a shelf."""

    __tablename__ = "books"

    shelf_id: Mapped[int] = mapped_column(ForeignKey(Shelf.id))
    title: Mapped[str]


class ShelfSchema(Schema):
    """A shelf."""

    id = fields.Integer(dump_only=True)


class BookSchema(Schema):
    """A book."""

    id = fields.Integer(dump_only=True)
    shelf_id = fields.Integer(required=True, strict=True, data_key="shelf")
    title = Line(required=True)


def user() -> str:
    """Who the client says that it is."""
    return request.headers.get("X-User", "ada")


class Shelves(pegboard.Resource[Shelf]):
    """The shelves of the client."""

    def rows(self) -> Select[tuple[Shelf]]:
        """Leave those of others out."""
        return super().rows().where(Shelf.owner == user())

    def make(self, values: dict[str, Any]) -> Shelf:
        """Make one of the client's own."""
        return super().make({**values, "owner": user()})


class Books(pegboard.Resource[Book]):
    """Books on shelves of the client."""

    def make(self, values: dict[str, Any]) -> Book:
        """Put a book on a shelf that the client sees."""
        shelves.find_referred(values["shelf_id"], "shelf")
        return super().make(values)

    def change(self, row: Book, values: dict[str, Any]) -> None:
        """Put it on no other."""
        if "shelf_id" in values:
            shelves.find_referred(values["shelf_id"], "shelf")
        super().change(row, values)


OPERATIONS = CRUD | {Operation.MERGE, Operation.BULK_CREATE}
shelves = Shelves("shelves", __name__, Shelf, ShelfSchema, noun="shelf")
books = Books("books", __name__, Book, BookSchema, noun="book", operations=OPERATIONS)


class Library:
    """The plugin."""

    name = "library"

    @pegboard.hookimpl
    def pegboard_blueprints(self):
        """The resources."""
        return [shelves.blueprint, books.blueprint]


@pytest.fixture
def client(make_app):
    """A client of Ada, who has the first of two shelves."""
    app = make_app(plugins=[Library()])
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    for name in ("ada", "bob"):
        client.post("/api/shelves/", json={}, headers={"X-User": name})
    return client


@pytest.mark.parametrize("shelf", [2, 99, 0, -1, 2**63])
def test_a_reference_to_what_a_client_may_not_see_is_one_to_nothing(client, shelf):
    """The answer is that of the database for a row that is not there."""
    body = {"title": "Sets", "shelf": shelf}
    assert 201 == client.post("/api/books/", json={**body, "shelf": 1}).status_code
    expected = {
        "message": "The request did not pass validation.",
        "status": 422,
        "errors": {"shelf": ["There is nothing that this refers to."]},
    }
    if shelf == 2**63:  # refused before the row is made
        expected["errors"] = client.post("/api/books/", json=body).get_json()["errors"]
    for method, path, sent in (
        ("POST", "/api/books/", body),
        ("PUT", "/api/books/1", body),
        ("PATCH", "/api/books/1", {"shelf": shelf}),
    ):
        assert expected == client.open(path, method=method, json=sent).get_json(), method
    assert [1] == [row["shelf"] for row in client.get("/api/books/").get_json()]


def test_what_is_refused_of_one_of_several_rows_has_its_place(client):
    """As what the schema and the database refuse; nothing is written."""
    bodies = [{"title": "Sets", "shelf": 1}, {"title": "Rings", "shelf": 2}]
    refused = client.post("/api/books/bulk", json=bodies)
    assert {"1.shelf": ["There is nothing that this refers to."]} == refused.get_json()["errors"]
    assert [] == client.get("/api/books/").get_json()

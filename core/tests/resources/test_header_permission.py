"""Permissions that a header gives, as the guide to resources shows them."""

import hmac
from typing import Any

import pytest
from flask import request
from marshmallow import Schema, fields
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Line, Operation


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Book(Base):
    """A book."""

    __tablename__ = "books"

    title: Mapped[str] = mapped_column()


class List(Base):
    """A list of books."""

    __tablename__ = "lists"

    title: Mapped[str] = mapped_column()
    reader: Mapped[str] = mapped_column()


class ListSchema(Schema):
    """A list of books."""

    id = fields.Integer(dump_only=True)
    title = Line(required=True)
    reader = fields.String(dump_only=True)


class BookSchema(Schema):
    """A book."""

    id = fields.Integer(dump_only=True)
    title = Line(required=True)


class LibrarySettings(pegboard.Settings):
    """Settings of the library."""

    librarian_key: str | None = pegboard.setting(None, secret=True, doc="The key to write books.")


class Books(pegboard.Resource[Book]):
    """Books that librarians write and everybody reads."""

    def permit_write(self, operation: Operation, row: Book | None = None) -> None:
        """Let clients write that send the key of librarians."""
        key = pegboard.get_settings(LibrarySettings).librarian_key
        sent = request.headers.get("X-Librarian-Key", "")
        if not key or not hmac.compare_digest(sent.encode(), key.encode()):
            pegboard.abort(403, "Only librarians write books.")


class UserSettings(pegboard.Settings):
    """Settings of users."""

    keys: dict[str, str] = pegboard.setting({}, secret=True, doc="Users by their keys: key=name.")


def current_user() -> str:
    """Return the user whose key the request has; it ends with 403 if there is none."""
    sent = request.headers.get("X-User-Key", "").encode()
    keys = pegboard.get_settings(UserSettings).keys
    found = [name for key, name in keys.items() if hmac.compare_digest(sent, key.encode())]
    if not found:
        pegboard.abort(403, "Send your key.")
    return found[0]


class Lists(pegboard.Resource[List]):
    """Lists of books, each of which only its reader changes."""

    def permit_write(self, operation: Operation, row: List | None = None) -> None:
        """Let readers write lists, and change and delete their own."""
        reader = current_user()
        if row is not None and row.reader != reader:
            pegboard.abort(403, "The list is somebody else's.")

    def make(self, values: dict[str, Any]) -> List:
        """Make a list of the reader whose key was sent."""
        return super().make({**values, "reader": current_user()})


def permitted_first() -> None:
    """Ask for the permission before anything else, of reading as well."""
    closed.permit_write(Operation.CREATE)


closed = Books("closed", __name__, Book, BookSchema, noun="closed book")
closed.blueprint.before_request(permitted_first)
lists = Lists("lists", __name__, List, ListSchema, noun="list")
books = Books("books", __name__, Book, BookSchema, noun="book", operations=CRUD | {Operation.MERGE})


@pegboard.hookimpl
def pegboard_openapi(document: dict[str, Any]) -> None:
    """Say which calls need the key."""
    schemes = document["components"].setdefault("securitySchemes", {})
    schemes["librarian"] = {"type": "apiKey", "in": "header", "name": "X-Librarian-Key"}
    for path, operations in document["paths"].items():
        if path.startswith("/api/books/"):
            for method in operations.keys() & {"post", "put", "patch", "delete"}:
                operations[method]["security"] = [{"librarian": []}]


class Library:
    """The plugin."""

    name = "library"

    @pegboard.hookimpl
    def pegboard_settings(self):
        """The key."""
        return LibrarySettings

    @pegboard.hookimpl
    def pegboard_blueprints(self):
        """The resource."""
        return [books.blueprint, closed.blueprint]

    @pegboard.hookimpl
    def pegboard_openapi(self, document):
        """The key of the calls."""
        pegboard_openapi(document)


@pytest.fixture
def client(make_app):
    """A client of a library with one book, which has no key itself."""
    app = make_app(plugins=[Library()], LIBRARY_LIBRARIAN_KEY="s3cret")
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    key = {"X-Librarian-Key": "s3cret"}
    assert 201 == client.post("/api/books/", json={"title": "Sets"}, headers=key).status_code
    return client


WRITES = [
    ("POST", "/api/books/", {"title": "Rings"}),
    ("PUT", "/api/books/1", {"title": "Rings"}),
    ("PATCH", "/api/books/1", {"title": "Rings"}),
    ("DELETE", "/api/books/1", None),
]


@pytest.mark.parametrize("method, path, body", WRITES)
@pytest.mark.parametrize("key", ["", "s3cre", "s3cret2", "sécret"])
def test_a_write_without_the_key_is_refused(client, method, path, body, key):
    """Whatever else is sent; everybody reads."""
    headers = {"X-Librarian-Key": key, "If-Match": '"stale"'}
    assert 403 == client.open(path, method=method, json=body, headers=headers).status_code
    assert ["Sets"] == [row["title"] for row in client.get("/api/books/").get_json()]


@pytest.mark.parametrize("method, path, body", WRITES)
def test_the_key_lets_a_client_write(client, method, path, body):
    """With the headers of a librarian every write succeeds."""
    headers = {"X-Librarian-Key": "s3cret"}
    assert 300 > client.open(path, method=method, json=body, headers=headers).status_code


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("POST", "/api/books/", {"titel": "x"}, 422),
        ("PUT", "/api/books/1", {"titel": "x"}, 422),
        ("PATCH", "/api/books/1", {"titel": "x"}, 403),
        ("PUT", "/api/books/99", {"title": "x"}, 404),
        ("PATCH", "/api/books/99", {"titel": "x"}, 404),
        ("DELETE", "/api/books/99", None, 404),
        ("POST", "/api/closed/", {"titel": "x"}, 403),
        ("PUT", "/api/closed/99", {"titel": "x"}, 403),
    ],
)
def test_what_is_checked_before_the_permission(client, method, path, body, status):
    """The body of POST and PUT and whether the row is there, unless the blueprint asks before."""
    assert status == client.open(path, method=method, json=body).status_code


def test_the_document_says_which_calls_need_the_key(client):
    """The writes, and no read."""
    document = client.get("/openapi.json").get_json()
    assert "X-Librarian-Key" == document["components"]["securitySchemes"]["librarian"]["name"]
    secured = {
        (path, method)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and operation.get("security")
    }
    row = "/api/books/{book_id}"
    assert {("/api/books/", "post"), (row, "put"), (row, "patch"), (row, "delete")} == secured
    assert "403" in document["paths"][row]["put"]["responses"]


class Users:
    """The plugin whose clients have keys of their own."""

    name = "user"

    @pegboard.hookimpl
    def pegboard_settings(self):
        """The keys."""
        return UserSettings

    @pegboard.hookimpl
    def pegboard_blueprints(self):
        """The resource."""
        return [lists.blueprint]


def test_a_certain_user_changes_a_row(make_app):
    """The one who has made it, by a key of their own."""
    app = make_app(plugins=[Users()], USER_KEYS={"k1": "ada", "k2": "bob"})
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    found = []
    for method, path, key in (
        ("POST", "/api/lists/", "k1"),
        ("POST", "/api/lists/", "k3"),
        ("PUT", "/api/lists/1", "k2"),
        ("PUT", "/api/lists/1", ""),
        ("PUT", "/api/lists/1", "k1"),
    ):
        headers = {"X-User-Key": key}
        answer = client.open(path, method=method, json={"title": "Later"}, headers=headers)
        found.append(answer.status_code)
    assert [201, 403, 403, 403, 200] == found
    assert ["ada"] == [row["reader"] for row in client.get("/api/lists/").get_json()]

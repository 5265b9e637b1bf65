"""Totals of lists: exact after each write, and not counted anew as long as nothing is written."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import ForeignKey, Select, delete, event, func, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

import pegboard
from pegboard.cache import get_cache
from pegboard.resources import CRUD, Comparison, Filter, Line, Operation
from pegboard.testing.fixtures import MakeApp

ALL = "/api/notes/?page_size=1"
RED = "/api/notes/?color=red&page_size=2"


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Note(Base):
    """A note with a color."""

    __tablename__ = "notes"

    color: Mapped[str]


class Word(Base):
    """A part of a note."""

    __tablename__ = "words"

    note_id: Mapped[int | None] = mapped_column(ForeignKey(Note.id, ondelete="CASCADE"))


class Counted(Base):
    """A note that also says how many words it has."""

    __table__ = Note.__table__
    words = column_property(
        select(func.count())
        .select_from(Word)
        .where(Word.note_id == Note.__table__.c.id)
        .scalar_subquery()
    )


class NoteSchema(Schema):
    """A note."""

    id = fields.Integer(dump_only=True)
    color = Line(required=True)


class Own(pegboard.Resource[Note]):
    """Notes of which each client sees others."""

    def rows(self) -> Select[tuple[Note]]:
        """The green ones."""
        return super().rows().where(Note.color == "green")


def declare(kind: Any = pegboard.Resource, model: Any = Note, **options: Any) -> Any:
    """A resource of notes."""
    options = {
        "noun": "note",
        "operations": CRUD | {Operation.BULK_CREATE},
        "filters": [Filter(Note.color)],
        "search": [Note.color] if model is Note else [],
        "ttl": 300,
        **options,
    }
    return kind("notes", __name__, model, NoteSchema, **options)


Start = Callable[..., FlaskClient]


@pytest.fixture
def start(make_app: MakeApp, database_url: str) -> Start:
    """Start an app with a resource, and with three notes, two of them red."""

    def start(resource: Any = None) -> FlaskClient:
        resource = resource or declare()

        class Plugin:
            name = "notes"

            @pegboard.hookimpl
            def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
                return [resource.blueprint]

        app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, CACHE="memory")
        with app.app_context():
            Base.metadata.create_all(pegboard.db.engine)
            rows = [{"color": color} for color in ("red", "red", "green")]
            pegboard.db.session.execute(insert(Note), rows)
            pegboard.db.session.commit()
        return app.test_client()

    return start


@contextmanager
def counted(client: FlaskClient) -> Iterator[list[str]]:
    """Record the statements that count."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT count("):
            sent.append(statement)

    with client.application.app_context():
        engine = pegboard.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def total(client: FlaskClient, url: str = ALL) -> int:
    """The total of a list."""
    response = client.get(url)
    assert 200 == response.status_code, response.json
    found: int = json.loads(response.headers["X-Pagination"])["total"]
    return found


def test_a_total_is_counted_once_for_all_pages_and_orders(start: Start):
    """And once for each filter with its values; what is searched for is always counted."""
    client = start()
    with counted(client) as statements:
        for url in (ALL, "/api/notes/", "/api/notes/?page=2&sort=-id", RED, RED):
            assert (3 if "color" not in url else 2) == total(client, url)
        assert 2 == len(statements)
        assert 1 == total(client, "/api/notes/?color=green")
        assert 2 == total(client, "/api/notes/?color[ne]=green")
        assert 3 == total(client, "/api/notes/?color[in]=red,green")
        assert 5 == len(statements)
        assert 2 == total(client, "/api/notes/?q=red") == total(client, "/api/notes/?q=red")
        assert 7 == len(statements)


def orm_insert() -> None:
    """As a view does it."""
    pegboard.db.session.add(Note(color="red"))
    pegboard.db.session.commit()


def bulk_insert() -> None:
    """As an import does it."""
    rows = [{"color": "red"}, {"color": "green"}]
    pegboard.db.session.execute(insert(Note), rows)
    pegboard.db.session.commit()


def insert_from_select() -> None:
    """Every row once more."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(insert(Note).from_select(["color"], select(Note.color)))


def text_insert() -> None:
    """Past SQLAlchemy's expressions."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO notes (color, created_at, updated_at) "
                "VALUES ('red', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
            )
        )


def orm_delete() -> None:
    """Of one row by its key."""
    pegboard.db.session.delete(pegboard.db.session.get_one(Note, 1))
    pegboard.db.session.commit()


def bulk_delete() -> None:
    """Of all that are red."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(delete(Note).where(Note.color == "red"))


def orm_update() -> None:
    """Of one row, which another filter then leaves."""
    pegboard.db.session.get_one(Note, 1).color = "green"
    pegboard.db.session.commit()


def bulk_update() -> None:
    """Of all."""
    pegboard.db.session.execute(update(Note).values(color="red"))
    pegboard.db.session.commit()


WRITES = [
    orm_insert,
    bulk_insert,
    insert_from_select,
    text_insert,
    orm_delete,
    bulk_delete,
    orm_update,
    bulk_update,
]


@pytest.mark.parametrize("write", WRITES)
def test_a_total_is_exact_after_a_write(start: Start, write: Callable[[], None]):
    """Whatever wrote."""
    client = start()
    before = total(client), total(client, RED)
    with client.application.app_context():
        write()
        rows = list(pegboard.db.session.scalars(select(Note.color)))
    after = total(client), total(client, RED)
    assert before != after == (len(rows), rows.count("red"))
    with counted(client) as statements:
        assert after == (total(client), total(client, RED))
        assert [] == statements


def test_a_total_is_exact_after_each_operation(start: Start):
    """Of a client."""
    client = start()
    assert (3, 2) == (total(client), total(client, RED))
    client.post("/api/notes/", json={"color": "red"})
    assert (4, 3) == (total(client), total(client, RED))
    client.post("/api/notes/bulk", json=[{"color": "red"}, {"color": "green"}])
    assert (6, 4) == (total(client), total(client, RED))
    client.put("/api/notes/1", json={"color": "green"})
    assert (6, 3) == (total(client), total(client, RED))
    client.delete("/api/notes/2")
    assert (5, 2) == (total(client), total(client, RED))


def test_a_rolled_back_write_leaves_a_total(start: Start):
    """It is not even counted anew."""
    client = start()
    assert 3 == total(client)
    with client.application.app_context():
        pegboard.db.session.add(Note(color="red"))
        pegboard.db.session.flush()
        pegboard.db.session.rollback()
    with counted(client) as statements:
        assert 3 == total(client)
    assert [] == statements


def test_a_filter_by_another_table_depends_on_it(start: Start):
    """Here by a subquery; and rows that the database itself deletes count."""
    filters = [Filter(Counted.words, [Comparison.EQ])]
    client = start(declare(model=Counted, filters=filters))
    assert 3 == total(client, "/api/notes/?words=0")
    with client.application.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(insert(Word), [{"note_id": 1}, {"note_id": 2}])
    assert 1 == total(client, "/api/notes/?words=0")
    assert 2 == total(client, "/api/notes/?words=1")
    with client.application.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(delete(Word).where(Word.note_id == 1))
    assert 2 == total(client, "/api/notes/?words=0")


@pytest.mark.parametrize(
    "resource, expected", [(declare(Own, ttl=None), 1), (declare(ttl=None), 3)], ids=["own", "bare"]
)
def test_what_is_not_cached_is_counted(start: Start, resource: Any, expected: int):
    """Rows that differ from client to client, and a resource that caches nothing."""
    client = start(resource)
    with counted(client) as statements:
        assert [expected] * 2 == [total(client), total(client)]
        assert 2 == len(statements)
    client.post("/api/notes/", json={"color": "green"})
    assert 0 == get_cache(client.application).strategy.stats()["fences"]


def test_a_damaged_total_is_counted(start: Start, monkeypatch: pytest.MonkeyPatch):
    """Whatever the cache holds."""
    client = start()
    strategy = get_cache(client.application).strategy
    monkeypatch.setattr(strategy, "look_up", lambda _: b"many")
    assert 3 == total(client)

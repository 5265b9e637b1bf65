"""Listeners to the rows of any model: what each function of theirs is told, and when."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from flask import Flask
from marshmallow import ValidationError
from sqlalchemy import (
    JSON,
    ForeignKey,
    String,
    bindparam,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    deferred,
    load_only,
    mapped_column,
    relationship,
)
from sqlalchemy.orm.attributes import flag_modified

import pegboard
from pegboard import db
from pegboard.changes.sessions import MAX_ROUNDS
from pegboard.resources import BulkInsert, Change, Kind, Listener
from pegboard.testing.processes import run_python


class Base(pegboard.Model, DeclarativeBase):
    """The models of these tests."""


class Shelf(Base):
    """What holds books, which are deleted with it or when it gives them up."""

    __tablename__ = "shelves"

    name: Mapped[str] = mapped_column(String(50))
    books: Mapped[list["Book"]] = relationship(
        back_populates="shelf", cascade="all, delete-orphan", order_by="Book.id"
    )


class Book(Base):
    """What stands on a shelf. Its constructor is its own, and some columns have other names."""

    __tablename__ = "books"

    title: Mapped[str] = mapped_column("heading", String(50))
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))
    state: Mapped[str] = mapped_column(String(10), server_default="new")
    notes: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    blurb: Mapped[str | None] = deferred(mapped_column(String(100)))
    shelf: Mapped[Shelf | None] = relationship(back_populates="books")

    def __init__(self, title: str, **fields: Any) -> None:
        super().__init__(title=title, **fields)


class Picture(Base):
    """What other things are made of."""

    __tablename__ = "pictures"

    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(50))

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "picture"}  # noqa: RUF012 - SQLAlchemy's way


class Drawing(Picture):
    """One kind of a picture."""

    __mapper_args__ = {"polymorphic_identity": "drawing"}  # noqa: RUF012 - as above


class Map(Picture):
    """Another kind, whose rows are in two tables."""

    __tablename__ = "maps"

    id: Mapped[int] = mapped_column(ForeignKey("pictures.id"), primary_key=True)
    scale: Mapped[int]

    __mapper_args__ = {"polymorphic_identity": "map"}  # noqa: RUF012 - as above


class Owner(Base):
    """What has pets and toys, which do not know it."""

    __tablename__ = "owners"

    name: Mapped[str] = mapped_column(String(50))
    pets: Mapped[list["Pet"]] = relationship(order_by="Pet.id")
    toys: Mapped[list["Toy"]] = relationship(order_by="Toy.id", cascade="all, delete-orphan")


class Pet(Base):
    """What stays when its owner gives it up."""

    __tablename__ = "pets"

    name: Mapped[str] = mapped_column(String(50))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))


class Toy(Base):
    """What is deleted when its owner gives it up."""

    __tablename__ = "toys"

    name: Mapped[str] = mapped_column(String(50))
    owner_id: Mapped[int] = mapped_column(ForeignKey("owners.id"))


class Log(Base):
    """What an outbox or an audit writes."""

    __tablename__ = "log"

    line: Mapped[str] = mapped_column(String(100))


log = Base.metadata.tables["log"]


class Teller:
    """A plugin with listeners."""

    def __init__(self, *listeners: Listener, name: str = "teller") -> None:
        self.name = name
        self.listeners = listeners

    @pegboard.hookimpl
    def pegboard_listeners(self) -> Sequence[Listener]:
        """Return the listeners."""
        return self.listeners


Make = Callable[..., Flask]


@pytest.fixture
def make(make_app: Any, database_url: str) -> Make:
    """Build an app with plugins, on a database with the tables."""

    def make(*plugins: object) -> Flask:
        app: Flask = make_app(plugins=plugins, DATABASE_URL=database_url)
        with app.app_context():
            Base.metadata.create_all(db.engine)
        return app

    return make


class Ears:
    """Remembers what one listener is told, as texts."""

    def __init__(self, models: Sequence[type] | None = None, *, name: str = "teller") -> None:
        self.before: list[str] = []
        self.written: list[list[str]] = []
        self.after: list[list[str]] = []
        self.listener = Listener(models, self._before, self._written, self._after)
        self.plugin = Teller(self.listener, name=name)

    def _before(self, change: Change) -> None:
        self.before.append(told(change))

    def _written(self, changes: Sequence[Change]) -> None:
        self.written.append([told(one) for one in changes])

    def _after(self, changes: Sequence[Change]) -> None:
        self.after.append([told(one) for one in changes])


def told(change: Change) -> str:
    """A change as a text: its kind, the row or the model, and the old values."""
    if change.row is None:
        return f"{change.kind} {change.model.__name__}"
    row = change.row
    name = next(getattr(row, key) for key in ("title", "name", "line") if hasattr(row, key))
    old = f" {dict(change.old)}" if change.old else ""
    return f"{change.kind} {row.id} {name}{old}"


def test_each_write_is_told_three_times(make: Make) -> None:
    """Before it, without an id; in the transaction, with it; and after the commit."""
    ears = Ears()
    with make(ears.plugin).app_context():
        book = Book("Emma")
        db.session.add(book)
        db.session.commit()
        book.title = "Persuasion"
        db.session.commit()
        db.session.delete(book)
        db.session.flush()
        assert 2 == len(ears.after)
        db.session.commit()
    changed = "updated 1 Persuasion {'title': 'Emma'}"
    assert ["created None Emma", changed, "deleted 1 Persuasion"] == ears.before
    assert [["created 1 Emma"], [changed], ["deleted 1 Persuasion"]] == ears.written == ears.after


def test_only_models_of_interest_are_told(make: Make) -> None:
    """With those that inherit from them; a base stands for all its models."""
    drawings, pictures, everything = Ears([Drawing]), Ears((Picture,)), Ears([Base])
    listeners = [one.listener for one in (drawings, pictures, everything)]
    with make(Teller(*listeners)).app_context():
        db.session.add_all([Picture(name="Mill"), Drawing(name="Hare"), Book("Emma")])
        db.session.commit()
    assert ["created None Hare"] == drawings.before
    assert ["created None Mill", "created None Hare"] == pictures.before
    assert 3 == len(everything.before) == len(everything.after[0])
    assert [["created 2 Hare"]] == drawings.written == drawings.after


@pytest.mark.parametrize("expire", [True, False])
def test_old_values_are_known_of_what_was_not_loaded(make: Make, *, expire: bool) -> None:
    """Of an expired row, of a deferred column, and of a value that was changed in place."""
    found: list[dict[str, Any]] = []
    listener = Listener(
        [Book],
        before_write=lambda change: found.append(dict(change.old)),
        written=lambda changes: found.extend(dict(one.old) for one in changes),
        after_commit=lambda changes: found.extend(dict(one.old) for one in changes),
    )
    with make(Teller(listener)).app_context():
        with db.engine.begin() as connection:
            values = {"heading": "Emma", "blurb": None, "notes": {"pages": 1}}
            connection.execute(insert(Base.metadata.tables["books"]), values)
        book = db.session.scalars(select(Book)).one()
        if expire:
            db.session.expire(book)
        book.title, book.blurb = "Persuasion", "Second chances."
        book.notes = {"pages": 2}
        db.session.commit()
    expected = {"title": "Emma", "blurb": None, "notes": {"pages": 1}}
    assert [expected] * 3 == found


def test_rows_of_two_tables_are_told_whole(make: Make) -> None:
    """Their old values, the primary key's as well, although nothing of them was loaded."""
    found: list[Change] = []
    with make(Teller(Listener([Picture], after_commit=found.extend))).app_context():
        chart = Map(name="Rhine", scale=500)
        db.session.add(chart)
        db.session.commit()
        chart.name, chart.scale = "Main", 100
        db.session.commit()
        picture = Drawing(name="Hare")
        db.session.add(picture)
        db.session.commit()
        picture.id = 7
        db.session.commit()
    _, changed, _, moved = found
    assert {"name": "Rhine", "scale": 500} == changed.old
    assert (1, "Main", 100) == (changed.row.id, changed.row.name, changed.row.scale)
    assert ({"id": 2}, 7, "Hare") == (moved.old, moved.row.id, moved.row.name)


def test_a_flush_that_changes_nothing_is_not_told(make: Make) -> None:
    """A value set to itself, and a collection that changed, write no row of the model."""
    shelves, books = Ears([Shelf]), Ears([Book])
    with make(Teller(shelves.listener, books.listener)).app_context():
        shelf = Shelf(name="left")
        db.session.add_all([shelf, Book("Emma")])
        db.session.commit()
        shelf.name = shelf.name
        db.session.commit()
        shelf.books.append(db.session.get_one(Book, 1))
        db.session.commit()
    assert ["created None left"] == shelves.before
    assert [["created 1 left"]] == shelves.written == shelves.after
    moved = "updated 1 Emma {'shelf_id': None}"
    assert ["created None Emma", "updated 1 Emma"] == books.before  # the key is not set yet
    assert [["created 1 Emma"], [moved]] == books.written == books.after


def test_cascades_of_the_session_are_told(make: Make) -> None:
    """Rows deleted with their parent, and those that their parent has given up."""
    ears = Ears([Book])
    with make(ears.plugin).app_context():
        shelf = Shelf(name="left", books=[Book(title) for title in ("Emma", "Ivanhoe", "Waverley")])
        db.session.add(shelf)
        db.session.commit()
        shelf.books.pop()
        db.session.commit()
        db.session.delete(shelf)
        db.session.commit()
        assert 0 == db.session.scalar(select(func.count()).select_from(Book))
    expected = [["deleted 3 Waverley"], ["deleted 1 Emma", "deleted 2 Ivanhoe"]]
    assert expected == [[line.partition(" {")[0] for line in one] for one in ears.written[1:]]
    assert ears.written == ears.after
    assert [*expected[0], *expected[1]] == [line.partition(" {")[0] for line in ears.before[3:]]


def test_a_session_of_its_own_is_the_one_that_listeners_write_to(make: Make) -> None:
    """So that their writes are committed or rolled back with the row; afterwards it is not."""

    def note(what: str) -> Callable[..., object]:
        return lambda _: db.session.execute(insert(log).values(line=what))

    listener = Listener([Shelf, Book], note("before"), note("written"))
    app = make(Teller(listener))
    with app.app_context():
        current = db.session()
        with Session(db.engine) as session:
            session.add(Shelf(name="top"))
            session.flush()
            session.execute(update(Book).values(title="new"))
            session.rollback()
            session.add(Shelf(name="bottom"))
            session.commit()

        assert current is db.session()
        assert ["before", "written"] == db.session.scalars(select(Log.line).order_by(Log.id)).all()
        db.session.remove()
        with Session(db.engine) as session:
            session.add(Shelf(name="last"))
            session.commit()
        assert not db.session.registry.has()


def test_rows_whose_foreign_keys_a_collection_sets_are_told_before(make: Make) -> None:
    """As they come in or leave, and when their owner is deleted; so they can be refused."""
    ears = Ears([Pet])
    app = make(ears.plugin)
    with app.app_context():
        owner = Owner(name="Ann", pets=[Pet(name="cat"), Pet(name="dog")])
        db.session.add_all([owner, Pet(name="cow")])
        db.session.commit()
        ears.before.clear()
        ears.written.clear()

        cow = db.session.get_one(Pet, 3)
        del owner.pets[0]
        owner.pets.append(cow)
        db.session.commit()
        assert ["updated 1 cat", "updated 3 cow"] == sorted(ears.before)
        ears.before.clear()
        db.session.delete(owner)
        db.session.commit()

        assert ["updated 2 dog", "updated 3 cow"] == sorted(ears.before)
        assert [
            ["updated 1 cat {'owner_id': 1}", "updated 3 cow {'owner_id': None}"],
            ["updated 2 dog {'owner_id': 1}", "updated 3 cow {'owner_id': 1}"],
        ] == [sorted(one) for one in ears.written]


def test_orphans_that_do_not_know_their_parent_are_told(make: Make) -> None:
    """They are deleted."""
    ears = Ears([Toy])
    app = make(ears.plugin)
    with app.app_context():
        owner = Owner(name="Ann", toys=[Toy(name="ball"), Toy(name="kite")])
        db.session.add(owner)
        db.session.commit()
        ears.before.clear()
        owner.toys.pop()
        db.session.commit()
        assert ["deleted 2 kite"] == ears.before
        assert [["deleted 2 kite"]] == ears.written[1:] == ears.after[1:]
        db.session.delete(owner)
        db.session.commit()

        assert ["deleted 2 kite", "deleted 1 ball"] == ears.before


def test_a_row_that_takes_the_place_of_another_comes_after_it(make: Make) -> None:
    """So that a mirror of the table ends with the new one."""
    ears = Ears()
    with make(ears.plugin).app_context():
        book = Book("Emma")
        db.session.add(book)
        db.session.commit()
        db.session.delete(book)
        db.session.add_all([Book("Ivanhoe"), Book("Waverley", id=1)])
        db.session.commit()
    first, *others = ears.after[1]
    assert "deleted 1 Emma" == first
    assert ["created 1 Waverley", "created 2 Ivanhoe"] == sorted(others)


def test_a_value_that_is_changed_in_place_has_an_old_one(make: Make) -> None:
    """It is read again, as the session has lost it."""
    found: list[Any] = []

    def count(change: Change) -> None:
        if "title" in change.old:
            change.row.notes["pages"] = 3
            flag_modified(change.row, "notes")

    with make(Teller(Listener(before_write=count, written=found.extend))).app_context():
        book = Book("Emma", notes={"pages": 1})
        db.session.add(book)
        db.session.commit()
        assert book.notes is not None
        book.notes["pages"] = 2
        flag_modified(book, "notes")
        db.session.commit()
        book.title = "Persuasion"
        db.session.commit()
    assert {"notes": {"pages": 1}} == found[1].old
    assert {"title": "Emma", "notes": {"pages": 2}} == found[2].old


def test_writes_of_other_models_cost_no_statement(make: Make) -> None:
    """Nothing is loaded or kept where nobody listens to a model."""
    sent: list[list[str]] = []
    for plugins in ([], [Ears([Log]).plugin]):
        with make(*plugins).app_context():
            statements: list[str] = []
            book = Book("Emma")
            db.session.add(book)
            db.session.commit()
            note = partial(note_statement, statements)
            event.listen(db.engine, "before_cursor_execute", note)
            book.title = "Persuasion"
            db.session.flush()
            db.session.execute(update(Book).where(Book.id == book.id).values(state="old"))
            assert not any("changes" in str(key) for key in db.session().info)
            db.session.rollback()
            sent.append(statements)
    assert sent[0]
    assert sent[0] == sent[1]


def note_statement(sent: list[str], *given: Any) -> None:
    """Note what an engine sends."""
    sent.append(given[2])


def test_two_apps_do_not_hear_of_each_other(make_app: Any, sqlite_url: str) -> None:
    """Each has its listeners; one may have none; outside of an app nothing is told."""
    ears = Ears(), Ears()
    apps = [make_app(plugins=[one.plugin], DATABASE_URL=sqlite_url) for one in ears]
    deaf = make_app(DATABASE_URL=sqlite_url)
    for app in (*apps, deaf):
        with app.app_context():
            Base.metadata.create_all(db.engine)
            db.session.add(Log(line="one"))
            db.session.commit()
    with deaf.app_context():
        engine = db.engine
    with Session(engine) as session, session.begin():
        session.add(Log(line="another"))
    assert [1, 1] == [len(one.after) for one in ears]
    assert [1, 1] == [len(one.before) for one in ears]


@pytest.mark.slow
def test_an_app_without_listeners_watches_no_session() -> None:
    """In a process of its own, as the listeners to sessions belong to the process."""
    run_python(
        "from sqlalchemy import event\n"
        "from sqlalchemy.orm import Session\n"
        "import pegboard, pegboard.changes.sessions as sessions\n"
        "pegboard.create_app({'ENV': 'testing'}, plugins=[])\n"
        "watched = [event.contains(Session, *one) for one in sessions._SESSION_EVENTS.items()]\n"
        "assert watched and not any(watched), watched"
    )


# Refusing


def test_a_listener_may_change_the_row_and_write_others(make: Make) -> None:
    """All listeners are asked about what it writes, too."""
    ears = Ears()

    def shelve(change: Change) -> None:
        if isinstance(change.row, Book) and change.kind is Kind.CREATED:
            change.row.title += "!"
            db.session.add(Shelf(name="new"))

    with make(Teller(Listener([Book], before_write=shelve), ears.listener)).app_context():
        db.session.add(Book("Emma"))
        db.session.commit()
    assert ["created None Emma!", "created None new"] == ears.before
    assert ["created 1 Emma!", "created 1 new"] == sorted(ears.after[0])


def test_a_listener_without_end_is_stopped(make: Make) -> None:
    """One that writes a row for each row, its own included."""

    def grow(_: Change) -> None:
        db.session.add(Log(line="again"))

    with make(Teller(Listener(before_write=grow))).app_context():
        db.session.add(Log(line="first"))
        with pytest.raises(RecursionError, match=f"teller .* {MAX_ROUNDS} times .* Log"):
            db.session.commit()


def listening(step: str, function: Callable[[Any], object], *models: type) -> Listener:
    """A listener with one function."""
    given: dict[str, Any] = {step: function}
    return Listener(models or None, **given)


def refuse_by_abort(_: object) -> None:
    """Refuse with a status."""
    pegboard.abort(409, "The book stays.")


def refuse_field(_: object) -> None:
    """Refuse a field."""
    raise ValidationError({"title": ["Too long."]})


def fail(_: object) -> None:
    """Fail as a bug does."""
    message = "a bug"
    raise LookupError(message)


def create_book(title: str = "Emma") -> None:
    """Write a row by a flush."""
    db.session.add(Book(title))
    db.session.flush()


def create_many() -> None:
    """Write a row by a statement on the model."""
    db.session.execute(insert(Book).values(title="Emma"))


WRITES = [create_book, create_many]
REFUSALS = [
    (refuse_by_abort, {"message": "The book stays.", "status": 409}),
    (
        refuse_field,
        {
            "message": "The plugin teller refused the write.",
            "status": 422,
            "errors": {"title": ["Too long."]},
        },
    ),
    (fail, {"message": None, "status": 500}),
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("step", ["before_write", "written"])
@pytest.mark.parametrize("refuse,expected", REFUSALS)
def test_a_refused_write_is_undone_and_the_plugin_named(
    make: Make,
    caplog: pytest.LogCaptureFixture,
    write: Callable[[], None],
    step: str,
    refuse: Callable[[object], None],
    expected: dict[str, Any],
) -> None:
    """In the answer, or in the log where the answer does not say why."""
    caplog.set_level(logging.DEBUG, "pegboard.changes")
    ears = Ears()
    app = make(Teller(listening(step, refuse)), Teller(ears.listener, name="ears"))
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.post("/books")
    @pegboard.transactional
    def add() -> str:
        db.session.execute(insert(log).values(line="with it"))
        write()
        return "done"

    response = app.test_client().post("/books")

    assert expected["status"] == response.status_code
    if response.status_code != 500:
        assert expected == response.get_json()
    kind = "Book created" if write is create_book else "Book many"
    assert any(
        "teller" in line and step in line and kind in line for line in caplog.text.splitlines()
    )
    with app.app_context():
        for model in (Book, Log):
            assert 0 == db.session.scalar(select(func.count()).select_from(model))
    assert [] == ears.after


@pytest.mark.parametrize("step", ["before_write", "written"])
@pytest.mark.parametrize("write", WRITES)
def test_what_was_refused_is_not_committed_by_who_catches_it(
    make: Make, step: str, write: Callable[[], None]
) -> None:
    """Neither by a flush in a savepoint nor by a statement on a model."""
    with make(Teller(listening(step, fail, Book))).app_context():
        db.session.add(Log(line="kept"))
        db.session.flush()
        savepoint = nullcontext() if write is create_many else db.session.begin_nested()
        with pytest.raises(LookupError), savepoint:
            write()
        db.session.commit()
        assert 0 == db.session.scalar(select(func.count()).select_from(Book))
        assert 1 == db.session.scalar(select(func.count()).select_from(Log))


# In the transaction


def test_an_outbox_is_written_with_the_row(make: Make) -> None:
    """By Core statements, with the row's id; a rollback takes both."""

    def note(changes: Sequence[Change]) -> None:
        lines = [{"line": f"{one.kind} {one.row.id} {one.row.state}"} for one in changes]
        db.session.execute(insert(log), lines)

    with make(Teller(Listener([Book], written=note))).app_context():
        db.session.add_all([Book("Emma"), Book("Ivanhoe")])
        db.session.commit()
        db.session.add(Book("Waverley"))
        db.session.flush()
        db.session.rollback()
        lines = db.session.scalars(select(log.c.line).order_by(log.c.id)).all()
    assert ["created 1 new", "created 2 new"] == lines


def test_rows_that_are_added_while_rows_are_written_are_committed_with_them(make: Make) -> None:
    """They are told in turn; SQLAlchemy flushes them with the commit."""
    ears = Ears([Log])

    def note(changes: Sequence[Change]) -> None:
        db.session.add_all([Log(line=f"{one.kind} {one.row.id}") for one in changes])

    with make(Teller(Listener([Book], written=note), ears.listener)).app_context():
        db.session.add(Book("Emma"))
        db.session.commit()
    assert [["created 1 created 1"]] == ears.after


def test_a_retried_transaction_asks_again_and_tells_once(make: Make) -> None:
    """As the whole function is run again."""
    ears = Ears()
    attempts: list[int] = []

    @pegboard.transactional
    def add() -> None:
        attempts.append(1)
        create_book()
        if len(attempts) == 1:
            raise busy()

    with make(ears.plugin).app_context():
        add()
    assert 2 == len(ears.before) == len(ears.written)
    assert 1 == len(ears.after)


def busy() -> OperationalError:
    """An error after which a transaction is run again, as SQLite raises it."""
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return OperationalError("INSERT", {}, cause)


# After the commit


def test_savepoints_count_when_they_are_kept(make: Make) -> None:
    """Also for statements on a model; what a savepoint's rollback undoes is not told."""
    ears = Ears([Book])
    with make(ears.plugin).app_context():
        create_book("outer")
        with db.session.begin_nested():
            create_book("kept")
            with db.session.begin_nested():
                create_book("kept, too")
        lost = db.session.begin_nested()
        create_book("lost")
        create_many()
        with db.session.begin_nested():
            create_book("lost with it")
        lost.rollback()
        create_many()
        assert [] == ears.after
        db.session.commit()
    titles = [line.split(" ", 2)[-1] for line in ears.after[0][:-1]]
    assert ["outer", "kept", "kept, too"] == titles
    assert "many Book" == ears.after[0][-1]


def test_nothing_is_told_of_what_is_rolled_back(make: Make) -> None:
    """Not at the rollback, nor with the next commit of the same session."""
    ears = Ears()
    with make(ears.plugin).app_context():
        create_book()
        create_many()
        db.session.rollback()
        create_book()
        db.session.close()
        create_book("Ivanhoe")
        db.session.commit()
    assert ["Ivanhoe"] == [line.split()[-1] for line in ears.after[0]]
    assert 1 == len(ears.after)


def test_copies_are_whole_and_belong_to_no_session(make: Make) -> None:
    """With what the database computed; they can be kept, and written to without effect."""
    kept: list[Change] = []
    with make(Teller(Listener([Book], after_commit=kept.extend))).app_context():
        book = Book("Emma", blurb="A match.", notes={"pages": 1})
        db.session.add(book)
        db.session.flush()
        assert book.notes is not None
        book.notes["pages"] = 2  # which SQLAlchemy does not notice
        db.session.commit()
        db.session.expunge_all()
        book = db.session.scalars(select(Book).options(load_only(Book.id))).one()
        book.title = func.upper("Persuasion")
        db.session.commit()
        assert "PERSUASION" == kept[1].row.title
        kept[1].row.title = "scribbled"
        db.session.commit()
        assert ("PERSUASION", {"pages": 1}) == (book.title, book.notes)
        db.session.delete(book)
        db.session.commit()
    assert {"title": "Emma"} == kept[1].old
    created, changed, deleted = (one.row for one in kept)
    assert ("new", "A match.", {"pages": 1}) == (created.state, created.blurb, created.notes)
    assert ("scribbled", "A match.") == (changed.title, changed.blurb)
    assert ("PERSUASION", "A match.", 1) == (deleted.title, deleted.blurb, deleted.id)
    assert all(inspect(one).transient for one in (created, changed, deleted))


def test_a_listener_that_fails_after_the_commit_stops_no_other(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The write is done; the error is logged with the plugin's name."""
    ears = Ears()
    plugins = [Teller(Listener(after_commit=fail), name="broken"), Teller(ears.listener)]
    with make(*plugins).app_context():
        create_book()
        db.session.commit()
        assert 1 == db.session.scalar(select(func.count()).select_from(Book))
    assert [["created 1 Emma"]] == ears.after
    errors = [one.message for one in caplog.records if one.levelno == logging.ERROR]
    assert ["plugin broken failed after a commit"] == errors


def test_the_session_after_the_commit_is_a_new_one(make: Make) -> None:
    """In which a listener may read and write, in a transaction of its own."""
    sessions: list[Session] = []

    @pegboard.transactional
    def note(changes: Sequence[Change]) -> None:
        sessions.append(db.session())
        title = db.session.get_one(Book, changes[0].row.id).title
        db.session.execute(insert(log).values(line=title))

    with make(Teller(Listener([Book], after_commit=note))).app_context():
        create_book()
        db.session.commit()
        assert [True] == [one is not db.session() for one in sessions]
        assert ["Emma"] == db.session.scalars(select(log.c.line)).all()


# Statements


STATEMENTS = {
    "update": lambda: update(Book).values(title="Ivanhoe"),
    "update of one": lambda: update(Book).where(Book.id == 1).values(title="Ivanhoe"),
    "delete": lambda: delete(Book),
    "update by ids": lambda: (update(Book), [{"id": 1, "title": "Ivanhoe"}]),
    "insert": lambda: insert(Book).values(title="Ivanhoe"),
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=list(STATEMENTS))
def test_a_statement_on_a_model_is_one_change(make: Make, statement: Callable[[], Any]) -> None:
    """Of the kind `many`, without a row; what it returns is as without listeners."""
    ears = Ears([Book])
    with make(ears.plugin).app_context():
        create_book()
        db.session.commit()
        given = statement()
        result: Any = db.session.execute(*(given if isinstance(given, tuple) else (given,)))
        assert isinstance(given, tuple) or 1 == result.rowcount
        db.session.commit()
    assert "many Book" == ears.before[-1]
    assert ["many Book"] == ears.written[-1] == ears.after[-1]
    assert 2 == len(ears.before) == len(ears.written) == len(ears.after)


NO_BOOK = Book.title == "Persuasion"


@pytest.mark.parametrize(
    "statement",
    [
        lambda: update(Book).where(NO_BOOK).values(title="Ivanhoe"),
        lambda: update(Book).where(NO_BOOK).values(title="Ivanhoe").returning(Book.id),
        lambda: delete(Book).where(NO_BOOK),
        lambda: (update(Book), []),
    ],
    ids=["update", "returning", "delete", "update by no ids"],
)
def test_a_statement_that_writes_no_row_is_no_change(
    make: Make, statement: Callable[[], Any]
) -> None:
    """It could have been refused before; afterwards nobody is told of it."""
    ears = Ears([Book])
    with make(ears.plugin).app_context():
        create_book()
        db.session.commit()
        given = statement()
        db.session.execute(*(given if isinstance(given, tuple) else (given,)))
        db.session.commit()
    assert "many Book" == ears.before[-1]
    assert 1 == len(ears.written) == len(ears.after)


ALL = pegboard.Statement(select(Book.title))
RENAME = pegboard.Statement(update(Book).values(title=bindparam("new")).returning(Book.title))


NEW_SHELF = pegboard.Statement(insert(Shelf).returning(Shelf.id))


def test_a_statement_that_is_made_once_is_one_change(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it writes; others cost as little as without listeners."""
    ears = Ears([Book])
    with make(ears.plugin).app_context():
        create_book()
        db.session.commit()
        assert ["Ivanhoe"] == RENAME.execute(db.session, new="Ivanhoe").scalars().all()
        db.session.commit()
        ALL.execute(db.session)
        monkeypatch.delattr(Session, "execute")
        assert ["Ivanhoe"] == ALL.execute(db.session).scalars().all()
        assert [1] == NEW_SHELF.execute(db.session, name="a").scalars().all()
    assert ["many Book"] == ears.written[-1] == ears.after[-1]
    assert 2 == len(ears.before) == len(ears.written) == len(ears.after)


def test_statements_return_their_rows(make: Make) -> None:
    """Those of RETURNING, as objects of the session, also while a listener writes."""

    def note(changes: Sequence[Change]) -> None:
        db.session.execute(insert(log), [{"line": one.kind} for one in changes])

    with make(Teller(Listener([Book], written=note))).app_context():
        rows = [{"title": title} for title in ("Emma", "Ivanhoe")]
        books = db.session.scalars(insert(Book).returning(Book), rows).all()
        assert ["Emma", "Ivanhoe"] == [book.title for book in books]
        assert all(book in db.session for book in books)
        titles = db.session.scalars(update(Book).values(title="Waverley").returning(Book.title))
        assert ["Waverley", "Waverley"] == titles.all()
        db.session.commit()
        assert ["many", "many"] == db.session.scalars(select(log.c.line)).all()
        assert "Waverley" == books[0].title


def test_a_statement_on_a_base_concerns_those_who_listen_to_a_subclass(make: Make) -> None:
    """As it may write their rows; one on another subclass does not."""
    drawings = Ears([Drawing])
    with make(drawings.plugin).app_context():
        pictures = Base.metadata.tables["pictures"]
        db.session.execute(pictures.insert().values(name="a", kind="a"))  # not told
        db.session.execute(update(Picture).values(name="x"))
        db.session.execute(update(Book).values(title="x"))
        db.session.commit()
    assert ["many Picture"] == drawings.before
    assert [["many Picture"]] == drawings.written == drawings.after


def test_what_does_not_pass_the_unit_of_work_is_not_told(make: Make) -> None:
    """Statements on tables, texts, and statements on connections: as the guide says."""
    ears = Ears()
    books = Base.metadata.tables["books"]
    with make(ears.plugin).app_context():
        db.session.execute(insert(books).values(heading="Emma"))
        db.session.execute(text("UPDATE books SET heading = 'x'"))
        db.session.bulk_insert_mappings(inspect(Book), [{"title": "Ivanhoe"}])
        db.session.commit()
        with db.engine.begin() as connection:
            connection.execute(delete(books))
    assert ([], [], []) == (ears.before, ears.written, ears.after)


# Imports


def test_rows_of_a_bulk_insert_are_told(make: Make) -> None:
    """Each before, and each batch in the transaction and after the commit."""
    ears = Ears([Book])
    states: list[tuple[str, str]] = []

    def change(change: Change) -> None:
        if change.row.title == "Anvil":
            pegboard.abort(409, "The anvil stays.")
        if len(change.row.title) > 4:
            change.row.blurb = "long"

    def look(changes: Sequence[Change]) -> None:
        states.extend((one.row.state, one.row.blurb) for one in changes)

    listener = Listener([Book], before_write=change, after_commit=look)
    with make(Teller(listener, ears.listener)).app_context():
        bulk = BulkInsert(Book)
        with pytest.raises(Exception, match="The anvil stays"):
            bulk.prepare({"title": "Anvil"})
        values = [bulk.prepare({"title": title}) for title in ("Emma", "Ivanhoe", "Emil")]
        bulk.execute(values[:2])
        bulk.execute(values[2:])
        assert [["created 1 Emma", "created 2 Ivanhoe"], ["created 3 Emil"]] == ears.written
        db.session.commit()
        assert [] == ears.after
        bulk.announce()
        bulk.announce()
    assert 3 == len(ears.before)
    assert ears.written == ears.after
    assert [("new", None), ("new", "long"), ("new", None)] == states


def test_a_refused_batch_of_a_bulk_insert_is_not_inserted(make: Make) -> None:
    """Although the caller goes on; the next batch is."""

    def refuse(changes: Sequence[Change]) -> None:
        if any(one.row.title == "Anvil" for one in changes):
            fail(changes)

    ears = Ears([Book])
    with make(Teller(Listener([Book], written=refuse), ears.listener)).app_context():
        bulk = BulkInsert(Book)
        with pytest.raises(LookupError):
            bulk.execute([{"title": "Emma"}, {"title": "Anvil"}])
        bulk.execute([{"title": "Ivanhoe"}])
        db.session.commit()
        bulk.announce()
        assert ["Ivanhoe"] == db.session.scalars(select(Book.title)).all()
    assert [["Ivanhoe"]] == [[line.split()[-1] for line in one] for one in ears.after]


def test_a_bulk_insert_without_listeners_inserts(make: Make) -> None:
    """And reads nothing; a model of several tables is refused."""
    with pytest.raises(TypeError, match="Map is stored in more than one table"):
        BulkInsert(Map)
    with make().app_context():
        statements: list[str] = []
        event.listen(db.engine, "before_cursor_execute", partial(note_statement, statements))
        bulk = BulkInsert(Book)
        bulk.execute([bulk.prepare({"title": "Emma"}), bulk.prepare({"title": "Ivanhoe"})])
        db.session.commit()
        bulk.announce()
        assert 1 == sum(one.startswith("INSERT") for one in statements)
        assert not any("SELECT" in one or "RETURNING" in one for one in statements)
        assert ["Emma", "Ivanhoe"] == db.session.scalars(select(Book.title)).all()

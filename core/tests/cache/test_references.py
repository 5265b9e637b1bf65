"""Look-ups that depend on rows which refer to theirs: a write touches one answer, not all."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from flask import Flask
from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    column,
    delete,
    event,
    func,
    insert,
    literal,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from pegboard.cache import cached, init_cache
from pegboard.cache.declaration import lookup_of
from pegboard.cache.invalidation import Tables
from pegboard.database import DatabaseOptions, Model, db, init_database
from pegboard.testing.processes import wait_until
from pegboard.testing.recording import RecordingStrategy


class Base(Model, DeclarativeBase):
    """The models with an id."""


class Keyed(DeclarativeBase):
    """The models with keys of other kinds."""


class Owner(Base):
    """Whom items belong to."""

    __tablename__ = "owners"


labels = Table(
    "labels",
    Base.metadata,
    Column("item_id", ForeignKey("items.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class Tag(Base):
    """What items are labelled with."""

    __tablename__ = "tags"


class Item(Base):
    """What is cached."""

    __tablename__ = "items"

    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(20), default="")
    tags: Mapped[list[Tag]] = relationship(secondary=labels)


class Review(Base):
    """What refers to an item."""

    __tablename__ = "reviews"

    item_id: Mapped[int | None] = mapped_column(ForeignKey(Item.id, ondelete="CASCADE"))
    other_id: Mapped[int | None] = mapped_column(ForeignKey(Item.id))
    author_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id, ondelete="CASCADE"))
    text: Mapped[str] = mapped_column(String(20), default="")


class Remark(Base):
    """What refers to an item, and to the first one when its own goes."""

    __tablename__ = "remarks"

    item_id: Mapped[int] = mapped_column(
        "about", ForeignKey(Item.id, ondelete="SET DEFAULT"), server_default="1"
    )


class Category(Base):
    """What refers to its parent, in the same table."""

    __tablename__ = "categories"

    parent_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))
    name: Mapped[str] = mapped_column(String(20), default="")


class Seat(Keyed):
    """A row with a key of two parts."""

    __tablename__ = "seats"

    row: Mapped[str] = mapped_column(String(5), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str | None] = mapped_column(String(5), unique=True)


class Booking(Keyed):
    """What refers to two parts, in another order; and to two seats of one row."""

    __tablename__ = "bookings"
    __table_args__ = (
        ForeignKeyConstraint(["number", "row"], ["seats.number", "seats.row"]),
        ForeignKeyConstraint(["row", "next"], ["seats.row", "seats.number"]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int | None]
    next: Mapped[int | None]
    row: Mapped[str | None] = mapped_column(String(5))
    code: Mapped[str | None] = mapped_column(ForeignKey(Seat.code))


class Device(Keyed):
    """A row with a UUID."""

    __tablename__ = "devices"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class Reading(Keyed):
    """What refers to a device."""

    __tablename__ = "readings"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Device.id))


places = iter([5, 6] * 100)
pins = Table(
    "pins",
    Base.metadata,
    Column("item_id", ForeignKey(Item.id), default=lambda: next(places)),
    Column("text", String(20)),
)


DEVICE = uuid.UUID("0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f")
LOOKUPS: Sequence[tuple[str, str, type[DeclarativeBase], Any]] = (
    ("/items/<int:id>", "view", Item, ()),
    ("/items/<int:id>/summary", "summary", Item, [Review.item_id]),
    ("/items/<int:id>/others", "others", Item, Review.other_id),
    ("/items/<int:id>/remarks", "remarks", Item, [Remark.item_id]),
    ("/items/<int:id>/pins", "pins", Item, [pins.c.item_id]),
    ("/items/<int:id>/labels", "labels", Item, [labels.c.item_id]),
    ("/owners/<int:id>/reviews", "reviews", Owner, [Review.author_id]),
    ("/categories/<int:id>", "children", Category, Category.parent_id),
    ("/seats/<row>/<int:number>", "bookings", Seat, [Booking.number]),
    ("/devices/<id>", "readings", Device, [Reading.device_id]),
)
reviews = cast("Table", Review.__table__)
LABELS = {"items/*"}
"""What a write of the labels touches of the look-up that does not say how it depends on them."""


def view(**_: Any) -> str:
    """Answer."""
    return "answer"


@pytest.fixture
def app(database_url: str, strategy: RecordingStrategy) -> Iterator[Flask]:
    """An app with these look-ups and some rows, whose context is active."""
    app = Flask(__name__)
    init_database(app, DatabaseOptions(database_url))
    for rule, name, model, depends in LOOKUPS:
        declared = cached(model, ttl=300, depends=depends, name=name)(view)
        app.add_url_rule(rule, rule, declared)
    with app.app_context():
        for base in (Base, Keyed):
            base.metadata.create_all(db.engine)
        db.session.add_all([Owner(), Owner(), Tag(), Category(), Category()])
        db.session.flush()
        db.session.add_all([Item(owner_id=1) for _ in range(9)])
        db.session.add_all([Seat(row="a", number=1), Seat(row="b", number=2), Device(id=DEVICE)])
        db.session.flush()
        db.session.add_all([Review(item_id=5), Review(item_id=6), Review()])
        db.session.add(Booking(row="a", number=1))
        db.session.commit()
        tables = [*Base.metadata.tables.values(), *Keyed.metadata.tables.values()]
        init_cache(app, strategy, tables, serve_hits=True, send_status_header=False)
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def touched(app: Flask, strategy: RecordingStrategy) -> Callable[..., set[str]]:
    """Execute statements, or call functions, in a session; return what its commit has fenced."""

    def run(*actions: Any) -> set[str]:
        strategy.fenced.clear()
        for action in actions:
            if callable(action):
                action()
            else:
                db.session.execute(action)
        db.session.commit()
        assert len(strategy.fenced) <= 1
        return strategy.fenced[0] if strategy.fenced else set()

    return run


@pytest.fixture
def postgres_only(app: Flask) -> None:
    """Skip the test on SQLite, where only one transaction writes at a time."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("only one transaction writes at a time")


def get(number: int) -> Review:
    """Return a review, as the session has it."""
    return db.session.get_one(Review, number)


# Inserted


def test_a_new_row_touches_the_answer_about_what_it_refers_to(touched: Any) -> None:
    """However it is written, if the statement says what that is."""
    five, six = {"items:summary/5"}, {"items:summary/6"}
    assert five == touched(lambda: db.session.add(Review(item_id=5)))
    assert five | six == touched(
        lambda: db.session.add_all([Review(item_id=5), Review(item_id=6), Review()])
    )
    nothing = {"other_id": None, "author_id": None}
    for into in (Review, reviews):
        assert five == touched(insert(into).values(item_id=5, **nothing))
    light = table("reviews", column("item_id"), column("text"))
    assert five <= touched(insert(light).values(item_id=5, text=""))
    rows = [{**nothing, "item_id": 5}, {**nothing, "item_id": 6, "other_id": 7}]
    several = five | six | {"items:others/7"}
    for statement in (insert(Review), insert(reviews)):
        assert several == touched(lambda: db.session.execute(statement, rows))  # noqa: B023


def test_a_new_row_that_refers_to_nothing_touches_nothing(touched: Any) -> None:
    """Whether it says so or not; neither does one of a key of which a part is missing."""
    assert set() == touched(insert(reviews).values(text="x"))
    assert set() == touched(lambda: db.session.add(Review()))
    assert set() == touched(lambda: db.session.add(Booking(row="a")))


def test_a_new_row_of_which_the_statement_does_not_say_enough_touches_all(
    app: Flask, touched: Any
) -> None:
    """What a database computes, stores otherwise than it is sent, or selects is not known."""
    dialect: Any = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    conflict = dialect.insert(Review).values(id=1, item_id=5)
    named = insert(reviews).values(item_id=bindparam("item_id") + 0)
    for statement in (
        insert(Review).values(item_id=literal(2) + 3),
        insert(Review).values(item_id=select(func.max(Item.id)).scalar_subquery()),
        insert(reviews).values([{"item_id": 5}, {"item_id": 6}]),
        insert(reviews).from_select(["item_id", "text"], select(Item.id, Item.name)),
        insert(Remark),
        conflict.on_conflict_do_nothing(),
        conflict.on_conflict_do_update(index_elements=[Review.id], set_={"item_id": 7}),
        text("INSERT INTO reviews (item_id, text) VALUES (5, '')"),
        insert(reviews).values(item_id=5.0),
        lambda: db.session.execute(named, {"item_id": 5}),
    ):
        found = touched(statement)
        assert found & {"items:summary/*", "items:remarks/*"}, statement
        assert not found & {"items/*", "items:labels/*"}


def test_a_default_of_the_model_is_known_where_it_is_one_for_each_row(touched: Any) -> None:
    """Not in a statement of several rows, whose parameters SQLAlchemy names in two ways."""
    found = touched(insert(pins).values(text="x"))
    (place,) = db.session.scalars(select(pins.c.item_id))
    assert {f"items:pins/{place}"} == found
    assert {"items:pins/*"} == touched(insert(pins).values([{"text": "x"}, {"text": "y"}]))


# Changed


def test_a_row_that_moves_touches_the_answers_about_both(touched: Any) -> None:
    """About the one that it referred to, and the one that it refers to now; to none, if so."""

    def move(target: int | None) -> None:
        get(1).item_id = target

    assert {"items:summary/5", "items:summary/7"} == touched(lambda: move(7))
    assert {"items:summary/7", "items:summary/8"} == touched(
        update(Review).where(Review.id == 1).values(item_id=8)
    )
    assert {"items:summary/8", "items:summary/9"} == touched(
        update(reviews).where(reviews.c.id == 1).values(item_id=reviews.c.item_id + 1)
    )
    assert {"items:summary/9"} == touched(lambda: move(None))
    assert {"items:summary/4"} == touched(lambda: move(4))
    assert {"items:summary/4", "items:summary/3", "items:summary/2"} == touched(
        lambda: move(3), db.session.flush, lambda: move(2)
    )


def test_a_changed_row_touches_the_answer_about_what_it_refers_to(touched: Any) -> None:
    """The statement says nothing of that."""

    def change() -> None:
        get(1).text = get(3).text = "new"

    assert {"items:summary/5"} == touched(change)
    assert {"items:summary/5", "items:summary/6"} == touched(
        update(Review).where(Review.id.in_([1, 2])).values(text="newer")
    )
    rows = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]
    assert {"items:summary/5", "items:summary/6"} == touched(
        lambda: db.session.execute(update(Review), rows)
    )
    assert set() == touched(update(Review).where(Review.id == 3).values(text="x"))


def test_several_look_ups_of_one_table_are_told_apart(touched: Any) -> None:
    """Each is touched by its own foreign key."""
    assert {"items:summary/5", "items:others/6", "owners:reviews/1"} == touched(
        lambda: db.session.add(Review(item_id=5, other_id=6, author_id=1))
    )
    assert {
        "items:summary/5",
        "items:others/6",
        "items:others/7",
        "owners:reviews/1",
    } == touched(update(Review).where(Review.id == 4).values(other_id=7))


def test_a_statement_that_does_not_name_its_rows_touches_all_answers(touched: Any) -> None:
    """Those of the look-up, and not those of another look-up of the same table."""
    own = {"items:summary/*", "items:others/*", "owners:reviews/*"}
    for statement in (
        update(Review).values(text="x"),
        update(Review).where(Review.item_id == 5).values(text="x"),
        update(Review).where(Review.id > 1).values(text="x"),
        update(Review).where(Review.id.in_(range(1, 502))).values(text="x"),
        delete(Review).where(Review.text == "nobody has it"),
        text("UPDATE reviews SET text = 'x'"),
    ):
        assert own == touched(statement)


def test_a_row_that_is_not_there_may_be_there_in_a_moment(touched: Any) -> None:
    """So it is not known what it refers to."""
    own = {"items:summary/*", "items:others/*", "owners:reviews/*"}
    assert own == touched(update(Review).where(Review.id == 1000).values(text="x"))
    assert own == touched(delete(Review).where(Review.id.in_([1, 1000])))


def test_a_row_whose_own_key_changes_touches_all_answers(touched: Any) -> None:
    """It cannot be read again."""

    def change() -> None:
        review = get(1)
        review.id, review.item_id = 100, 7

    assert {"items:summary/*", "items:others/*", "owners:reviews/*"} == touched(change)


# Deleted


def test_a_deleted_row_touches_the_answer_about_what_it_referred_to(touched: Any) -> None:
    """By its key, which is read, or by what it refers to."""
    assert {"items:summary/5"} == touched(lambda: db.session.delete(get(1)))
    assert {"items:summary/6"} == touched(delete(Review).where(Review.id == 2))
    assert {"items:summary/7", "items:others/*", "owners:reviews/*"} == touched(
        delete(Review).where(Review.item_id == 7)
    )
    assert set() == touched(delete(Review).where(Review.id == 3))


def test_what_goes_with_the_row_touches_no_other_answer(touched: Any) -> None:
    """What depends on the rows by the key that they follow is an answer about the deleted row."""
    found = touched(lambda: db.session.delete(db.session.get_one(Item, 5)))
    assert {"items/5", "items:summary/5", "items:labels/5"} <= found
    assert not found & {"items/*", "items:summary/*"}
    assert {"items:others/*", "owners:reviews/*", "items:remarks/*"} <= found


def test_what_the_database_deletes_by_another_key_touches_all_answers(touched: Any) -> None:
    """Which rows these are is not known."""
    found = touched(delete(Owner).where(Owner.id == 2))
    assert {"items:summary/*", "items:others/*", "owners:reviews/*"} <= found


# Keys


def test_a_table_of_pairs_touches_the_answer_about_its_row(touched: Any) -> None:
    """If a look-up says how it depends on it; else all answers."""
    item, tag = db.session.get_one(Item, 5), db.session.get_one(Tag, 1)
    every = {f"items{name}/*" for name in ("", ":summary", ":others", ":remarks", ":pins")}
    assert {"items:labels/5"} | every == touched(lambda: item.tags.append(tag))
    assert {"items:labels/5"} | every == touched(lambda: item.tags.remove(tag))


def test_a_row_may_refer_to_one_of_its_own_table(touched: Any) -> None:
    """Then its own answer is touched as well."""
    assert {"categories:children/1"} == touched(lambda: db.session.add(Category(parent_id=1)))
    assert {"categories:children/1", "categories:children/3"} == touched(
        lambda: setattr(db.session.get_one(Category, 3), "name", "new")
    )
    assert {f"categories:children/{number}" for number in (1, 2, 3)} == touched(
        update(Category).where(Category.id == 3).values(parent_id=2)
    )


def test_a_key_of_two_parts_is_referred_to_as_a_whole(touched: Any) -> None:
    """Whatever the order of its columns."""
    assert {"seats:bookings/b/2"} == touched(lambda: db.session.add(Booking(row="b", number=2)))
    assert {"seats:bookings/b/2", "seats:bookings/a/1"} == touched(
        update(Booking).where(Booking.id == 2).values(row="a", number=1)
    )
    assert {"seats:bookings/a/1"} == touched(
        delete(Booking).where((Booking.number == 1) & (Booking.row == "a"))
    )


def test_a_text_that_the_database_cuts_is_not_known(app: Flask, touched: Any) -> None:
    """PostgreSQL leaves out spaces at the end that do not fit."""
    if db.engine.dialect.name == "postgresql":
        db.session.add(Seat(row="abcde", number=3))
        statement = insert(Booking).values(row="abcde   ", number=3)
        assert {"seats:bookings/*"} == touched(statement)
        assert ["abcde"] == list(db.session.scalars(select(Booking.row).where(Booking.number == 3)))


def test_a_uuid_is_referred_to(touched: Any) -> None:
    """As the database has it."""
    assert {f"devices:readings/{DEVICE}"} == touched(
        lambda: db.session.add(Reading(device_id=DEVICE))
    )
    assert {f"devices:readings/{DEVICE}"} == touched(
        update(Reading).where(Reading.id == 1).values(id=1)
    )


def test_a_table_that_refers_may_be_known_by_another_object(app: Flask, touched: Any) -> None:
    """Of other metadata, or with a schema."""
    schema = "main" if db.engine.dialect.name == "sqlite" else "public"
    known = Table("reviews", MetaData(schema=schema), autoload_with=db.engine)
    assert {"items:summary/5"} == touched(update(known).where(known.c.id == 1).values(text="x"))
    assert {"items:summary/5"} == touched(delete(known).where(known.c.id == 1))


def test_each_statement_on_its_own_touches_all_answers(
    app: Flask, strategy: RecordingStrategy
) -> None:
    """Nothing keeps others from changing the row between the reading and the writing."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(update(Review).where(Review.id == 1).values(text="changed"))
        assert "items:summary/*" in strategy.fenced[-1]
        connection.execute(insert(Review).values(item_id=5, other_id=None, author_id=None))
        assert {"items:summary/5"} == strategy.fenced[-1]


def test_many_rows_are_noted_once(app: Flask, touched: Any, monkeypatch: Any) -> None:
    """SQLAlchemy sends them in several batches, each of which it reports with all parameters."""
    noted: list[Any] = []
    note = Tables.note

    def count(*given: Any) -> Any:
        noted.append(given)
        return note(*given)

    monkeypatch.setattr(Tables, "note", count)
    batches = recorded(db.engine)
    found = touched(lambda: db.session.add_all([Review(item_id=5) for _ in range(2500)]))
    assert {"items:summary/5"} == found
    assert 1 < len([text for text in batches if text.lstrip().startswith("INSERT")]) > len(noted)
    assert 1 == len(noted)


# Other transactions


def recorded(engine: Any) -> list[str]:
    """Record the statements that an engine executes, from now on."""
    texts: list[str] = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _cursor, text, *_: texts.append(text.rpartition(";\n")[2]),
    )
    return texts


class Writer(threading.Thread):
    """Commits a statement in a thread of its own."""

    def __init__(self, statement: Any) -> None:
        super().__init__()
        self._engine = db.engine
        self._statement = statement
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Commit the statement."""
        try:
            with self._engine.begin() as connection:
                connection.execute(self._statement)
        except Exception as error:  # noqa: BLE001 - raised in the thread of the test
            self._error = error

    def finish(self) -> None:
        """Wait for the commit; raises what it raised."""
        self.join(10)
        if self._error is not None:
            raise self._error


def elsewhere(*statements: Any) -> None:
    """Commit statements in another transaction."""
    with db.engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def test_what_a_session_has_loaded_may_be_old(
    app: Flask, strategy: RecordingStrategy, postgres_only: None
) -> None:
    """Another transaction has moved the row meanwhile: the answer that shows it now is touched."""
    review = get(1)
    assert 5 == review.item_id
    elsewhere(update(Review).where(Review.id == 1).values(item_id=8))
    strategy.fenced.clear()
    review.text = "changed"
    db.session.commit()
    assert [{"items:summary/8"}] == strategy.fenced
    assert 8 == review.item_id


@pytest.mark.parametrize(
    "statement, expected",
    [
        (update(Review).where(Review.id == 1).values(item_id=9), {8, 9}),
        (delete(Review).where(Review.id == 1), {8}),
    ],
)
def test_a_row_that_another_transaction_is_moving_is_waited_for(
    app: Flask,
    strategy: RecordingStrategy,
    postgres_only: None,
    statement: Any,
    expected: set[int],
) -> None:
    """Only then is it read: without the lock it would be the row of before the move."""
    texts = recorded(db.engine)
    with db.engine.begin() as other:
        other.execute(update(Review).where(Review.id == 1).values(item_id=8))
        texts.clear()
        writer = Writer(statement)
        with db.engine.connect() as observer:
            wait_until(lambda: is_waiting(observer), "the writer waits for the row")
        other.commit()
    writer.finish()
    assert {f"items:summary/{number}" for number in expected} == strategy.fenced[-1]
    assert any("FOR " in text for text in texts)


def is_waiting(observer: Any) -> bool:
    """Whether some transaction waits for a lock."""
    observer.rollback()
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(observer.execute(waiting).scalar())


def test_a_row_that_another_transaction_inserts_meanwhile_is_touched(
    app: Flask, strategy: RecordingStrategy, postgres_only: None
) -> None:
    """It was not there when it was read, and is when the statement is executed."""
    ended = threading.Event()

    def insert_once(*given: Any) -> None:
        if "FOR UPDATE" in given[2] and not ended.is_set():
            ended.set()
            elsewhere(insert(Review).values(id=1000, item_id=7))

    event.listen(db.engine, "after_cursor_execute", insert_once)
    elsewhere(delete(Review).where(Review.id == 1000))
    assert ended.is_set()
    assert "items:summary/*" in strategy.fenced[-1]
    assert db.session.get(Review, 1000) is None


def test_sqlite_waits_for_its_lock_before_the_row_is_read(
    app: Flask, strategy: RecordingStrategy
) -> None:
    """A transaction that had read first would fail, as another has written meanwhile."""
    if db.engine.dialect.name != "sqlite":
        pytest.skip("SQLite's lock")
    texts = recorded(db.engine)
    with db.engine.begin() as other:
        other.execute(update(Review).where(Review.id == 1).values(item_id=8))
        texts.clear()
        writer = Writer(update(Review).where(Review.id == 1).values(text="changed"))
        wait_until(lambda: bool(texts), "the writer waits for the lock")
        other.commit()
    writer.finish()
    assert {"items:summary/8"} == strategy.fenced[-1]


# Declared


def test_processes_that_know_another_key_know_something_else() -> None:
    """They do not share what is cached."""
    declared: Sequence[Any] = (
        (),
        [Review],
        [Review.item_id],
        [Review.other_id],
        [Review.item_id, Review.other_id],
        [Remark.item_id],
        [labels.c.item_id],
    )
    known = set()
    for depends in declared:
        lookup = lookup_of(cached(Item, ttl=300, depends=depends)(view))
        assert lookup is not None
        known.add(Tables([lookup], []).schema_fingerprint)
    assert len(declared) == len(known)


def test_what_depends_on_all_rows_is_touched_by_each() -> None:
    """Also if it says so of some of them."""
    declared: Sequence[Any] = ([Review, Review.item_id], [Review.item_id, reviews])
    for depends in declared:
        lookup = lookup_of(cached(Item, ttl=300, depends=depends)(view))
        assert lookup is not None
        assert [] == list(lookup.references)
        assert reviews in set(lookup.others)


@pytest.mark.parametrize(
    "model, depends, expected",
    [
        (Item, Review.text, "Review.text, which is no foreign key to the primary key of items"),
        (Item, [reviews.c.text], "reviews.text, which is no foreign key"),
        (Item, Review.author_id, "Review.author_id, which is no foreign key"),
        (Item, Item.tags, "Item.tags, which is no foreign key"),
        (Seat, Booking.code, "Booking.code, which is no foreign key"),
        (Seat, Booking.row, "Booking.row, which is a part of several foreign keys to seats"),
        (Item, "Review.item_id", "depends is a list of models, tables and foreign keys, not"),
        (Item, ["reviews.item_id"], "depends is a list of models, tables and foreign keys, not"),
    ],
)
def test_what_is_no_foreign_key_to_the_row_is_refused_at_once(
    model: Any, depends: Any, expected: str
) -> None:
    """In a sentence that names the view and the attribute."""
    with pytest.raises(ValueError, match=f"^the cached view .*test_references.view: .*{expected}"):
        cached(model, ttl=300, depends=depends)(view)

"""Which cached answers a statement touches."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, cast

import pytest
from flask import Flask
from sqlalchemy import (
    CHAR,
    Column,
    ForeignKey,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    insert,
    or_,
    select,
    table,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship

from pegboard.cache import cached, init_cache
from pegboard.cache.declaration import lookup_of
from pegboard.cache.invalidation import Tables
from pegboard.database import DatabaseOptions, Model, db, init_database
from pegboard.testing.recording import RecordingStrategy


class Base(Model, DeclarativeBase):
    """The models with an id."""


class Keyed(DeclarativeBase):
    """The models with keys of other kinds."""


class Writer(Base):
    """Whom notes belong to."""

    __tablename__ = "writers"

    name: Mapped[str] = mapped_column(String(20), default="")


class Note(Base):
    """What is cached."""

    __tablename__ = "notes"

    text: Mapped[str] = mapped_column(String(20), default="")
    writer_id: Mapped[int | None] = mapped_column(ForeignKey(Writer.id, ondelete="CASCADE"))


class Comment(Base):
    """What is cached, too, and goes when its note goes."""

    __tablename__ = "comments"

    note_id: Mapped[int | None] = mapped_column(ForeignKey(Note.id, ondelete="SET NULL"))


class Mark(Base):
    """What is cached, and keeps its note from going; unless one truncates."""

    __tablename__ = "marks"

    note_id: Mapped[int | None] = mapped_column(ForeignKey(Note.id))


class Tag(Base):
    """What a cached answer about a note also tells."""

    __tablename__ = "tags"

    note_id: Mapped[int | None]


class Unrelated(Base):
    """What nobody caches, although it is called alike."""

    __tablename__ = "my_notes"

    text: Mapped[str] = mapped_column(String(20), default="")


class Animal(Keyed):
    """The part of a row that it has in common with others."""

    __tablename__ = "animals"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), default="")
    kind: Mapped[str] = mapped_column(String(20))

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012 - as SQLAlchemy has it


class Cat(Animal):
    """A row in two tables."""

    __tablename__ = "cats"

    id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
    lives: Mapped[int] = mapped_column(default=7)

    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012 - as SQLAlchemy has it


class Seat(Keyed):
    """A row with a key of two parts."""

    __tablename__ = "seats"

    row: Mapped[str] = mapped_column(String(5), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    taken: Mapped[int] = mapped_column(default=0)


class Device(Keyed):
    """A row with a UUID."""

    __tablename__ = "devices"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(String(20), default="")


class Padded(Keyed):
    """A row whose key can be written in several ways."""

    __tablename__ = "padded"

    code: Mapped[str] = mapped_column(CHAR(5), primary_key=True)
    name: Mapped[str] = mapped_column(String(20), default="")


class Category(Base):
    """A row whose answer also tells of its parent, which is one of the same table."""

    __tablename__ = "categories"

    name: Mapped[str] = mapped_column(String(20), default="")
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))


memberships = Table(
    "memberships",
    Base.metadata,
    Column("club_id", ForeignKey("clubs.id"), primary_key=True),
    Column("person_id", ForeignKey("people.id"), primary_key=True),
)
visits = Table("visits", Base.metadata, Column("club_id", ForeignKey("clubs.id")))


class Person(Base):
    """Who is in clubs."""

    __tablename__ = "people"

    name: Mapped[str] = mapped_column(String(20), default="")


class Club(Base):
    """What has members, by a table of their own, and visits, which have no model."""

    __tablename__ = "clubs"

    members: Mapped[list[Person]] = relationship(secondary="memberships")


class Badge(Base):
    """What tells of its club."""

    __tablename__ = "badges"

    club_id: Mapped[int | None] = mapped_column(ForeignKey(Club.id))


DEVICE = uuid.UUID("0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f")
Depends = tuple[type[DeclarativeBase] | Table, ...]
LOOKUPS: Sequence[tuple[str, type[DeclarativeBase], Depends]] = (
    ("/notes/<int:id>", Note, (Tag,)),
    ("/comments/<int:id>", Comment, ()),
    ("/marks/<int:id>", Mark, ()),
    ("/cats/<int:id>", Cat, ()),
    ("/seats/<row>/<int:number>", Seat, ()),
    ("/devices/<id>", Device, ()),
    ("/padded/<code>", Padded, ()),
    ("/categories/<int:id>", Category, (Category,)),
    ("/clubs/<int:id>", Club, (visits,)),
    ("/badges/<int:id>", Badge, (Club,)),
)
cats = cast("Table", Cat.__table__)
notes = cast("Table", Note.__table__)


def view(**_: Any) -> str:
    """Answer."""
    return "answer"


@pytest.fixture
def app(database_url: str, strategy: RecordingStrategy) -> Iterator[Flask]:
    """An app with these look-ups and some rows, whose context is active."""
    app = Flask(__name__)
    init_database(app, DatabaseOptions(database_url))
    for rule, model, depends in LOOKUPS:
        app.add_url_rule(rule, rule, cached(model, ttl=300, depends=depends)(view))
    with app.app_context():
        for base in (Base, Keyed):
            base.metadata.create_all(db.engine)
        db.session.add_all([Writer(), Note(), Note(), Note()])
        db.session.add_all([Tag(), Seat(row="a", number=1), Seat(row="b", number=2)])
        db.session.add_all([Category(), Club(), Person()])
        db.session.add_all([Cat(id=1, name="Tom"), Device(id=DEVICE), Padded(code="abc")])
        db.session.commit()
        tables = [*Base.metadata.tables.values(), *Keyed.metadata.tables.values()]
        init_cache(app, strategy, tables, serve_hits=True, send_status_header=False)
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def touched(app: Flask, strategy: RecordingStrategy) -> Callable[[Any], set[str]]:
    """Execute a statement, or call a function, in a session; return what its commit has fenced."""

    def run(action: Any, parameters: Any = None) -> set[str]:
        strategy.fenced.clear()
        if callable(action):
            action()
        else:
            db.session.execute(action, parameters)
        db.session.commit()
        assert len(strategy.fenced) <= 1
        return strategy.fenced[0] if strategy.fenced else set()

    return run


# Sessions


def test_an_insert_touches_nothing(touched: Any) -> None:
    """Nothing is cached of a row that was not there."""
    assert set() == touched(lambda: db.session.add(Note(text="new")))
    assert set() == touched(lambda: db.session.add_all([Note(), Note()]))
    assert set() == touched(insert(Note).values(text="new"))
    assert set() == touched(insert(notes).from_select(["text"], select(Note.text)))


def test_a_changed_object_touches_its_row(touched: Any) -> None:
    """As the session writes it."""

    def change() -> None:
        db.session.get_one(Note, 2).text = "changed"

    assert {"notes/2"} == touched(change)


def test_a_deleted_object_touches_its_row_and_what_refers_to_it(touched: Any) -> None:
    """The database may change rows on its own account then."""
    assert {"notes/2", "comments/*"} == touched(
        lambda: db.session.delete(db.session.get_one(Note, 2))
    )


def test_a_session_writes_many_rows_at_once(touched: Any) -> None:
    """Each is touched."""

    def change() -> None:
        for note in db.session.scalars(select(Note)):
            note.text = "changed"

    assert {"notes/1", "notes/2", "notes/3"} == touched(change)


def test_a_changed_key_touches_the_row_as_it_was(touched: Any) -> None:
    """Nothing is cached of the row that it becomes."""

    def change() -> None:
        db.session.get_one(Note, 2).id = 20

    assert {"notes/2"} == touched(change)


def test_bulk_methods_of_the_session_are_seen(touched: Any) -> None:
    """They pass the unit of work by, but not the connection."""

    def change() -> None:
        db.session.bulk_update_mappings(Note, [{"id": 1, "text": "a"}, {"id": 3, "text": "b"}])

    assert {"notes/1", "notes/3"} == touched(change)
    rows = [{"id": 1, "text": "c"}, {"id": 2, "text": "d"}]
    assert {"notes/1", "notes/2"} == touched(update(Note), rows)


# Statements


@pytest.mark.parametrize(
    "condition, expected",
    [
        (lambda: Note.id == 2, {"notes/2"}),
        (lambda: notes.c.id == 2, {"notes/2"}),
        (lambda: Note.id == "2", {"notes/2"}),
        (lambda: Note.id == 2.0, {"notes/2"}),
        (lambda: (Note.id == 2) & (Note.text != "x"), {"notes/2"}),
        (lambda: (Note.text == "x") & ((Note.id == 2) & (Note.text != "y")), {"notes/2"}),
        (lambda: Note.id.in_([1, 3]), {"notes/1", "notes/3"}),
        (lambda: Note.id.in_([]), {"notes/*"}),
        (lambda: Note.id.in_([1, 3]) & (Note.text == "x"), {"notes/1", "notes/3"}),
        (lambda: Note.id.in_(select(Tag.note_id)), {"notes/*"}),
        (lambda: Note.id > 2, {"notes/*"}),
        (lambda: Note.id != 2, {"notes/*"}),
        (lambda: Note.id.not_in([1, 2]), {"notes/*"}),
        (lambda: or_(Note.id == 2, Note.text == ""), {"notes/*"}),
        (lambda: ~(Note.id == 2), {"notes/*"}),
        (lambda: Note.id + 0 == 2, {"notes/*"}),
        (lambda: func.abs(Note.id) == 2, {"notes/*"}),
        (lambda: Note.id == Note.writer_id, {"notes/*"}),
        (lambda: Note.writer_id == 2, {"notes/*"}),
        (lambda: text("id = 2"), {"notes/*"}),
        (lambda: Note.id == None, {"notes/*"}),  # noqa: E711 - SQL
    ],
)
def test_the_rows_are_read_off_the_condition(
    touched: Any, condition: Callable[[], Any], expected: set[str]
) -> None:
    """A statement that is bound to keys touches these; any other touches the group."""
    for statement in (
        update(Note).where(condition()).values(text="changed"),
        update(notes).where(condition()).values(text="changed"),
        delete(Note).where(condition()),
    ):
        assert expected == touched(statement) - {"comments/*"}


def test_without_a_condition_all_rows_are_touched(touched: Any) -> None:
    """Whether by the model or by its table."""
    assert {"notes/*"} <= touched(update(Note).values(text="changed"))
    assert {"notes/*"} <= touched(update(notes).values(text="changed"))
    assert {"notes/*"} <= touched(delete(Note))


def test_a_statement_for_many_rows_at_once_touches_each(touched: Any) -> None:
    """As the driver's executemany."""
    statement = update(notes).where(notes.c.id == bindparam("which")).values(text=bindparam("new"))
    rows = [{"which": 1, "new": "a"}, {"which": 3, "new": "b"}]

    def change() -> None:
        db.session.connection().execute(statement, rows)

    assert {"notes/1", "notes/3"} == touched(change)


def test_a_statement_compiled_before_is_read_with_its_new_values(touched: Any) -> None:
    """SQLAlchemy keeps what it has compiled."""
    for number in (1, 2, 3):
        statement = update(Note).where(Note.id == number).values(text="changed")
        assert {f"notes/{number}"} == touched(statement)
        statement = update(Note).where(Note.id.in_([number, 7])).values(text="changed")
        assert {f"notes/{number}", "notes/7"} == touched(statement)


def test_too_many_rows_are_the_group(touched: Any) -> None:
    """The list of a fence is no place for a table."""
    for most, expected in ((500, 500), (501, 1)):
        statement = update(Note).where(Note.id.in_(range(most))).values(text="changed")
        assert expected == len(touched(statement))


def test_a_row_of_another_table_is_no_row_of_this(touched: Any) -> None:
    """The condition may bind the key of another, or of an alias."""
    other = aliased(Note)
    for condition in (
        (Writer.id == 2) & (Note.writer_id == Writer.id),
        (other.id == 2) & (other.writer_id == Note.writer_id),
    ):
        statement = update(Note).where(condition).values(text="changed")
        statement = statement.execution_options(synchronize_session=False)
        assert {"notes/*"} == touched(statement)


def test_a_table_may_be_known_by_another_object(app: Flask, touched: Any) -> None:
    """Of other metadata, with a schema, or only by its name: as a migration or a script has it."""
    schema = "main" if db.engine.dialect.name == "sqlite" else "public"
    reflected = Table("notes", MetaData(schema=schema), autoload_with=db.engine)
    light = table("notes", column("id"), column("text"))
    for known in (reflected, light):
        assert {"notes/2"} == touched(update(known).where(known.c.id == 2).values(text="changed"))
        assert {"notes/*"} == touched(update(known).values(text="changed"))


def test_an_insert_that_may_replace_touches_all(app: Flask, touched: Any) -> None:
    """It says so itself."""
    dialect: Any = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(Note).values(id=2, text="new")
    changing = statement.on_conflict_do_update(index_elements=[Note.id], set_={"text": "new"})
    assert {"notes/*", "comments/*"} == touched(changing)
    if dialect is sqlite:
        replacing = insert(Note).prefix_with("OR REPLACE").values(id=2, text="new")
        assert {"notes/*", "comments/*"} == touched(replacing)


def test_statements_within_statements_are_seen(app: Flask, touched: Any) -> None:
    """A common table expression may write; SQLite has none that does."""
    changing = update(Note).where(Note.id == 2).values(text="changed").returning(Note.id)
    known = table("notes", column("id"), column("text"))
    light = update(known).where(known.c.id == 2).values(text="changed").returning(known.c.id)
    if db.engine.dialect.name == "postgresql":
        assert {"notes/*"} <= touched(select(changing.cte()))
        marks = table("marks", column("note_id"))
        into = insert(marks).from_select(["note_id"], select(light.cte()))
        assert {"notes/*"} <= touched(into)
    reading = select(Note.id).where(Note.text == "").cte()
    assert set() == touched(select(reading))
    assert set() == touched(select(reading).with_for_update())


# Texts


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE notes SET text = 'changed' WHERE id = 2",
        "update \"notes\" set text = 'changed'",
        "  \n UPDATE Notes SET text = 'changed'",
        "-- a remark\nUPDATE notes SET text = 'changed'",
        "/* a remark */ DELETE FROM notes",
        "WITH old AS (SELECT 1) UPDATE notes SET text = 'changed'",
    ],
)
def test_a_text_touches_every_table_that_it_mentions(touched: Any, statement: str) -> None:
    """Through a session, or as the driver's own."""
    assert {"notes/*", "comments/*"} == touched(text(statement))
    assert {"notes/*", "comments/*"} == touched(
        lambda: db.session.connection().exec_driver_sql(statement)
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM notes",
        "select text from notes;",
        "WITH old AS (SELECT * FROM notes) SELECT * FROM old",
        "UPDATE my_notes SET text = 'changed'",
        "UPDATE my_notes SET text = 'changed' WHERE text <> 'footnotes'",
    ],
)
def test_a_text_that_only_reads_touches_nothing(touched: Any, statement: str) -> None:
    """Nor one about a table that is only called alike."""
    assert set() == touched(text(statement))


def test_a_text_that_returns_rows_is_still_a_text(touched: Any) -> None:
    """As a statement, and as a part of a SELECT."""
    returning = "UPDATE notes SET text = 'changed' WHERE id = 2 RETURNING id"
    assert {"notes/*"} <= touched(text(returning).columns(Note.id))
    if db.engine.dialect.name == "postgresql":
        part = text(returning).columns(Note.id).cte("changed")
        assert {"notes/*"} <= touched(select(part.c.id))


def test_a_statement_that_names_no_table_may_touch_all(app: Flask, touched: Any) -> None:
    """A procedure, a block, a prepared statement."""
    if db.engine.dialect.name == "postgresql":
        assert {"notes/*", "marks/*"} <= touched(text("DO $$ BEGIN PERFORM 1; END $$"))


def test_a_commit_anywhere_in_a_text_is_fenced(app: Flask, strategy: RecordingStrategy) -> None:
    """As in a file of SQL, or behind a comment."""
    if db.engine.dialect.name != "postgresql":
        return
    with db.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE notes SET text = 'changed'; /* done */ COMMIT")
    assert [{"notes/*"}] == [{"notes/*"} & fenced for fenced in strategy.fenced]


def test_a_block_that_is_begun_by_hand_is_fenced_at_its_end(
    app: Flask, strategy: RecordingStrategy
) -> None:
    """Also on a connection on which each statement would commit by itself."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN")
        connection.execute(update(Note).where(Note.id == 2).values(text="changed"))
        assert [] == strategy.fenced
        connection.exec_driver_sql("COMMIT")
        assert [{"notes/2"}] == strategy.fenced


def test_a_key_is_spelled_as_the_database_gets_it(touched: Any) -> None:
    """Whatever a subclass of `str` makes of itself."""

    class Row(str, Enum):  # noqa: UP042 - whose text is another one
        A = "a"

    assert {"seats/a/1"} == touched(
        update(Seat).where(Seat.row == Row.A, Seat.number == 1).values(taken=1)
    )


def test_several_statements_in_one_text_are_seen(app: Flask, touched: Any) -> None:
    """However harmless the first is; SQLite's driver takes one at a time."""
    if db.engine.dialect.name == "postgresql":
        assert {"notes/*", "comments/*"} == touched(
            text("SELECT 1; UPDATE notes SET text = 'changed'")
        )


def test_a_changed_schema_touches_the_table(app: Flask, touched: Any) -> None:
    """A migration may change what answers say."""
    assert {"notes/*"} <= touched(text("ALTER TABLE notes ADD COLUMN more INTEGER"))
    assert {"comments/*"} == touched(lambda: Comment.__table__.drop(db.session.connection()))  # type: ignore[attr-defined]
    if db.engine.dialect.name == "postgresql":
        assert {"notes/*"} <= touched(text("TRUNCATE notes CASCADE"))
        assert {"marks/*"} <= touched(text("TRUNCATE notes CASCADE"))


# Other tables


def test_what_the_answer_depends_on_touches_all_answers(touched: Any) -> None:
    """An insert as well: an answer may list it."""
    assert {"notes/*"} == touched(lambda: db.session.add(Tag(note_id=2)))
    assert {"notes/*"} == touched(update(Tag).where(Tag.id == 1).values(note_id=2))
    assert {"notes/*"} == touched(delete(Tag).where(Tag.id == 1))
    assert {"notes/*"} == touched(text("DELETE FROM tags"))


def test_what_depends_on_other_rows_of_its_own_table_is_touched_by_each(touched: Any) -> None:
    """A parent's name may be in the answers about its children."""
    assert {"categories/*"} == touched(update(Category).where(Category.id == 1).values(name="x"))
    assert {"categories/*"} == touched(lambda: db.session.add(Category(parent_id=1)))


def test_a_table_between_two_models_touches_what_tells_of_either(touched: Any) -> None:
    """A flush writes that table alone."""
    club, person = db.session.get_one(Club, 1), db.session.get_one(Person, 1)
    assert {"clubs/*", "badges/*"} == touched(lambda: club.members.append(person))
    assert {"clubs/*", "badges/*"} == touched(lambda: club.members.remove(person))
    assert set() == touched(update(Person).where(Person.id == 1).values(name="x"))


def test_a_table_without_a_model_may_be_depended_on(touched: Any) -> None:
    """As any table that is only a `Table`."""
    assert {"clubs/*"} == touched(insert(visits).values(club_id=1))
    assert {"clubs/*"} == touched(delete(visits))


def test_who_knows_of_a_dependence_knows_something_else() -> None:
    """Processes cache together only if each of their writes touches the same."""
    declared: Sequence[Depends] = ((), (Category,), (visits,), (Person,), (Club,))
    known = set()
    for depends in declared:
        lookup = lookup_of(cached(Category, ttl=300, depends=depends)(view))
        assert lookup is not None
        known.add(Tables([lookup], []).schema_fingerprint)
    assert len(declared) == len(known)


def test_what_the_database_changes_by_itself_is_touched(touched: Any) -> None:
    """A foreign key may say so; also of one table that follows another that follows."""
    assert {"notes/*", "comments/*"} == touched(delete(Writer).where(Writer.id == 1))
    assert {"notes/*", "comments/*"} == touched(text("DELETE FROM writers"))
    assert {"notes/2", "comments/*"} == touched(delete(Note).where(Note.id == 2))
    assert set() == touched(lambda: db.session.add(Writer()))


def test_a_row_in_two_tables_is_touched_by_both(touched: Any) -> None:
    """A model that inherits has a part of its row elsewhere."""

    def rename() -> None:
        db.session.get_one(Cat, 1).name = "Kater"

    assert {"cats/*"} == touched(rename)
    assert {"cats/1"} == touched(update(cats).where(cats.c.id == 1).values(lives=6))


# Keys


def test_a_key_of_two_parts_is_touched_as_a_whole(touched: Any) -> None:
    """If the statement is bound to both; the order of the conditions does not matter."""

    def take() -> None:
        db.session.get_one(Seat, ("b", 2)).taken = 1

    assert {"seats/b/2"} == touched(take)
    both = (Seat.number == 1) & (Seat.row == "a")
    assert {"seats/a/1"} == touched(update(Seat).where(both).values(taken=1))
    some = (Seat.row == "a") & Seat.number.in_([1, 2])
    assert {"seats/a/1", "seats/a/2"} == touched(delete(Seat).where(some))
    for condition in (
        Seat.row == "a",
        (Seat.row == "a") | (Seat.number == 1),
        tuple_(Seat.row, Seat.number).in_([("a", 1)]),
    ):
        statement = update(Seat).where(condition).values(taken=1)
        assert {"seats/*"} == touched(statement.execution_options(synchronize_session=False))


@pytest.mark.parametrize(
    "row, expected",
    [("a/b", "a%2Fb"), ("a:b", "a%3Ab"), ("\n", "%0A"), ("€", "%E2%82%AC"), ("*", "%2A"), ("", "")],
)
def test_texts_in_keys_are_quoted(touched: Any, row: str, expected: str) -> None:
    """So no text can be taken for two parts, or for a group."""
    statement = update(Seat).where(Seat.row == row, Seat.number == 1).values(taken=1)
    assert {f"seats/{expected}/1"} == touched(statement)


@pytest.mark.parametrize("spelled", [DEVICE, str(DEVICE).upper(), DEVICE.hex])
def test_a_uuid_has_one_spelling(touched: Any, spelled: Any) -> None:
    """However a statement or a URL spells it."""
    statement = update(Device).where(Device.id == DEVICE).values(name="new")
    assert {f"devices/{DEVICE}"} == touched(statement)
    lookup = next(lookup for lookup in find() if lookup.model is Device)
    assert lookup.key((spelled,)) == lookup.key((DEVICE,))


def test_a_column_with_several_spellings_touches_the_group(touched: Any) -> None:
    """CHAR ignores spaces at the end."""
    statement = update(Padded).where(Padded.code == "abc").values(name="new")
    assert {"padded/*"} == touched(statement)


@pytest.mark.parametrize("value", ["x", "1e1", "0x10", "", None, "1.0", float("inf")])
def test_what_is_no_number_has_no_key(value: Any) -> None:
    """A database may see a number where Python sees none: such an answer is not cached."""
    lookup = next(lookup for lookup in find() if lookup.model is Note)
    assert lookup.key((value,)) is None
    assert lookup.key(()) is None
    assert lookup.key((1, 2)) is None


def test_a_long_key_is_bounded_and_still_its_own(app: Flask) -> None:
    """However long the URL."""
    lookup = next(lookup for lookup in find() if lookup.model is Seat)
    names = {lookup.key(("x" * length, 1)).name for length in (150, 200, 10_000)}
    assert 3 == len(names)
    assert 200 > max(map(len, names))


def find() -> list[Any]:
    """The look-ups of a new app."""
    return [cached(model, ttl=300)(view).__pegboard_lookup__ for _, model, _ in LOOKUPS]  # type: ignore[attr-defined]

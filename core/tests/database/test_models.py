from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Integer,
    MetaData,
    String,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from pegboard.clock import utcnow
from pegboard.database import (
    DatabaseOptions,
    Model,
    db,
    init_database,
)

MakeDatabase = Callable[..., Flask]


class Base(Model, DeclarativeBase):
    """The models of these tests."""


class Pin(Base):
    """Something with a name."""

    __tablename__ = "pins"

    name: Mapped[str] = mapped_column(String(100), unique=True)


class Note(Base):
    """Something that refers to a pin."""

    __tablename__ = "notes"

    pin_id: Mapped[int] = mapped_column(ForeignKey(Pin.id))


@pytest.fixture
def make_database() -> Iterator[MakeDatabase]:
    """Make apps that have nothing but a database, with the tables of these tests."""
    with ExitStack() as stack:

        def make(url: str, **options: Any) -> Flask:
            app = Flask(__name__)
            init_database(app, DatabaseOptions(url, **options))
            stack.enter_context(app.app_context())
            stack.callback(db.engine.dispose)
            stack.callback(db.session.remove)
            Base.metadata.create_all(db.engine)
            return app

        yield make


def test_a_model_has_an_id_and_two_times(database_url: str, make_database: MakeDatabase) -> None:
    """The columns are in the expected order, and other programs may leave the times out."""
    make_database(database_url)

    columns = {column["name"]: column for column in inspect(db.engine).get_columns("pins")}

    assert ["id", "name", "created_at", "updated_at"] == list(columns)
    assert "CURRENT_TIMESTAMP" == columns["created_at"]["default"]
    assert "CURRENT_TIMESTAMP" == columns["updated_at"]["default"]
    assert columns["created_at"]["nullable"]


def test_all_times_are_utc(database_url: str, make_database: MakeDatabase) -> None:
    """Also where the database server is in another time zone, as that of these tests is."""
    make_database(database_url)
    db.session.add(Pin(name="by the model"))
    db.session.execute(text("INSERT INTO pins (name) VALUES ('by the server')"))
    db.session.commit()

    for pin in db.session.scalars(select(Pin)):
        assert pin.created_at is not None
        assert pin.created_at.tzinfo is None
        assert timedelta(0) <= utcnow() - pin.created_at + timedelta(seconds=1) < timedelta(60)


def test_a_new_row_was_updated_when_it_was_created(make_database: MakeDatabase) -> None:
    """Both times of a new row are one time; an update moves the second."""
    make_database("sqlite://")
    pin = Pin(name="a")
    db.session.add(pin)
    db.session.commit()
    assert pin.created_at == pin.updated_at

    pin.name = "b"
    db.session.commit()

    assert pin.created_at is not None
    assert pin.updated_at is not None
    assert pin.created_at < pin.updated_at


def test_a_row_is_inserted_by_a_statement_that_a_query_returns(make_database: MakeDatabase) -> None:
    """SQLAlchemy gives its defaults less to know."""
    make_database("sqlite://")
    statement = insert(Pin).values(name="a").returning(Pin)

    pin = db.session.scalars(select(Pin).from_statement(statement)).one()

    assert pin.created_at == pin.updated_at


def test_utcnow_is_naive_and_utc() -> None:
    """It is the time in UTC, without a time zone."""
    assert abs(datetime.now(UTC).replace(tzinfo=None) - utcnow()) < timedelta(minutes=1)


def test_a_row_has_a_plain_form(make_database: MakeDatabase) -> None:
    """`to_dict` has the value of every column under its name."""
    make_database("sqlite://")
    pin = Pin(name="a")
    db.session.add(pin)
    db.session.flush()

    assert {
        "id": 1,
        "name": "a",
        "created_at": pin.created_at,
        "updated_at": pin.updated_at,
    } == pin.to_dict()


def test_each_base_has_metadata_of_its_own() -> None:
    """Two plugins can have models of one class name and table name."""

    class OtherBase(Model, DeclarativeBase):
        pass

    class Pin(OtherBase):
        __tablename__ = "pins"

    assert Base.metadata is not OtherBase.metadata
    assert ["pins"] == list(OtherBase.metadata.tables)
    assert "pk_pins" == Pin.metadata.tables["pins"].primary_key.name


def test_a_base_may_bring_its_own_metadata() -> None:
    """Metadata that a plugin sets itself is not replaced."""
    mine = MetaData()

    class OtherBase(Model, DeclarativeBase):
        metadata = mine

    assert OtherBase.metadata is mine


def test_constraints_have_names(make_database: MakeDatabase) -> None:
    """A constraint without a name cannot be dropped by a migration on every database."""
    make_database("sqlite://")
    pins = str(CreateTable(Base.metadata.tables["pins"]).compile(db.engine))
    notes = str(CreateTable(Base.metadata.tables["notes"]).compile(db.engine))

    # SQLite cannot drop a primary key.
    on_postgresql = CreateTable(Base.metadata.tables["pins"]).compile(dialect=postgresql.dialect())
    assert "CONSTRAINT pk_pins PRIMARY KEY (id)" in str(on_postgresql)
    assert "CONSTRAINT uq_pins_name UNIQUE (name)" in pins
    assert "CONSTRAINT fk_notes_pin_id_pins FOREIGN KEY(pin_id) REFERENCES pins (id)" in notes


def test_ids_are_used_once_where_sqlite_can() -> None:
    """Every key that it numbers itself; a model may say otherwise."""

    class Own(Model, DeclarativeBase):
        """The models of this test."""

    def make(name: str, **options: Any) -> Any:
        model: Any = type(name, (Own,), {"__tablename__": name, **options})
        return model.__table__.dialect_options["sqlite"]["autoincrement"]

    big = BigInteger().with_variant(Integer, "sqlite")
    assert make("plain")
    assert make("big", id=mapped_column(big, primary_key=True))
    assert not make("text", id=mapped_column(String(9), primary_key=True))
    assert not make("other", id=mapped_column(postgresql.CIDR, primary_key=True))
    assert not make("child", id=mapped_column(ForeignKey("plain.id"), primary_key=True))
    assert not make("pair", other=mapped_column(Integer, primary_key=True))
    assert not make("free", __table_args__={"sqlite_autoincrement": False})

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import ForeignKey, MetaData, String, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from pegboard.database import (
    BEGIN_IMMEDIATE_OPTION,
    DatabaseOptions,
    Model,
    db,
    init_database,
    utcnow,
)
from pegboard.database.engine import database_url
from pegboard.testing.processes import run_python

MakeDatabase = Callable[..., Flask]


class Base(Model, DeclarativeBase):
    """The models of these tests."""


class Pin(Base):
    """Something with a name."""

    __tablename__ = "pins"

    name: Mapped[str] = mapped_column(String(100), unique=True)


class Note(Base):
    """Something that hangs on a pin."""

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
    """The columns stand in the order a person expects, and other programs may leave times out."""
    make_database(database_url)

    columns = {column["name"]: column for column in inspect(db.engine).get_columns("pins")}

    assert ["id", "name", "created_at", "updated_at"] == list(columns)
    assert "CURRENT_TIMESTAMP" == columns["created_at"]["default"]
    assert "CURRENT_TIMESTAMP" == columns["updated_at"]["default"]
    assert columns["created_at"]["nullable"]


def test_times_are_utc_whoever_writes_them(database_url: str, make_database: MakeDatabase) -> None:
    """The server of these tests lives in another time zone, which nobody notices."""
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


def test_utcnow_is_naive_and_utc() -> None:
    """The one clock shows UTC, without saying so."""
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
    """Two plugins can have a table and a class of one name without knowing of each other."""

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

    assert "CONSTRAINT pk_pins PRIMARY KEY (id)" in pins
    assert "CONSTRAINT uq_pins_name UNIQUE (name)" in pins
    assert "CONSTRAINT fk_notes_pin_id_pins FOREIGN KEY(pin_id) REFERENCES pins (id)" in notes


@pytest.mark.parametrize(
    "text_of_url, driver",
    [
        ("postgres://user@host/name", "postgresql+psycopg2"),
        ("postgresql://user@host/name", "postgresql+psycopg2"),
        ("postgresql+psycopg2://user@host/name", "postgresql+psycopg2"),
        ("sqlite:///file.db", "sqlite"),
    ],
)
def test_postgresql_means_psycopg2(text_of_url: str, driver: str) -> None:
    """The usual names of PostgreSQL lead to the driver we bound in time."""
    assert driver == database_url(text_of_url).drivername


@pytest.mark.parametrize(
    "text_of_url, hint",
    [
        ("", "not a database URL"),
        ("hunter2", "not a database URL"),
        ("postgresql://user:hunter2@host:port/name", "not a database URL"),
        ("postgresql://user:hun@host:ter2/name", "not a database URL"),
        ("oracle2://user:hunter2@host/name", "oracle2: no such database driver is known"),
        ("mysql+pymysql://user:hunter2@host/name", "the driver pymysql is not installed"),
        ("sqlite://hunter2.db", "three slashes"),
    ],
)
def test_an_unusable_url_is_explained_without_the_password(text_of_url: str, hint: str) -> None:
    """What is wrong is said in words that hold nothing of the URL but its scheme."""
    with pytest.raises(ValueError, match=hint) as raised:
        database_url(text_of_url)

    chain: BaseException | None = raised.value
    while chain is not None:
        assert "ter2" not in str(chain)
        chain = None if chain.__suppress_context__ else chain.__context__ or chain.__cause__


def test_sqlite_checks_foreign_keys(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A row cannot refer to one that does not exist, as on PostgreSQL."""
    make_database(sqlite_url)
    db.session.add(Note(pin_id=7))

    with pytest.raises(IntegrityError):
        db.session.commit()


def test_sqlite_reads_while_another_writes(sqlite_url: str, make_database: MakeDatabase) -> None:
    """With a write-ahead log, an open write transaction stops no reader."""
    make_database(sqlite_url)
    with db.engine.connect() as writer, db.engine.connect() as reader:
        writer.execute(text("INSERT INTO pins (name) VALUES ('a')"))

        assert 0 == reader.scalar(text("SELECT count(*) FROM pins"))
        assert "wal" == reader.scalar(text("PRAGMA journal_mode"))


def test_sqlite_undoes_changes_of_the_schema(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A transaction holds everything, tables included, as the driver alone would not have it."""
    make_database(sqlite_url)
    with db.engine.connect() as connection:
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        connection.execute(text("INSERT INTO half_done VALUES (1)"))
        connection.rollback()

    assert not inspect(db.engine).has_table("half_done")


def test_sqlite_waits_for_a_writer(sqlite_url: str, make_database: MakeDatabase) -> None:
    """Who finds the file locked gets an error after the time-out, not at once and not never."""
    make_database(sqlite_url, busy_timeout=0.05)
    with db.engine.connect() as first, db.engine.connect() as second:
        first.execute(text("INSERT INTO pins (name) VALUES ('a')"))

        with pytest.raises(OperationalError, match="database is locked"):
            second.execute(text("INSERT INTO pins (name) VALUES ('b')"))


def test_sqlite_can_be_asked_again(sqlite_url: str, make_database: MakeDatabase) -> None:
    """Who could not begin a transaction can try again, and gets a real one."""
    make_database(sqlite_url, busy_timeout=0)
    with db.engine.connect() as first, db.engine.connect() as second:
        for connection in (first, second):
            connection.execution_options(**{BEGIN_IMMEDIATE_OPTION: True})
        first.execute(text("INSERT INTO pins (name) VALUES ('a')"))
        with pytest.raises(OperationalError, match="database is locked"):
            second.execute(text("SELECT 1"))
        first.rollback()
        second.execute(text("INSERT INTO pins (name) VALUES ('b')"))
        second.rollback()

    assert [] == list(db.session.scalars(select(Pin.name)))


def test_sqlite_has_patience(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A writer who finds another at work gets his turn when that one is done."""
    app = make_database(sqlite_url)
    begun = Event()

    def write() -> None:
        with app.app_context():
            begun.set()
            db.session.execute(text("INSERT INTO pins (name) VALUES ('b')"))
            db.session.commit()

    with ThreadPoolExecutor(1) as threads:
        with db.engine.connect() as first:
            first.execute(text("INSERT INTO pins (name) VALUES ('a')"))
            waiting = threads.submit(write)
            begun.wait(10)
            with suppress(TimeoutError):
                waiting.result(0.1)
            first.commit()
        waiting.result()

    assert {"a", "b"} == set(db.session.scalars(select(Pin.name)))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_one_for_all(url: str, make_database: MakeDatabase) -> None:
    """Every context of an app sees the same database in memory, another app another."""
    app = make_database(url)
    with app.app_context():
        db.session.add(Pin(name="a"))
        db.session.commit()
    with app.app_context():
        db.session.scalars(select(Pin)).all()
        with app.app_context():  # a second session, while the first is in a transaction
            assert ["a"] == list(db.session.scalars(select(Pin.name)))
    assert isinstance(db.engine.pool, StaticPool)

    make_database(url)
    assert [] == list(db.session.scalars(select(Pin.name)))


def test_autocommit_begins_no_transaction(sqlite_url: str, make_database: MakeDatabase) -> None:
    """What SQLite refuses inside a transaction, as VACUUM, can be had."""
    make_database(sqlite_url)
    with db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM"))


def test_an_exhausted_pool_is_an_error(database_url: str, make_database: MakeDatabase) -> None:
    """Who finds no free connection waits for so long and no longer, fractions included."""
    make_database(database_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with db.engine.connect(), pytest.raises(PoolTimeoutError, match=r"timeout 0\.05"):
        db.engine.connect()


def test_a_session_of_postgresql_is_bounded(postgres_url: str, make_database: MakeDatabase) -> None:
    """The server has the limits, too, in its own units, and thinks in UTC."""
    make_database(postgres_url, statement_timeout=1.25, lock_timeout=0.5)

    def shown(name: str) -> str:
        return str(db.session.scalar(text(f"SHOW {name}")))

    assert "1250ms" == shown("statement_timeout")
    assert "500ms" == shown("lock_timeout")
    assert "UTC" == shown("TimeZone")


def test_a_locked_row_is_waited_for_until_the_lock_timeout(
    postgres_url: str, make_database: MakeDatabase
) -> None:
    """A row that another transaction holds leads to an error, not to a hang."""
    make_database(postgres_url, lock_timeout=0.05)
    db.session.add(Pin(name="a"))
    db.session.commit()
    with db.engine.connect() as holder, db.engine.connect() as waiter:
        holder.execute(text("SELECT id FROM pins FOR UPDATE"))

        with pytest.raises(OperationalError, match="lock timeout"):
            waiter.execute(text("SELECT id FROM pins FOR UPDATE"))


def test_many_threads_share_the_pool(database_url: str, make_database: MakeDatabase) -> None:
    """More threads than connections are served, one after the other."""
    app = make_database(database_url, pool_size=2)
    together = Barrier(8)

    def count(_: int) -> object:
        together.wait()
        with app.app_context():
            return db.session.scalar(text("SELECT count(*) FROM pins"))

    with ThreadPoolExecutor(8) as threads:
        assert [0] * 8 == list(threads.map(count, range(8)))


FORK = """
import os, sys
from flask import Flask
from sqlalchemy import text
from pegboard.database import DatabaseOptions, db, init_database

app = Flask(__name__)
init_database(app, DatabaseOptions(sys.argv[1]))
with app.app_context():
    db.session.execute(text("SELECT 1"))
    db.session.remove()
    child = os.fork()
    mine = [db.session.scalar(text("SELECT 1")) for _ in range(100)]
    if not child:
        os._exit(0 if mine == [1] * 100 else 1)
    assert os.waitpid(child, 0)[1] == 0
    print(mine == [1] * 100)
"""


def test_a_forked_process_opens_connections_of_its_own(database_url: str) -> None:
    """A server that forks its workers after the app has used the database harms nobody."""
    assert "True\n" == run_python(FORK, database_url)

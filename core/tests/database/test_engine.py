import gc
import io
import socketserver
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from flask import Flask
from psycopg2 import extensions
from psycopg2.errors import LockNotAvailable
from psycopg2.extras import DictCursor, NamedTupleCursor, RealDictCursor
from sqlalchemy import ForeignKey, String, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pegboard.database import (
    BEGIN_IMMEDIATE_OPTION,
    DatabaseOptions,
    Model,
    db,
    init_database,
    transactional,
)
from pegboard.database.url import database_url
from pegboard.testing.processes import run_python, wait_until

MakeDatabase = Callable[..., Flask]

IN_MEMORY = [
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:///file::memory:?cache=shared",
    "sqlite:///file:private?mode=memory&uri=true",
]


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
    # A shared database in memory ends with its last engine, which is in a cycle with the app.
    gc.collect()


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
    """The usual names of PostgreSQL select the driver whose calls have time limits."""
    assert driver == database_url(text_of_url).drivername


@pytest.mark.parametrize(
    "text_of_url, hint",
    [
        ("", "not a database URL"),
        ("hunter2", "not a database URL"),
        ("postgresql://user:hunter2@host:port/name", "not a database URL"),
        ("postgresql://user:hun@host:ter2/name", "not a database URL"),
        ("mysql://user:hunter2@host/name", "mysql is not supported, only PostgreSQL and SQLite"),
        ("mysql+pymysql://user:hunter2@host/name", "mysql is not supported"),
        ("http://user:hunter2@host/name", "http is not supported"),
        ("postgresql+nope://user:hunter2@host/name", "driver is known; write postgresql: alone"),
        ("postgresql+pg8000://user:hunter2@host/name", "pg8000 is not installed; install it, or"),
        ("postgresql+asyncpg://user:hunter2@host/name", "the driver is for asyncio"),
        ("sqlite+aiosqlite:///hunter2.db", "the driver is for asyncio, .* write sqlite: alone"),
        ("sqlite://hunter2.db", "three slashes"),
        ("postgresql://user@host/name?sslmod=ter2", "parameter sslmod is none of PostgreSQL"),
        ("postgresql://user@host/name?sslmode=ter2", "parameter sslmode has a value that is not"),
        ("postgresql://user@host/name?keepalives_idle=ter2", "parameter keepalives_idle has a"),
        ("postgresql://user@host/name?sslmode=a&sslmode=ter2", "sslmode is given more than once"),
        ("postgresql://user@host/name?password=hun&ter2=1", "parameter after the . is none of"),
        ("sqlite:///file.db?timout=ter2", "the parameter timout is none of SQLite, which has"),
        ("sqlite:///file.db?timeout=ter2", "the parameter timeout has a value that is not"),
        ("sqlite:///file.db?mode=ter2", "mode counts only for the URI of a file: sqlite:///file:"),
    ],
)
def test_an_unusable_url_is_explained_without_the_password(text_of_url: str, hint: str) -> None:
    """The message says what is wrong, and quotes nothing of the URL but its scheme."""
    with pytest.raises(ValueError, match=hint) as raised:
        database_url(text_of_url)

    chain: BaseException | None = raised.value
    while chain is not None:
        assert "ter2" not in str(chain)
        chain = None if chain.__suppress_context__ else chain.__context__ or chain.__cause__


@pytest.mark.parametrize(
    "text_of_url",
    [
        "postgresql://user@host/name?sslmode=verify-full&sslrootcert=system&connect_timeout=3",
        "postgresql://user@host/name?gssencmode=require&application_name=%22name%22&options=-cx%3D1",
        "postgresql://one:5432,two:5433/name?target_session_attrs=read-write",
        "postgresql://user@/name?host=/var/run/postgresql&hostaddr=192.0.2.1",
        "sqlite:///file:file.db?mode=ro&uri=true&timeout=1.5",
    ],
)
def test_parameters_that_the_driver_takes_are_allowed(
    text_of_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server is needed to tell, and none is asked, whatever the environment says."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        host, port = server.server_address[:2]
        monkeypatch.setenv("PGHOSTADDR", str(host))
        monkeypatch.setenv("PGPORT", str(port))
        database_url(text_of_url)
        server.socket.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.socket.accept()


@pytest.mark.slow
def test_sqlite_checks_foreign_keys(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A row cannot refer to one that does not exist, as on PostgreSQL."""
    make_database(sqlite_url)
    db.session.add(Note(pin_id=7))

    with pytest.raises(IntegrityError):
        db.session.commit()


@pytest.mark.slow
def test_sqlite_reads_while_another_writes(sqlite_url: str, make_database: MakeDatabase) -> None:
    """With a write-ahead log, an open write transaction stops no reader."""
    make_database(sqlite_url)
    with db.engine.connect() as writer, db.engine.connect() as reader:
        writer.execute(text("INSERT INTO pins (name) VALUES ('a')"))

        assert 0 == reader.scalar(text("SELECT count(*) FROM pins"))
        assert "wal" == reader.scalar(text("PRAGMA journal_mode"))


@pytest.mark.slow
def test_sqlite_undoes_changes_of_the_schema(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A transaction includes changes of the schema, which the driver alone would commit at once."""
    make_database(sqlite_url)
    with db.engine.connect() as connection:
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        connection.execute(text("INSERT INTO half_done VALUES (1)"))
        connection.rollback()

    assert not inspect(db.engine).has_table("half_done")


@pytest.mark.slow
def test_sqlite_waits_for_a_writer(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A writer that finds the file locked gets an error after the time-out, not at once."""
    make_database(sqlite_url, busy_timeout=0.05)
    with db.engine.connect() as first, db.engine.connect() as second:
        first.execute(text("INSERT INTO pins (name) VALUES ('a')"))

        with pytest.raises(OperationalError, match="database is locked"):
            second.execute(text("INSERT INTO pins (name) VALUES ('b')"))


@pytest.mark.slow
def test_sqlite_can_be_asked_again(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A session that could not begin a transaction can try again, and gets a real one."""
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


@pytest.mark.slow
def test_sqlite_lets_a_second_writer_wait(sqlite_url: str, make_database: MakeDatabase) -> None:
    """A writer that finds another transaction writing proceeds when that one ends."""
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


@pytest.mark.slow
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

    make_database(url)
    assert [] == list(db.session.scalars(select(Pin.name)))


@pytest.mark.slow
@pytest.mark.parametrize("url", IN_MEMORY)
def test_transactions_in_memory_are_apart(url: str, make_database: MakeDatabase) -> None:
    """A transaction sees nothing of others that are open, as in a file, nor of their rollback."""
    make_database(url)
    assert make_url(url) == db.engine.url
    with db.engine.connect() as first, db.engine.connect() as second:
        first.execute(text("INSERT INTO pins (name) VALUES ('a')"))
        assert [] == second.execute(text("SELECT name FROM pins")).all()
        first.commit()
        assert [] == second.execute(text("SELECT name FROM pins")).all()
        second.rollback()
        assert [("a",)] == second.execute(text("SELECT name FROM pins")).all()


@pytest.mark.slow
@pytest.mark.parametrize("url", IN_MEMORY)
def test_threads_use_a_database_in_memory_at_once(url: str, make_database: MakeDatabase) -> None:
    """All of many threads that write and read at the same time succeed."""
    app = make_database(url)
    together = Barrier(50)

    @transactional
    def write(number: int) -> None:
        before = db.session.scalar(text("SELECT count(*) FROM pins"))
        db.session.add(Pin(name=f"{number} after {before}"))

    def use(number: int) -> int:
        together.wait()
        with app.app_context():
            write(number)
            return len(db.session.scalars(select(Pin)).all())

    with ThreadPoolExecutor(50) as threads:
        seen = list(threads.map(use, range(50)))
    assert 50 == max(seen)
    names = db.session.scalars(select(Pin.name))
    assert {str(number) for number in range(50)} == {name.split()[2] for name in names}


@pytest.mark.slow
def test_a_shared_database_in_memory_is_known_by_its_name(make_database: MakeDatabase) -> None:
    """Apps that say `cache=shared` and the same name have one database."""
    url = "sqlite:///file:{}?mode=memory&cache=shared&uri=true"
    for name in ("one", "one", "two"):
        make_database(url.format(name))
        count = db.session.scalar(text("SELECT count(*) FROM pins"))
        db.session.add(Pin(name=f"{name} {count}"))
        db.session.commit()
    assert ["two 0"] == list(db.session.scalars(select(Pin.name)))
    make_database(url.format("one"))
    assert ["one 0", "one 1"] == list(db.session.scalars(select(Pin.name).order_by(Pin.id)))


@pytest.mark.slow
def test_nothing_is_left_of_a_database_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that stands in for it is removed when the process ends, and not by one it forked."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert "1 True\n" == run_python(FORK_IN_MEMORY)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.slow
def test_autocommit_begins_no_transaction(sqlite_url: str, make_database: MakeDatabase) -> None:
    """Statements that SQLite refuses inside a transaction, such as VACUUM, can be run."""
    make_database(sqlite_url)
    with db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM"))


@pytest.mark.slow
def test_an_exhausted_pool_is_an_error(database_url: str, make_database: MakeDatabase) -> None:
    """A session without a free connection fails after the pool's time-out, to the fraction."""
    make_database(database_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with db.engine.connect(), pytest.raises(PoolTimeoutError, match=r"timeout 0\.05"):
        db.engine.connect()


@pytest.mark.slow
def test_a_session_of_postgresql_is_bounded(postgres_url: str, make_database: MakeDatabase) -> None:
    """The server enforces the limits, too, and the session's time zone is UTC."""
    make_database(postgres_url, statement_timeout=1.25, lock_timeout=0.5)

    def shown(name: str) -> str:
        return str(db.session.scalar(text(f"SHOW {name}")))

    assert "1250ms" == shown("statement_timeout")
    assert "500ms" == shown("lock_timeout")
    assert "UTC" == shown("TimeZone")


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, "on_the_server"])
@pytest.mark.parametrize(
    "factory", [None, DictCursor, NamedTupleCursor, RealDictCursor, extensions.cursor]
)
def test_every_class_of_cursors_begins_with_the_limits(
    postgres_url: str, make_database: MakeDatabase, factory: Any, name: str | None
) -> None:
    """Code of a plugin may want rows of another kind from the driver's connection."""
    make_database(postgres_url, statement_timeout=1.25)
    query = "SELECT current_setting('statement_timeout') AS t, current_setting('TimeZone') AS z"
    with db.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        for positional, named in (((name, factory), {}), ((name,), {"cursor_factory": factory})):
            with driver.cursor(*positional, **named) as cursor:
                cursor.execute(query)
                row = cursor.fetchone()
            assert factory is None or isinstance(cursor, factory)
            assert ["1250ms", "UTC"] == list(row.values() if factory is RealDictCursor else row)
            driver.rollback()
        driver.cursor_factory = RealDictCursor
        with driver.cursor() as cursor:
            cursor.execute(query)
            assert {"t": "1250ms", "z": "UTC"} == cursor.fetchone()


@pytest.mark.slow
def test_a_table_that_is_copied_is_read_within_the_limits(
    postgres_url: str, make_database: MakeDatabase
) -> None:
    """`copy_to` and `copy_from` may begin a transaction, too."""
    make_database(postgres_url, lock_timeout=0.05)
    with db.engine.begin() as other, db.engine.connect() as connection:
        other.execute(text("LOCK TABLE pins"))
        driver = connection.connection.driver_connection
        assert driver is not None
        for copy in (driver.cursor().copy_to, driver.cursor().copy_from):
            with pytest.raises(LockNotAvailable):
                copy(io.StringIO(), "pins")
            driver.rollback()


@pytest.mark.slow
def test_a_locked_row_is_waited_for_until_the_lock_timeout(
    postgres_url: str, make_database: MakeDatabase
) -> None:
    """A row that another transaction locks leads to an error after the lock time-out."""
    make_database(postgres_url, lock_timeout=0.05)
    db.session.add(Pin(name="a"))
    db.session.commit()
    with db.engine.connect() as holder, db.engine.connect() as waiter:
        holder.execute(text("SELECT id FROM pins FOR UPDATE"))

        with pytest.raises(OperationalError, match="lock timeout"):
            waiter.execute(text("SELECT id FROM pins FOR UPDATE"))


@pytest.mark.slow
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


@pytest.mark.slow
def test_threads_get_connections_in_their_order(
    database_url: str, make_database: MakeDatabase
) -> None:
    """One that comes when a connection is returned does not overtake those that wait."""
    app = make_database(database_url, pool_size=1, max_overflow=0, pool_timeout=30.0)
    with app.app_context():
        engine = db.engine
    pool: Any = engine.pool
    order: list[int] = []

    def is_waiting(count: int) -> bool:
        return bool(pool._permits.waiting == count)

    def take(number: int) -> None:
        with engine.connect():
            order.append(number)

    with ThreadPoolExecutor(5) as threads:
        with engine.connect():
            for number in range(5):
                threads.submit(take, number)
                wait_until(partial(is_waiting, number + 1), "it waits")
        take(5)

    assert [0, 1, 2, 3, 4, 5] == order


@pytest.mark.slow
def test_a_connection_that_cannot_be_made_takes_no_place(
    database_url: str, make_database: MakeDatabase
) -> None:
    """Otherwise the pool would be used up after as many attempts."""
    make_database(database_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    engine = db.engine
    engine.dispose()

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    event.listen(engine, "do_connect", refuse, insert=True)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            engine.connect()
    event.remove(engine, "do_connect", refuse)
    assert 1 == db.session.scalar(text("SELECT 1"))


@pytest.mark.slow
def test_a_lost_connection_is_replaced(postgres_url: str, make_database: MakeDatabase) -> None:
    """Its place in the pool is free when it is returned."""
    make_database(postgres_url, pool_size=1, pool_timeout=0.05)
    for _ in range(3):
        with db.engine.connect() as connection:
            connection.invalidate()
        with db.engine.connect() as connection:
            connection.detach()
    assert 1 == db.session.scalar(text("SELECT 1"))


FORK_IN_MEMORY = """
import os, sys
from flask import Flask
from sqlalchemy import text
from pegboard.database import DatabaseOptions, db, init_database

app = Flask(__name__)
init_database(app, DatabaseOptions("sqlite://"))
with app.app_context():
    with db.engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (number INTEGER)"))
    if not (child := os.fork()):
        with db.engine.begin() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (1)"))
        sys.exit()
    os.waitpid(child, 0)
    with db.engine.begin() as connection:
        print(connection.scalar(text("SELECT number FROM numbers")), db.engine.url.database is None)
"""

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


@pytest.mark.slow
def test_a_forked_process_opens_connections_of_its_own(database_url: str) -> None:
    """Parent and child can both use the database after a fork."""
    assert "True\n" == run_python(FORK, database_url)

"""When what was written is forgotten: before the commit, and the write is acknowledged after."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import (
    Engine,
    ForeignKey,
    String,
    bindparam,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import pegboard
from pegboard.cache import (
    CacheStrategy,
    MemoryStrategy,
    Miss,
    Touched,
    Transaction,
    UnconfirmedError,
    acknowledgement,
    init_cache,
)
from pegboard.cache.declaration import lookup_of
from pegboard.database import DatabaseOptions, Model, db, init_database
from pegboard.testing.processes import run_python
from pegboard.testing.recording import RecordingStrategy

WHOLE = ["fence", "commit", "release"]


class Base(Model, DeclarativeBase):
    """The models of these tests."""


class Note(Base):
    """What is cached."""

    __tablename__ = "notes"

    text: Mapped[str] = mapped_column(String(20), default="")
    twin_id: Mapped[int | None] = mapped_column(
        ForeignKey("notes.id", deferrable=True, initially="DEFERRED")
    )


class Unrelated(Base):
    """What nobody caches."""

    __tablename__ = "my_notes"


@pegboard.cached(Note, ttl=300)
def note(id: int) -> str:  # noqa: A002 - the variable of the URL
    """Answer."""
    return "answer"


@contextmanager
def service(url: str, strategy: CacheStrategy) -> Iterator[Flask]:
    """Make an app with three notes, whose context is active."""
    app = Flask(__name__)
    init_database(app, DatabaseOptions(url, busy_timeout=0.5))
    app.add_url_rule("/notes/<int:id>", "note", note)
    with app.app_context():
        engine = db.engine
        record_commits(engine, strategy)
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(Note), [{"text": "old"} for _ in range(3)])
        init_cache(
            app, strategy, Base.metadata.tables.values(), serve_hits=True, send_status_header=False
        )
        yield app
        db.session.remove()
        engine.dispose()


def record_commits(engine: Engine, strategy: CacheStrategy) -> None:
    """Write real commits down among the verbs."""
    if not isinstance(strategy, RecordingStrategy):
        return
    commit = engine.dialect.do_commit
    verbs = strategy.verbs

    def do_commit(connection: Any) -> None:
        commit(connection)
        verbs.append("commit")

    engine.dialect.do_commit = do_commit  # type: ignore[method-assign, assignment]


@pytest.fixture
def app(database_url: str, strategy: RecordingStrategy) -> Iterator[Flask]:
    """An app on SQLite, and on PostgreSQL."""
    with service(database_url, strategy) as app:
        strategy.verbs.clear()
        yield app


@pytest.fixture
def postgres_app(postgres_url: str, strategy: RecordingStrategy) -> Iterator[Flask]:
    """An app on PostgreSQL, for what only that does."""
    with service(postgres_url, strategy) as app:
        strategy.verbs.clear()
        yield app


def change(number: int = 1) -> Any:
    """A statement that changes a note."""
    return update(Note).where(Note.id == number).values(text="new")


def key(number: int = 1) -> Any:
    """The key of a note."""
    lookup = lookup_of(note)
    assert lookup is not None
    return lookup.key((number,))


def is_fillable(strategy: CacheStrategy, number: int = 1) -> bool:
    """Whether a note can be cached: no fence stands."""
    given = strategy.lease(key(number))
    if isinstance(given, Miss):
        return False
    assert not isinstance(given, bytes)
    return strategy.fill(given, b"value", 300)


# What a transaction costs


def test_a_write_is_fenced_committed_and_released(app: Flask, strategy: RecordingStrategy) -> None:
    """In this order, in one session or the other."""
    db.session.execute(change())
    assert [] == strategy.verbs
    db.session.commit()
    with Session(db.engine) as session, session.begin():
        session.execute(change())
    with db.engine.begin() as connection:
        connection.execute(change())
    assert 3 * WHOLE == strategy.verbs
    assert 3 * [{"notes/1"}] == strategy.fenced


CHANGE = pegboard.Statement(
    update(Note).where(Note.id == bindparam("number")).values(text="new").returning(Note.text)
)
READ = pegboard.Statement(select(Note.text).where(Note.id == bindparam("number")))
TABLE: Any = Note.__table__
REMOVE = pegboard.Statement(delete(TABLE).where(Note.id == bindparam("number")))


def test_statements_that_are_made_once_are_fenced(
    app: Flask, strategy: RecordingStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a model, and one of its table; reading goes to the driver, and costs nothing."""
    for number in (1, 3):
        assert "new" == CHANGE.execute(db.session, number=number).scalar()
        db.session.commit()
    REMOVE.execute(db.session, number=2)
    db.session.commit()
    assert 3 * WHOLE == strategy.verbs
    assert [{"notes/1"}, {"notes/3"}, {"notes/2"}] == strategy.fenced
    READ.execute(db.session, number=1)
    monkeypatch.delattr(Session, "execute")
    assert "new" == READ.execute(db.session, number=1).scalar()
    db.session.commit()
    assert [*3 * WHOLE, "commit"] == strategy.verbs


def test_a_select_that_is_made_once_and_writes_is_fenced(
    postgres_app: Flask, strategy: RecordingStrategy
) -> None:
    """By a statement inside it, each time."""
    changed = change().returning(Note.id).cte()
    repeated = pegboard.Statement(select(changed.c.id))
    for _ in range(3):
        assert 1 == repeated.execute(db.session).scalar()
        db.session.commit()
    assert 3 * WHOLE == strategy.verbs


def test_all_statements_of_a_transaction_have_one_fence(
    app: Flask, strategy: RecordingStrategy
) -> None:
    """Around its one commit."""
    for number in (1, 3, 3):
        db.session.execute(change(number))
        db.session.get_one(Note, 2).text = "new"
        db.session.flush()
    db.session.commit()
    assert WHOLE == strategy.verbs
    assert [{"notes/1", "notes/2", "notes/3"}] == strategy.fenced


def test_a_rollback_costs_nothing(app: Flask, strategy: RecordingStrategy) -> None:
    """Nor does what was rolled back belong to the next transaction of the connection."""
    db.session.execute(change())
    db.session.rollback()
    with suppress(ZeroDivisionError), db.engine.begin() as connection:
        connection.execute(change())
        raise ZeroDivisionError
    with db.engine.connect() as connection:
        connection.execute(change())
    assert [] == strategy.verbs
    db.session.execute(change(2))
    db.session.commit()
    assert [{"notes/2"}] == strategy.fenced


def test_a_failed_statement_costs_nothing(app: Flask, strategy: RecordingStrategy) -> None:
    """It ends in a rollback."""
    with pytest.raises(DBAPIError):
        db.session.execute(text("UPDATE notes SET nothing = 1"))
    db.session.rollback()
    assert [] == strategy.verbs


def test_reading_costs_nothing(app: Flask, strategy: RecordingStrategy) -> None:
    """However the transaction ends, and even with locks."""
    db.session.scalars(select(Note)).all()
    db.session.scalars(select(Note).with_for_update()).all()
    for sql in (
        "SELECT count(*) FROM notes",
        "\n    select count(*) FROM notes",
        "/* who */ -- and why\n SELECT text FROM notes",
    ):
        db.session.execute(text(sql))
    db.session.commit()
    assert ["commit"] == strategy.verbs


@pytest.mark.parametrize(
    "sql",
    [
        "/* one */ UPDATE notes SET text = 'SELECT'",
        "/* /* */ SELECT */ UPDATE notes SET text = 'new'",
        "EXPLAIN ANALYZE UPDATE notes SET text = 'new'",
        "-- SELECT\nUPDATE notes SET text = 'new'",
    ],
)
def test_writing_that_looks_like_reading_is_fenced(
    sql: str, postgres_app: Flask, strategy: RecordingStrategy
) -> None:
    """What a text says in a comment is not what it does."""
    db.session.execute(text(sql))
    db.session.commit()
    assert WHOLE == strategy.verbs
    assert "old" != db.session.scalar(select(Note.text).where(Note.id == 1))


def test_other_ways_of_reading_cost_nothing(
    postgres_app: Flask, strategy: RecordingStrategy
) -> None:
    """Those that not every database has."""
    db.session.execute(text("EXPLAIN SELECT * FROM notes"))
    db.session.execute(text("(SELECT text FROM notes) UNION (SELECT 'x')"))
    db.session.commit()
    assert ["commit"] == strategy.verbs


def test_what_nobody_caches_costs_nothing(app: Flask, strategy: RecordingStrategy) -> None:
    """Nor does a new row."""
    db.session.add_all([Unrelated(), Note()])
    db.session.execute(delete(Unrelated))
    db.session.commit()
    assert ["commit"] == strategy.verbs


class Shared(RecordingStrategy):
    """Whose storage is shared by processes that cache more than this one knows."""

    def join(self, schema_fingerprint: str) -> None:
        """Be told of what this process knows."""

    def must_fence_all(self) -> bool:
        """Say that there are others."""
        return True


@pytest.mark.parametrize("table", [Note, Unrelated])
def test_what_only_others_cache_is_fenced(database_url: str, table: Any) -> None:
    """Their answers may list rows that here nobody has cached: an inserted one, too."""
    strategy = Shared(MemoryStrategy(size=1000))
    with service(database_url, strategy):
        strategy.verbs.clear()
        db.session.execute(insert(table))
        db.session.commit()
        assert ["fence", "commit", "release"] == strategy.verbs
        assert [set()] == strategy.fenced


def test_a_savepoint_is_a_part_of_its_transaction(app: Flask, strategy: RecordingStrategy) -> None:
    """It is fenced with the whole; what was rolled back to it may be, too."""
    with db.session.begin_nested():
        db.session.execute(change(1))
    assert [] == strategy.verbs
    with suppress(ZeroDivisionError), db.session.begin_nested():
        db.session.execute(change(2))
        raise ZeroDivisionError
    db.session.execute(change(3))
    db.session.commit()
    assert WHOLE == strategy.verbs
    assert {"notes/1", "notes/3"} <= strategy.fenced[0]


def test_a_whole_that_is_rolled_back_takes_its_savepoints_along(
    app: Flask, strategy: RecordingStrategy
) -> None:
    """Nothing was written."""
    with db.session.begin_nested():
        db.session.execute(change())
    db.session.rollback()
    assert [] == strategy.verbs


# Statements that commit by themselves


@pytest.fixture(params=["option", "engine"])
def autocommit(request: pytest.FixtureRequest, app: Flask) -> Iterator[Any]:
    """A connection on which each statement commits by itself."""
    if request.param == "engine":
        with db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            yield connection
    else:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection


def test_with_autocommit_each_statement_is_fenced(
    autocommit: Any, strategy: RecordingStrategy
) -> None:
    """And released as soon as it is done."""
    autocommit.execute(change(1))
    assert ["fence", "release"] == strategy.verbs
    autocommit.execute(text("DELETE FROM notes WHERE id = 2"))
    autocommit.execute(select(Note))
    assert [{"notes/1"}, {"notes/*"}] == strategy.fenced
    assert 2 * ["fence", "release"] == strategy.verbs
    assert "new" == db.session.scalar(select(Note.text).where(Note.id == 1))


def test_with_autocommit_a_statement_that_fails_leaves_no_fence(
    autocommit: Any, strategy: RecordingStrategy
) -> None:
    """Whether another follows or not."""
    failing = update(Note).where(Note.id == 1).values(text=None)
    with pytest.raises(IntegrityError):
        autocommit.execute(failing)
    autocommit.execute(change(2))
    assert ["fence", "abandon", "fence", "release"] == strategy.verbs
    with pytest.raises(IntegrityError):
        autocommit.execute(failing)
    autocommit.rollback()
    assert is_fillable(strategy)


def test_a_commit_sent_as_text_is_a_commit(app: Flask, strategy: RecordingStrategy) -> None:
    """A statement that says COMMIT counts like a call of `commit`."""
    with db.engine.connect() as connection:
        connection.execute(change())
        connection.exec_driver_sql("COMMIT")
        assert ["fence", "release"] == strategy.verbs


# Commits that fail


def test_a_commit_that_fails_leaves_no_fence(app: Flask, strategy: RecordingStrategy) -> None:
    """The database has refused it, so nothing was written."""
    db.session.execute(update(Note).where(Note.id == 1).values(twin_id=99))
    with pytest.raises(IntegrityError):
        db.session.commit()
    db.session.rollback()
    assert ["fence", "abandon"] == strategy.verbs
    assert is_fillable(strategy)


def test_a_commit_of_unknown_outcome_leaves_its_fence(
    postgres_app: Flask, strategy: RecordingStrategy
) -> None:
    """The connection is lost, and the server may commit yet: nothing may be filled."""
    pid = db.session.scalar(select(func.pg_backend_pid()))
    db.session.execute(change())
    with db.engine.connect() as other:
        other.execute(select(func.pg_terminate_backend(pid, 5000)))
    with pytest.raises(OperationalError):
        db.session.commit()
    db.session.rollback()
    assert ["fence"] == strategy.verbs
    assert not is_fillable(strategy)
    db.session.execute(change())
    db.session.commit()
    assert not is_fillable(strategy)


# Acknowledgement


class SlowStrategy(MemoryStrategy):
    """Names a moment before which no write may be acknowledged."""

    def __init__(self) -> None:
        super().__init__(size=10)
        self.moment = 0.0
        self.error: Exception | None = None

    def release(self, fence: Any, transaction: Any) -> float:
        """Name it."""
        super().release(fence, transaction)
        if self.error is not None:
            raise self.error
        return self.moment


@pytest.fixture
def slow() -> SlowStrategy:
    """The strategy of the app `slow_app`."""
    return SlowStrategy()


@pytest.fixture
def slow_app(sqlite_url: str, slow: SlowStrategy) -> Iterator[Flask]:
    """An app whose writes are acknowledged late."""
    with service(sqlite_url, slow) as app:
        yield app


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Each wait: for how long, and how many connections were in use meanwhile."""
    seen: list[tuple[float, int]] = []

    class Clock:
        monotonic = staticmethod(lambda: 100.0)

        @staticmethod
        def sleep(seconds: float) -> None:
            seen.append((round(seconds, 3), db.engine.pool.checkedout()))  # type: ignore[attr-defined]

    monkeypatch.setattr(acknowledgement, "time", Clock)
    return seen


def test_a_write_is_acknowledged_at_the_moment_named(
    slow_app: Flask, slow: SlowStrategy, waits: list[Any]
) -> None:
    """A session has returned its connection before it waits: others need it."""
    slow.moment = 101.5
    db.session.execute(change())
    db.session.commit()
    assert [(1.5, 0)] == waits
    db.session.execute(select(Note))
    db.session.commit()
    assert [(1.5, 0)] == waits


def test_without_a_session_the_connection_waits(
    slow_app: Flask, slow: SlowStrategy, waits: list[Any]
) -> None:
    """There is no later place for it."""
    slow.moment = 100.5
    with db.engine.begin() as connection:
        connection.execute(change())
    assert [(0.5, 1)] == waits
    slow.moment = 99.0
    with db.engine.begin() as connection:
        connection.execute(change())
    assert [(0.5, 1)] == waits


def test_a_session_that_failed_owes_no_wait(
    slow_app: Flask, slow: SlowStrategy, waits: list[Any]
) -> None:
    """And the next session of the thread none of its."""
    slow.moment = 101.5
    db.session.execute(update(Note).where(Note.id == 1).values(twin_id=99))
    with pytest.raises(IntegrityError):
        db.session.commit()
    db.session.rollback()
    db.session.execute(select(Note))
    db.session.commit()
    assert [] == waits


def test_a_session_that_failed_and_was_left_holds_up_no_other_wait(
    slow_app: Flask, slow: SlowStrategy, waits: list[Any]
) -> None:
    """Another write of the thread waits for itself."""
    slow.moment = 101.5
    with Session(db.engine) as failed:
        failed.add(Note(id=1, text="there is one already"))
        with pytest.raises(IntegrityError):
            failed.commit()
        with db.engine.begin() as connection:
            connection.execute(change())
        assert [1.5] == [seconds for seconds, _ in waits]


def test_a_commit_on_the_connection_of_a_session_waits(
    slow_app: Flask, slow: SlowStrategy, waits: list[Any]
) -> None:
    """The session does not end by it, but the caller learns that the commit is done."""
    slow.moment = 101.5
    db.session.execute(change())
    db.session.execute(text("COMMIT"))
    assert [(1.5, 1)] == waits
    db.session.rollback()
    assert [(1.5, 1)] == waits
    with Session(db.engine) as session:
        session.execute(change())
        session.connection().commit()
    assert 2 * [(1.5, 1)] == waits


def test_a_session_that_has_joined_a_transaction_does_not_keep_it_from_waiting(
    slow_app: Flask, slow: SlowStrategy, waits: list[Any]
) -> None:
    """It is the outer one that commits, while the session may be in the midst of something."""
    slow.moment = 101.5
    with db.engine.connect() as connection:
        outer = connection.begin()
        joined = Session(connection, join_transaction_mode="create_savepoint")
        joined.execute(change())
        joined.commit()
        joined.execute(select(Note))
        assert [] == waits
        outer.commit()
        assert [(1.5, 1)] == waits
        joined.close()
    assert [(1.5, 1)] == waits


LISTENING = """
import sys, time
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.orm import DeclarativeBase, Session
import pegboard
from pegboard.cache import MemoryStrategy, init_cache
from pegboard.database import DatabaseOptions, db, init_database

waits, heard = [], []
time.sleep = waits.append
event.listen(Session, "after_transaction_end", lambda *_: heard.append(len(waits)))

class Base(pegboard.Model, DeclarativeBase): ...
class Note(Base):
    __tablename__ = "notes"
class Slow(MemoryStrategy):
    def release(self, *fenced):
        return super().release(*fenced) + time.monotonic() + 1000

app = Flask("listening")
app.add_url_rule("/<int:id>", "note", pegboard.cached(Note, ttl=1)(lambda id: "answer"))
init_database(app, DatabaseOptions(sys.argv[1]))
with app.app_context():
    Base.metadata.create_all(db.engine)
    tables = Base.metadata.tables.values()
    init_cache(app, Slow(size=10), tables, serve_hits=True, send_status_header=False)
    db.session.execute(text("DELETE FROM notes"))
    db.session.commit()
print(heard)
"""


@pytest.mark.slow
def test_who_hears_of_the_end_of_a_transaction_hears_of_an_acknowledged_one(
    sqlite_url: str,
) -> None:
    """However early he began to listen: he may tell others, who read at once."""
    assert "[1]\n" == run_python(LISTENING, sqlite_url)


def test_a_session_within_the_commit_of_another_waits_for_itself(
    slow_app: Flask, slow: SlowStrategy, waits: list[Any]
) -> None:
    """Each write is acknowledged in its own time."""
    slow.moment = 101.0

    def also(_: Session) -> None:
        with Session(db.engine) as other:
            other.execute(select(Note))
            other.commit()

    event.listen(db.session(), "before_commit", also, once=True)
    db.session.execute(change())
    db.session.commit()
    assert [1.0] == [seconds for seconds, _ in waits]


def test_a_write_that_may_not_be_acknowledged_is_an_error(
    slow_app: Flask, slow: SlowStrategy
) -> None:
    """It is committed, but caches could still be older: the caller must not believe it is done."""
    slow.error = UnconfirmedError("no")
    db.session.execute(change())
    with pytest.raises(UnconfirmedError):
        db.session.commit()
    db.session.rollback()
    assert "new" == db.session.scalar(select(Note.text).where(Note.id == 1))


# Two phases


@pytest.fixture
def two_phases(postgres_app: Flask) -> Iterator[None]:
    """Leave no prepared transaction behind: its locks would stay."""
    yield
    db.session.remove()
    with db.engine.connect() as connection:
        for left in connection.recover_twophase():
            connection.rollback_prepared(left, recover=True)


@pytest.fixture
def prepared(two_phases: None, strategy: RecordingStrategy) -> str:
    """The id of a transaction that has changed a note, whose connection is gone."""
    with db.engine.connect() as connection:
        transaction = connection.begin_twophase("one")
        connection.execute(change())
        transaction.prepare()
        connection.invalidate()
    assert ["fence"] == strategy.verbs
    strategy.verbs.clear()
    strategy.fenced.clear()
    return "one"


def test_a_transaction_of_two_phases_is_fenced_before_it_is_prepared(
    two_phases: None, strategy: RecordingStrategy
) -> None:
    """While it still takes statements; then it is committed."""
    with Session(db.engine, twophase=True) as session:
        session.execute(change())
        session.prepare()
        assert ["fence"] == strategy.verbs
        session.commit()
    with db.engine.connect() as connection, connection.begin_twophase("unprepared"):
        connection.execute(change())
    assert 2 * ["fence", "release"] == strategy.verbs
    assert is_fillable(strategy)


def test_a_transaction_of_two_phases_that_is_rolled_back_leaves_no_fence(
    two_phases: None, strategy: RecordingStrategy
) -> None:
    """Nor does what it touched belong to the next one of its connection."""
    with db.engine.connect() as connection:
        transaction = connection.begin_twophase("one")
        connection.execute(change())
        transaction.prepare()
        transaction.rollback()
        with connection.begin_twophase("two") as transaction:
            connection.execute(change())
            transaction.rollback()
        with connection.begin():
            connection.execute(select(Note))
    assert ["fence", "abandon", "commit"] == strategy.verbs
    assert is_fillable(strategy)


def test_a_prepared_transaction_may_have_touched_anything(
    prepared: str, strategy: RecordingStrategy
) -> None:
    """Who commits it on another connection does not know."""
    with db.engine.connect() as connection:
        connection.commit_prepared(prepared, recover=True)
    assert [{"notes/*"}] == strategy.fenced
    assert "release" == strategy.verbs[-1]
    assert "new" == db.session.scalar(select(Note.text).where(Note.id == 1))


def test_a_prepared_transaction_that_a_text_commits_may_have_touched_anything(
    prepared: str, strategy: RecordingStrategy
) -> None:
    """It is no less a commit."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"COMMIT PREPARED '{prepared}'"))
    assert [{"notes/*"}] == strategy.fenced
    assert ["fence", "release"] == strategy.verbs


# Several apps


def test_two_apps_do_not_disturb_each_other(sqlite_url: str, postgres_url: str) -> None:
    """Each has the strategy of its own database."""
    one, other = (RecordingStrategy(MemoryStrategy(size=10)) for _ in range(2))
    with service(sqlite_url, one) as first, service(postgres_url, other) as second:
        one.verbs.clear()
        other.verbs.clear()
        with first.app_context():
            db.session.execute(change())
            db.session.commit()
        assert (WHOLE, []) == (one.verbs, other.verbs)
        with second.app_context():
            db.session.execute(change())
            db.session.commit()
        assert (WHOLE, WHOLE) == (one.verbs, other.verbs)


def test_what_a_strategy_does_in_the_transaction_is_undone_with_it(database_url: str) -> None:
    """And after the commit it has one of its own."""

    class WritingStrategy(MemoryStrategy):
        """Keeps something in the database."""

        def fence(self, touched: Touched, transaction: Transaction) -> Any:
            transaction.execute(insert(Unrelated).values(id=len(found()) + 1))
            return super().fence(touched, transaction)

        def release(self, fence: Any, transaction: Transaction) -> float:
            seen.append(len(transaction.execute(select(Unrelated.id))))
            transaction.execute(delete(Unrelated).where(Unrelated.id == 7))
            transaction.commit()
            return super().release(fence, transaction)

    def found() -> list[int]:
        with db.engine.connect() as connection:
            return list(connection.scalars(select(Unrelated.id)))

    seen: list[int] = []
    with service(database_url, WritingStrategy(size=10)):
        db.session.execute(update(Note).where(Note.id == 1).values(twin_id=99))
        with pytest.raises(IntegrityError):
            db.session.commit()
        db.session.rollback()
        assert [] == found()
        db.session.execute(change())
        db.session.commit()
        assert ([1], [1]) == (found(), seen)

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Barrier

import pytest
from flask import Flask
from flask.typing import ResponseReturnValue
from sqlalchemy import Engine, event, func, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.exceptions import NotFound

from pegboard.database import DatabaseOptions, Model, db, init_database, transactional, transactions
from pegboard.database.transactions import MAX_RETRIES

SERIALIZABLE = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"


class Base(Model, DeclarativeBase):
    """The models of these tests."""


class Account(Base):
    """Something that transactions change."""

    __tablename__ = "accounts"

    balance: Mapped[int] = mapped_column(default=0)


@contextmanager
def bank(url: str) -> Iterator[Flask]:
    """Make an app with two accounts, whose context is active."""
    app = Flask(__name__)
    init_database(app, DatabaseOptions(url, lock_timeout=10, busy_timeout=0.5))
    with app.app_context():
        Base.metadata.create_all(db.engine)
        db.session.add_all([Account(id=1), Account(id=2)])
        db.session.commit()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """An app with two accounts, on SQLite and on PostgreSQL."""
    with bank(database_url) as app:
        yield app


@pytest.fixture
def postgres_app(postgres_url: str) -> Iterator[Flask]:
    """An app with two accounts on PostgreSQL, for what only that does."""
    with bank(postgres_url) as app:
        yield app


@pytest.fixture
def statements(app: Flask) -> list[str]:
    """Every statement that is executed from now on, transactions' ends included."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement.split(maxsplit=1)[0])

    event.listen(db.engine, "before_cursor_execute", note)
    event.listen(db.engine, "commit", lambda _: seen.append("COMMIT"))
    event.listen(db.engine, "rollback", lambda _: seen.append("ROLLBACK"))
    return seen


def balance(account: int = 1) -> int | None:
    """Return what is committed, as others see it."""
    with db.engine.connect() as connection:
        found: int | None = connection.scalar(select(Account.balance).where(Account.id == account))
        return found


def fail(engine: Engine, *, on: str, times: int, error: Exception) -> list[int]:
    """Have the engine raise an error of the driver; return the list of the times it did."""
    raised: list[int] = []

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(on) and len(raised) < times:
            raised.append(1)
            raise OperationalError(statement, {}, error)

    event.listen(engine, "before_cursor_execute", before)
    return raised


def conflict(state: str = "40001") -> Exception:
    """Provoke what the driver raises for that SQLSTATE, or for a busy SQLite."""
    with ExitStack() as stack:
        connection = stack.enter_context(db.engine.connect())
        if connection.dialect.name == "postgresql":
            statement = text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
        else:
            statement = text("UPDATE accounts SET balance = 0")
            stack.enter_context(db.engine.connect()).execute(statement)
        with pytest.raises(DBAPIError) as raised:
            connection.execute(statement)
    assert isinstance(raised.value.orig, Exception)
    return raised.value.orig


def test_what_returns_is_committed(app: Flask, statements: list[str]) -> None:
    """One commit, at the end; what the function returns can be used without another query."""

    @transactional
    def deposit(amount: int) -> Account:
        account = db.session.get_one(Account, 1)
        account.balance += amount
        return account

    account = deposit(5)

    assert 5 == account.balance
    assert ["SELECT", "UPDATE", "COMMIT"] == [one for one in statements if one != "BEGIN"]
    assert 5 == balance()


def test_what_raises_is_rolled_back(app: Flask) -> None:
    """An error of any kind undoes everything, and reaches the caller as it is."""

    @transactional
    def deposit() -> None:
        db.session.get_one(Account, 1).balance = 5
        db.session.flush()
        raise NotFound

    with pytest.raises(NotFound):
        deposit()
    assert 0 == balance()


def test_a_view_that_aborts_changes_nothing(app: Flask) -> None:
    """Around a view it does the same, and the answer is that of the error."""

    @app.post("/<int:amount>")
    @transactional
    def deposit(amount: int) -> ResponseReturnValue:
        db.session.get_one(Account, 1).balance = amount
        db.session.flush()
        if amount > 10:
            raise NotFound
        return {}, 201

    assert 201 == app.test_client().post("/5").status_code
    assert 404 == app.test_client().post("/50").status_code
    assert 5 == balance()
    assert "deposit" == deposit.__name__


def test_an_inner_function_joins(app: Flask, statements: list[str]) -> None:
    """A call inside a transactional function joins its transaction, and is rolled back with it."""

    @transactional
    def deposit(account: int, amount: int) -> None:
        db.session.get_one(Account, account).balance += amount

    @transactional
    def transfer(amount: int, *, fail: bool) -> None:
        deposit(1, -amount)
        deposit(2, amount)
        if fail:
            raise NotFound

    with pytest.raises(NotFound):
        transfer(5, fail=True)
    assert (0, 0) == (balance(1), balance(2))

    transfer(5, fail=False)
    assert (-5, 5) == (balance(1), balance(2))
    assert 1 == statements.count("COMMIT")


def test_an_unfinished_transaction_is_completed(app: Flask) -> None:
    """Work that the session already held is committed or undone along with the function's."""

    @transactional
    def deposit(amount: int) -> None:
        db.session.execute(update(Account).where(Account.id == 2).values(balance=amount))
        if amount < 0:
            raise NotFound

    db.session.execute(update(Account).where(Account.id == 1).values(balance=3))
    with pytest.raises(NotFound):
        deposit(-4)
    assert (0, 0) == (balance(1), balance(2))

    db.session.execute(update(Account).where(Account.id == 1).values(balance=3))
    deposit(4)
    assert (3, 4) == (balance(1), balance(2))

    account = db.session.get_one(Account, 1)
    account.balance = 7  # not even flushed
    deposit(8)
    assert (7, 8) == (balance(1), balance(2))


def test_it_starts_from_what_is_committed(app: Flask) -> None:
    """What the session read before is read again, so no update of another is lost."""

    @transactional
    def deposit(amount: int) -> Account:
        account = db.session.get_one(Account, 1)
        account.balance += amount
        return account

    held = deposit(1)
    with db.engine.begin() as other:
        other.execute(update(Account).where(Account.id == 1).values(balance=10))
    assert held is deposit(1)

    assert 11 == balance()


def test_a_mere_read_before_it_does_no_harm(app: Flask) -> None:
    """On SQLite a reader cannot become a writer once another has written; this one can."""

    @transactional
    def deposit(amount: int) -> None:
        db.session.execute(update(Account).values(balance=Account.balance + amount))

    assert 0 == db.session.get_one(Account, 1).balance
    with db.engine.begin() as other:
        other.execute(update(Account).values(balance=10))
    deposit(1)

    assert 11 == balance()


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_it_is_tried_again(app: Flask, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that the database rolled back for another is repeated, thrice at most."""
    monkeypatch.setattr(transactions, "_FIRST_PAUSE", 0.001)
    error = conflict(state)
    calls: list[int] = []

    @transactional
    def deposit() -> None:
        calls.append(1)
        db.session.execute(update(Account).values(balance=Account.balance + 1))

    raised = fail(db.engine, on="UPDATE", times=MAX_RETRIES, error=error)
    deposit()
    assert (MAX_RETRIES, MAX_RETRIES + 1, 1) == (len(raised), len(calls), balance())

    fail(db.engine, on="UPDATE", times=MAX_RETRIES + 1, error=error)
    with pytest.raises(OperationalError):
        deposit()
    assert (2 * (MAX_RETRIES + 1), 1) == (len(calls), balance())


def test_a_flush_at_the_end_is_tried_again(app: Flask) -> None:
    """It makes no difference that the statement was left to the commit."""

    @transactional
    def deposit() -> None:
        db.session.get_one(Account, 1).balance += 1

    fail(db.engine, on="UPDATE", times=1, error=conflict())
    deposit()
    assert 1 == balance()


@pytest.mark.parametrize("state", ["57014", "55P03", "08006"])
def test_other_errors_are_not_tried_again(postgres_app: Flask, state: str) -> None:
    """A time-out of a statement or a lock, or a lost connection, is raised at once."""
    error = conflict(state)
    calls: list[int] = []

    @transactional
    def deposit() -> None:
        calls.append(1)
        db.session.execute(update(Account).values(balance=1))

    fail(db.engine, on="UPDATE", times=1, error=error)
    with pytest.raises(OperationalError):
        deposit()
    assert [1] == calls


def test_a_commit_whose_outcome_is_unknown_is_not_repeated(postgres_app: Flask) -> None:
    """A connection lost while committing may have committed: doing it twice would be worse."""
    calls: list[int] = []

    @transactional
    def deposit() -> None:
        calls.append(1)
        pid = db.session.scalar(select(func.pg_backend_pid()))
        db.session.execute(update(Account).values(balance=Account.balance + 1))
        with db.engine.connect() as other:
            other.execute(select(func.pg_terminate_backend(pid, 5000)))

    with pytest.raises(OperationalError):
        deposit()
    assert [1] == calls


def test_a_part_that_was_committed_is_not_repeated(app: Flask) -> None:
    """A function that ends its transaction itself is on its own from there."""
    error = conflict()
    calls: list[int] = []

    @transactional
    def deposit() -> None:
        calls.append(1)
        db.session.get_one(Account, 1).balance += 1
        db.session.commit()
        db.session.execute(update(Account).values(balance=Account.balance + 1))

    fail(db.engine, on="UPDATE accounts SET balance=(accounts", times=1, error=error)
    with pytest.raises(OperationalError):
        deposit()
    assert ([1], 1) == (calls, balance())


def test_a_joined_transaction_is_not_repeated(app: Flask) -> None:
    """What was done before the function began could not be done again."""
    error = conflict()
    calls: list[int] = []

    @transactional
    def deposit() -> None:
        calls.append(1)
        db.session.execute(update(Account).values(balance=Account.balance + 1))

    db.session.execute(update(Account).where(Account.id == 1).values(balance=3))
    fail(db.engine, on="UPDATE accounts SET balance=(accounts", times=1, error=error)
    with pytest.raises(OperationalError):
        deposit()
    assert [1] == calls


def in_threads(app: Flask, *functions: Callable[[], object]) -> None:
    """Call each function in a thread and a context of its own; raise what they raise."""

    def run(function: Callable[[], object]) -> None:
        with app.app_context():
            function()

    with ThreadPoolExecutor(len(functions)) as threads:
        list(threads.map(run, functions))


@pytest.mark.slow
def test_a_deadlock_is_survived(postgres_app: Flask) -> None:
    """Two transfers that deadlock both succeed in the end."""
    crossed = Barrier(2, timeout=10)
    calls: list[int] = []

    @transactional
    def transfer(source: int, target: int) -> None:
        calls.append(source)
        for account, amount in ((source, -1), (target, 1)):
            row = update(Account).where(Account.id == account)
            db.session.execute(row.values(balance=Account.balance + amount))
            if account == source and calls.count(source) == 1:
                crossed.wait()

    in_threads(postgres_app, lambda: transfer(1, 2), lambda: transfer(2, 1))

    assert (3, 0, 0) == (len(calls), balance(1), balance(2))


def test_a_serialization_failure_at_commit_is_survived(postgres_app: Flask) -> None:
    """Two transactions that each read what the other writes are put in some order."""
    both_have_read = Barrier(2, timeout=10)
    calls: list[int] = []

    @transactional
    def raise_to_sum(account: int) -> None:
        calls.append(1)
        db.session.execute(text(SERIALIZABLE))
        total = db.session.scalar(select(func.sum(Account.balance)))
        if len(calls) <= 2:
            both_have_read.wait()
        db.session.get_one(Account, account).balance = (total or 0) + 1

    in_threads(postgres_app, lambda: raise_to_sum(1), lambda: raise_to_sum(2))

    assert (3, [1, 2]) == (len(calls), sorted([balance(1) or 0, balance(2) or 0]))


def test_writers_take_turns(app: Flask) -> None:
    """Many threads read and then write at once: none fails and no update is lost."""
    together = Barrier(8, timeout=10)

    @transactional
    def deposit() -> None:
        statement = select(Account).where(Account.id == 1).with_for_update()
        db.session.scalars(statement).one().balance += 1

    def often() -> None:
        together.wait()
        for _ in range(5):
            deposit()

    in_threads(app, *[often] * 8)

    assert 40 == balance()


def test_a_writer_on_sqlite_takes_his_turn_at_once(sqlite_url: str) -> None:
    """What the function reads first cannot be changed by another before it writes."""
    with bank(sqlite_url):

        @transactional
        def deposit() -> None:
            db.session.get_one(Account, 1).balance += 1
            with db.engine.connect() as other, pytest.raises(OperationalError, match="locked"):
                other.execute(update(Account).values(balance=10))

        deposit()
        assert 1 == balance()


def test_a_busy_database_is_given_up_in_time(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first attempt took long already there is no second, as a client waits."""
    monkeypatch.setattr(transactions, "RETRY_WITHIN", 0.0)
    error = conflict()
    raised = fail(db.engine, on="UPDATE", times=9, error=error)

    @transactional
    def deposit() -> None:
        db.session.execute(update(Account).values(balance=1))

    with pytest.raises(OperationalError):
        deposit()
    assert [1] == raised

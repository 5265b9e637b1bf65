import enum
import gc
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    Numeric,
    String,
    TypeDecorator,
    bindparam,
    delete,
    event,
    func,
    insert,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from pegboard.database import Model, Statement, db, violation_of


class Colour(enum.Enum):
    """A value that the database has by its name."""

    RED = "r"
    BLUE = "b"


class Upper(TypeDecorator[str]):
    """A type with functions of its author."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store capital letters."""
        return value and value.upper()

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return it with what shows that it was read."""
        return value and f"<{value}>"


class Base(Model, DeclarativeBase):
    """The models of these tests."""


class Owner(Base):
    """What things belong to."""

    __tablename__ = "owners"

    name: Mapped[str]
    odd: Mapped[int | None] = mapped_column("odd (x) [y]", key="odd_key", default=lambda: 7)


class Thing(Base):
    """A row with a column of each kind."""

    __tablename__ = "things"

    name: Mapped[str] = mapped_column(String(20), unique=True)
    flag: Mapped[bool | None]
    share: Mapped[float | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 3))
    day: Mapped[date | None]
    hour: Mapped[time | None]
    moment: Mapped[datetime | None]
    length: Mapped[timedelta | None]
    colour: Mapped[Colour | None]
    data: Mapped[Any] = mapped_column(JSON, nullable=True)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    loud: Mapped[str | None] = mapped_column(Upper(20))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))
    owner: Mapped[Owner | None] = relationship()


class Draft(Base):
    """A row that knows how often it was changed."""

    __tablename__ = "drafts"

    text: Mapped[str]
    version = mapped_column(Integer, nullable=False)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - of SQLAlchemy


MADE = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - as it is stored
TABLE: Any = Thing.__table__
COLUMNS = [*Thing.__mapper__.column_attrs.keys()]

VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "share": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "price": st.decimals(-99999, 99999, places=3),
    "day": st.dates(),
    "hour": st.times(),
    "moment": st.datetimes(),
    "length": st.timedeltas(timedelta(0), timedelta(days=999)),
    "colour": st.sampled_from(Colour),
    "data": st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text("aé%:\"'", max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text("k%", max_size=2), inner)
        ),
        max_leaves=4,
    ),
    "raw": st.binary(max_size=8),
    "loud": st.text("abé%\\:'", max_size=5),
    "owner_id": st.sampled_from([1, 2]),
}


@contextmanager
def prepared(app: Flask) -> Iterator[Flask]:
    """Make the tables with two owners and two things, and the app's context active."""
    with app.app_context():
        Base.metadata.create_all(db.engine)
        db.session.add_all([Owner(name="a"), Owner(name="b")])
        db.session.flush()
        db.session.add_all([Thing(name="one", owner_id=1), Thing(name="two", flag=True)])
        db.session.commit()
        yield app
        db.session.remove()


@pytest.fixture
def app(make_engine_app: Callable[..., Flask], database_url: str) -> Iterator[Flask]:
    """An app with two owners and two things, whose context is active."""
    with prepared(make_engine_app(database_url)) as app:
        yield app


@pytest.fixture
def postgres_app(make_engine_app: Callable[..., Flask], postgres_url: str) -> Iterator[Flask]:
    """An app on PostgreSQL whose statements may take 0.3 s."""
    with prepared(make_engine_app(postgres_url, statement_timeout=0.3)) as app:
        yield app


def rows_of(result: Any) -> Any:
    """Return all that callers can see of a result with rows."""
    keys, rows = tuple(result.keys()), result.all()
    return keys, [(tuple(row), row._fields, dict(row._mapping), [*map(type, row)]) for row in rows]


def outcome(call: Callable[[], Any], seen: Callable[[Any], Any] = rows_of) -> Any:
    """Return what a call returns, or what a caller can see of the error, in a savepoint."""
    try:
        with db.session.begin_nested():
            return seen(call())
    except (SQLAlchemyError, ValueError) as error:
        cause = getattr(error, "orig", None)
        shown = str(error).split("(Background")[0].replace("\nLINE 1:", "\nLINE 2:")
        return type(error), type(cause), shown, getattr(error, "params", None)


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Refuse, from the call on, that a session executes a statement."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the session has executed a statement")

    return lambda: monkeypatch.setattr(Session, "execute", refuse)


NOW = [1]


def now() -> int:
    """Return the value of a parameter that is a function."""
    return NOW[0]


CONDITIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "all": lambda statement, _: statement,
    "one": lambda statement, of: statement.where(of.id == bindparam("id")),
    "names": lambda statement, of: statement.where(of.name.in_(bindparam("names", expanding=True))),
    "like": lambda statement, of: statement.where(of.name.like("%o%")),
    "literal": lambda statement, of: statement.where(of.id < 10 % of.id + 20),
    "page": lambda statement, _: statement.limit(bindparam("size")).offset(1),
    "price": lambda statement, of: statement.where(of.price > bindparam("least")),
    "loud": lambda statement, of: statement.where(of.loud == bindparam("loud", "x")),
    "odd": lambda statement, of: statement.where(of.flag == bindparam("odd [name] (%)")),
    "called": lambda statement, of: statement.where(
        of.id == bindparam("now", callable_=lambda: NOW[0])
    ),
    "lock": lambda statement, _: statement.with_for_update(),
}

VALID = {"id": 1, "names": ["one"], "size": 5, "least": 1, "loud": "x", "odd [name] (%)": True}
"""Parameters of which each statement takes those that it has."""

PARAMETERS: Mapping[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from([1, 3, None, "2", 2**40, 2**70, "x", [1]]),
    "names": st.lists(st.sampled_from(["one", "two", "c"]), max_size=3),
    "size": st.sampled_from([0, 1, 5, -1]),
    "least": st.sampled_from([Decimal("0.5"), 1, 1.5, None, "x"]),
    "loud": st.sampled_from(["é", "X", None, "a\0", 5]),
    "odd [name] (%)": st.sampled_from([True, False, None, 3]),
}


@st.composite
def reads(draw: st.DrawFn) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Draw a SELECT, parameters for it, and a row that it may find."""
    of = draw(st.sampled_from([Thing, TABLE.c]))
    selected: dict[str, Any] = {name: getattr(of, name) for name in COLUMNS}
    selected |= {
        "id twice": of.id,
        "label": of.name.label("called"),
        "computed": (of.id * 2 + 1).label("computed"),
        "length of": func.length(of.name),
        "percent": literal("5%"),
        "null": null(),
        "text": text("1 AS plain"),
        "owner": Owner.name,
        "model": Thing,
    }
    usual = st.sampled_from(COLUMNS)
    names = draw(st.lists(usual | st.sampled_from([*selected]), min_size=1, max_size=5))
    statement = select(*[selected[name] for name in names])
    if "owner" in names:
        statement = statement.where(of.owner_id == Owner.id)
    for condition in draw(
        st.lists(st.sampled_from([*CONDITIONS]), min_size=1, max_size=3, unique=True)
    ):
        statement = CONDITIONS[condition](statement, of)
    parameters = {
        name: draw(values)
        for name, values in PARAMETERS.items()
        if name in str(statement) or draw(st.integers(0, 9)) == 0
    }
    if parameters and draw(st.integers(0, 9)) == 0:
        del parameters[draw(st.sampled_from([*parameters]))]
    row = {name: draw(st.none() | values) for name, values in VALUES.items()}
    return statement.order_by(of.id), parameters, row


CHECK = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.mark.slow
@pytest.mark.usefixtures("app")
def test_a_select_returns_what_the_session_returns() -> None:
    """Values, types, names and errors are equal, the first time and when it is prepared."""

    @CHECK
    @given(reads())
    def check(drawn: Any) -> None:
        statement, parameters, row = drawn
        new = insert(TABLE).values(name="c", created_at=MADE, updated_at=MADE, **row)
        repeated = Statement(statement)
        try:
            db.session.execute(new)
            for NOW[0], values in enumerate((VALID, parameters, VALID, parameters), start=1):
                expected = outcome(partial(db.session.execute, statement, values))
                actual = outcome(partial(repeated.execute, db.session, **values))
                assert expected == actual
        finally:
            db.session.rollback()

    check()


@st.composite
def writes(draw: st.DrawFn) -> tuple[Any, dict[str, Any], Callable[[Any], Any]]:
    """Draw a statement on a model or its table, parameters, and what to see of its result."""
    of = draw(st.sampled_from([Thing, TABLE, Owner]))
    columns: Any = draw(st.sampled_from([TABLE.c, Thing])) if of is TABLE else of
    sent = draw(st.sets(st.sampled_from([*VALUES]), max_size=3)) if of is not Owner else {"odd"}
    values: dict[str, Any] = {name: draw(st.none() | VALUES.get(name, st.just(5))) for name in sent}
    verb = draw(st.sampled_from([insert, update, delete]))
    statement: Any = verb(of)
    if verb is insert:
        values |= {"created_at": MADE, "updated_at": MADE}
        values["name"] = draw(st.sampled_from(["c", "one", None, "long" * 9, "a\0"]))
    else:
        statement = statement.where(columns.id == bindparam("which"))
        values = ({} if verb is delete else values) | {"which": draw(st.sampled_from([1, 2, 9]))}
    if verb is update:
        statement = statement.values({"name": bindparam("called", "new"), "updated_at": MADE})
    match draw(st.integers(0, 2)):
        case 1:
            return statement.returning(columns.id, columns.name), values, rows_of
        case 2:
            return statement.returning(of, columns.name.label("called")), values, rows_of
    return statement, values, lambda result: verb is insert or result.rowcount


@pytest.mark.slow
@pytest.mark.usefixtures("app")
def test_a_write_does_what_the_session_does() -> None:
    """What is in the tables, the rows and the errors are equal."""
    counted = [getattr(Thing, name) for name in COLUMNS if name not in {"updated_at", "created_at"}]

    def written(call: Callable[[], Any], seen: Callable[[Any], Any]) -> Any:
        """Return what a statement has done, and undo it."""
        try:
            found = outcome(call, seen)
            rows = db.session.execute(select(*counted).order_by(Thing.id)).all()
            return found, rows, db.session.execute(select(Owner.name, Owner.odd)).all()
        finally:
            db.session.rollback()
            db.session.expunge_all()

    def without_ids(found: Any) -> Any:
        """Leave out which objects they are, and the ids that a sequence has given."""
        return re.sub(
            r"0x\w+|('?id'?:|\() ?\d+|Decimal|datetime\S+|'?20\d\d-\S+ \S+", "", repr(found)
        )

    @CHECK
    @given(writes())
    def check(drawn: Any) -> None:
        statement, values, seen = drawn
        repeated = Statement(statement)
        expected = written(lambda: db.session.execute(statement, values), seen)
        for _ in range(2):
            actual = written(lambda: repeated.execute(db.session, **values), seen)
            assert without_ids(expected) == without_ids(actual)

    check()


ONE = Statement(select(Thing.name, Thing.owner_id).where(Thing.id == bindparam("id")))
TABLE_ONE = Statement(select(TABLE.c.name).where(TABLE.c.id == bindparam("id")))
ADD = Statement(insert(Thing).returning(Thing.id, Thing.created_at))
RENAME = Statement(
    update(Thing)
    .where(Thing.id == bindparam("which"))
    .values(name=bindparam("called"))
    .returning(Thing.name)
)
REMOVE = Statement(delete(Thing).where(Thing.id == bindparam("which")))


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("one", [ONE, TABLE_ONE])
def test_a_select_of_columns_goes_to_the_driver(
    one: Statement, no_session: Callable[[], None]
) -> None:
    """Once it was executed by the session; so its names are known."""
    expected = one.execute(db.session, id=1).one()
    no_session()
    row = one.execute(db.session, id=1).one()
    assert expected == row
    assert ("one", "one", "one") == (row.name, row._mapping["name"], row[0])
    assert one.execute(db.session, id=9).one_or_none() is None
    assert [("one",)] == one.execute(db.session(), id=1).columns("name").all()


@pytest.mark.usefixtures("app")
def test_rows_know_the_columns_that_were_selected() -> None:
    """As keys of a row's mapping, and of `Result.columns`."""
    expected = db.session.execute(select(Thing.name).where(Thing.id == 1)).mappings().one()
    ONE.execute(db.session, id=1)
    actual = ONE.execute(db.session, id=1).mappings().one()
    assert "one" == actual[Thing.name] == expected[Thing.name]
    assert [(1,)] == ONE.execute(db.session, id=1).columns(Thing.owner_id).all()


@pytest.mark.usefixtures("app")
def test_a_write_of_a_model_goes_past_the_session(no_session: Callable[[], None]) -> None:
    """With the defaults of its columns, in the session's transaction."""
    no_session()
    added = ADD.execute(db.session, name="three").one()
    assert added.created_at is not None
    assert ("four",) == RENAME.execute(db.session, which=added.id, called="four").one()
    assert 1 == REMOVE.execute(db.session, which=added.id).rowcount  # type: ignore[attr-defined]
    db.session.rollback()


@pytest.mark.usefixtures("app")
def test_what_is_none_has_the_default_of_its_column() -> None:
    """As in an INSERT of a session; and a parameter has its default where it is not given."""
    assert ADD.execute(db.session, name="three", created_at=None).one().created_at is not None
    flagged = Statement(select(Thing.name).where(Thing.flag == bindparam("flag", value=True)))
    for _ in range(2):
        assert ["two"] == flagged.execute(db.session).scalars().all()
        assert [] == flagged.execute(db.session, flag=False).scalars().all()


@pytest.mark.usefixtures("app")
def test_a_model_with_versions_gets_one() -> None:
    """That is for the session to give."""
    Statement(insert(Draft)).execute(db.session, text="a")
    assert 1 == db.session.scalar(select(Draft.version))


@pytest.mark.usefixtures("app")
def test_it_is_part_of_the_transaction() -> None:
    """It sees what the session has not flushed yet, and what it writes is rolled back."""
    ONE.execute(db.session, id=1)
    db.session.get_one(Thing, 1).name = "changed"
    assert "changed" == ONE.execute(db.session, id=1).scalar()
    with db.session.begin_nested() as savepoint:
        RENAME.execute(db.session, which=2, called="other").all()
        assert "other" == ONE.execute(db.session, id=2).scalar()
        savepoint.rollback()
    assert "two" == ONE.execute(db.session, id=2).scalar()
    db.session.rollback()
    assert "one" == ONE.execute(db.session, id=1).scalar()


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("is_listening", [False, True])
def test_loaded_objects_are_read_again(*, is_listening: bool) -> None:
    """Whoever executes the statement; a session alone sets them to None, or not at all."""
    if is_listening:
        event.listen(db.session(), "do_orm_execute", lambda _: None)
    thing, other = db.session.get_one(Thing, 1), db.session.get_one(Thing, 2)
    RENAME.execute(db.session, which=1, called="other").all()
    assert ("other", "two") == (thing.name, other.name)
    REMOVE.execute(db.session, which=1)
    assert db.session.get(Thing, 1) is None


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("name", ["before_execute", "before_cursor_execute"])
def test_whoever_listens_to_statements_sees_it(name: str) -> None:
    """A plugin that counts or logs statements, on the engine or on one connection."""
    seen: list[object] = []
    ONE.execute(db.session, id=1)

    def note(*given: object) -> None:
        seen.append(given)

    event.listen(db.engine, name, note)
    assert "one" == ONE.execute(db.session, id=1).scalar()
    assert 1 == len(seen)
    event.remove(db.engine, name, note)
    event.listen(db.session.connection(), name, note)
    assert "two" == ONE.execute(db.session, id=2).scalar()
    assert 2 == len(seen)


@pytest.mark.usefixtures("app")
def test_whoever_executes_statements_gets_it() -> None:
    """A plugin that sends some to another server, as a listener to the dialect."""
    seen: list[str] = []

    def take(_cursor: object, text: str, *_: object) -> None:
        seen.append(text)

    ONE.execute(db.session, id=1)
    event.listen(db.engine, "do_execute", take)
    ONE.execute(db.session, id=1)
    assert 1 == len(seen)


@pytest.mark.usefixtures("app")
def test_whoever_listens_to_the_session_sees_it_and_changes_it() -> None:
    """As a plugin does that shows each user a part of the rows."""
    ONE.execute(db.session, id=1)

    def hide(execution: Any) -> None:
        execution.statement = execution.statement.where(Thing.name != "one")

    event.listen(db.session(), "do_orm_execute", hide)
    assert [] == ONE.execute(db.session, id=1).all()
    assert 0 == REMOVE.execute(db.session, which=1).rowcount  # type: ignore[attr-defined]


@pytest.mark.usefixtures("app")
def test_what_is_echoed_has_the_statement(caplog: pytest.LogCaptureFixture) -> None:
    """`logging` decides by its level, as for each statement."""
    ONE.execute(db.session, id=1)
    with caplog.at_level("INFO", "sqlalchemy.engine"):
        db.session.rollback()
        ONE.execute(db.session, id=1)
    assert "WHERE things.id = " in caplog.text


@pytest.mark.usefixtures("app")
def test_names_of_schemas_are_translated() -> None:
    """For the connection that was told so."""
    ONE.execute(db.session, id=1)
    db.session.rollback()
    db.session.connection(execution_options={"schema_translate_map": {None: "nowhere"}})
    with pytest.raises(DBAPIError, match="nowhere"):
        ONE.execute(db.session, id=1)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("number", [2**70, "no number"])
def test_errors_of_the_driver_are_those_of_sqlalchemy(number: Any) -> None:
    """They tell the statement and what was wrong with it, and the session goes on."""
    wanted = select(Thing.name).where(Thing.id == bindparam("id"), Thing.name != "a")
    repeated = Statement(wanted)
    repeated.execute(db.session, id=1)
    db.session.rollback()

    def violated(call: Callable[..., Any]) -> Any:
        try:
            call()
        except DBAPIError as error:
            db.session.rollback()
            return type(error), str(error), error.params, violation_of(error, db.session())
        return None

    expected = violated(lambda: db.session.execute(wanted, {"id": number}).all())
    assert expected == violated(lambda: repeated.execute(db.session, id=number).all())
    assert "one" == repeated.execute(db.session, id=1).scalar()


@pytest.mark.usefixtures("app")
def test_a_broken_constraint_names_its_column() -> None:
    """So that the platform answers 409 with the field."""
    with pytest.raises(IntegrityError) as caught:
        ADD.execute(db.session, name="one")
    db.session.rollback()
    violation = violation_of(caught.value, db.session())
    assert violation
    assert ("name",) == violation.columns


@pytest.mark.usefixtures("app")
def test_a_missing_parameter_is_told_as_by_the_session() -> None:
    """At the first call, and later."""
    for _ in range(2):
        with pytest.raises(StatementError, match="A value is required for bind parameter 'id'"):
            ONE.execute(db.session)
        assert "one" == ONE.execute(db.session, id=1).scalar()


@pytest.mark.usefixtures("postgres_app")
def test_time_limits_hold() -> None:
    """That of each statement, which the server enforces."""
    sleep = Statement(select(func.pg_sleep(bindparam("seconds")).cast(String)))
    sleep.execute(db.session, seconds=0)
    with pytest.raises(OperationalError, match="statement timeout"):
        sleep.execute(db.session, seconds=30)


@pytest.mark.usefixtures("postgres_app")
def test_a_lost_connection_is_left_to_sqlalchemy() -> None:
    """Which does not give it to anyone again."""
    ONE.execute(db.session, id=1)
    with db.engine.connect() as other:
        pid = db.session.scalar(text("SELECT pg_backend_pid()"))
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    with pytest.raises(OperationalError) as caught:
        ONE.execute(db.session, id=1)
    assert caught.value.connection_invalidated
    db.session.rollback()
    assert "one" == ONE.execute(db.session, id=1).scalar()


def test_apps_of_two_databases_share_it_and_threads_do(
    make_engine_app: Callable[..., Flask], sqlite_url: str, postgres_url: str
) -> None:
    """It is compiled for each of them, by whichever thread comes first."""
    shared = Statement(select(Thing.name, Thing.created_at).where(Thing.id == bindparam("id")))
    apps = [make_engine_app(url) for url in (sqlite_url, postgres_url)]
    for app in apps:
        with prepared(app):
            pass

    def ask(number: int) -> str:
        with apps[number % 2].app_context():
            row = shared.execute(db.session, id=1).one()
            assert isinstance(row.created_at, datetime)
            return str(row.name)

    with ThreadPoolExecutor(8) as pool:
        assert ["one"] * 80 == [*pool.map(ask, range(80))]


@pytest.mark.slow
@pytest.mark.usefixtures("app")
def test_a_statement_that_is_gone_leaves_nothing_behind() -> None:
    """One that was made in a function is compiled each time, but not kept."""
    ONE.execute(db.session, id=1)
    kept = vars(db.engine.dialect)["pegboard_prepared"]
    before = len(kept)
    Statement(select(Thing.id)).execute(db.session)
    gc.collect()
    assert before == len(kept)

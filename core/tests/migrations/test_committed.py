"""Tests of what is said of a failed revision that has committed a part of its work."""

from textwrap import dedent
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from pegboard.database import db
from pegboard.migrations import MigrationError, upgrade
from pegboard.testing.fixtures import MakeApp

from .conftest import Assemble, Plugin

TABLE = "op.create_table('early', sa.Column('id', sa.Integer()))\n"
FAILS = "op.execute('SELECT nothing')"

COMMITS = {
    "COMMIT": f"{TABLE}op.execute('commit')\n{FAILS}",
    "COMMIT and an error in Python": f"{TABLE}op.execute('commit')\nraise ValueError",
    "a commit by the driver": f"{TABLE}op.get_bind().connection.commit()\nraise ValueError",
    "an autocommit block": f"""\
        with op.get_context().autocommit_block():
            {TABLE}            {FAILS}
        """,
    "before an autocommit block": f"""\
        {TABLE}
        with op.get_context().autocommit_block():
            {FAILS}
        """,
    "an error after the block": f"""\
        {TABLE}
        with op.get_context().autocommit_block():
            pass
        raise ValueError
        """,
}


def _failure(app: Flask) -> str:
    with pytest.raises(MigrationError) as failure:
        upgrade(app)
    return failure.value.message


@pytest.mark.parametrize("body", COMMITS.values(), ids=COMMITS)
def test_what_a_failed_revision_has_committed_is_named(
    assemble: Assemble, notes: Plugin, body: str
) -> None:
    """The message says that it stays, and what to do."""
    notes.write(1, body)
    app = assemble(notes)

    message = _failure(app)

    assert "failed, and a part of it stays" in message
    assert "rolled back; the database" not in message
    assert "\n  committed: CREATE TABLE early (" in message
    assert "\n  hint: Undo by hand what was committed." in message
    with app.app_context():
        assert sa.inspect(db.engine).has_table("early")


NOTHING = {
    "no commit": f"{TABLE}{FAILS}",
    "a block in which nothing is done": f"""\
        with op.get_context().autocommit_block():
            {FAILS}
        """,
    "after a rollback": f"{TABLE}op.execute('rollback')\n{FAILS}",
    "by an exit": f"{TABLE}raise SystemExit(0)",
}


@pytest.mark.parametrize("body", NOTHING.values(), ids=NOTHING)
def test_a_revision_of_which_nothing_stays_is_said_to_be_rolled_back(
    assemble: Assemble, notes: Plugin, body: str
) -> None:
    """Without anything committed there is nothing to undo."""
    notes.write(1, body)
    app = assemble(notes)

    assert "failed and was rolled back" in _failure(app)
    with app.app_context():
        assert not sa.inspect(db.engine).has_table("early")


UNRUN = {
    "an async function": "return _later()",
    "a generator": "return (one for one in [op.drop_table('notes')])",
    "a context manager": "return op.batch_alter_table('notes')",
}


@pytest.mark.parametrize("body", UNRUN.values(), ids=UNRUN)
def test_a_revision_that_has_done_nothing_is_not_taken_for_applied(
    assemble: Assemble, notes: Plugin, body: str
) -> None:
    """What a call returns tells, also where its function does not look so."""
    path = notes.create(1, "notes")
    path.write_text(f"{path.read_text()}\n\nasync def _later(): ...\n")
    app = assemble(notes)
    upgrade(app)
    late = notes.write(2, body)
    late.write_text(f"{late.read_text()}\n\nasync def _later(): ...\n")

    message = _failure(app)

    assert "revision notes_0002 Revision number 2 of notes failed and was rolled back" in message
    assert "which nothing" in message
    with app.app_context(), db.engine.connect() as connection:
        applied = connection.scalar(sa.text("SELECT version_num FROM alembic_version_notes"))
        assert "notes_0001" == applied


RETURNED = {
    "its connection": "return op.get_bind()",
    "an open context": "return op.get_bind().begin_nested()",
    "a generator that it has run": "steps = (one for one in 'ab')\nlist(steps)\nreturn steps",
}


@pytest.mark.parametrize("body", RETURNED.values(), ids=RETURNED)
def test_what_a_revision_returns_does_not_matter_once_it_has_run(
    assemble: Assemble, notes: Plugin, body: str
) -> None:
    """It has done its work."""
    notes.write(1, f"{TABLE}\n{body}")
    app = assemble(notes)
    upgrade(app)
    with app.app_context():
        assert sa.inspect(db.engine).has_table("early")


def test_a_revision_may_be_decorated(assemble: Assemble, notes: Plugin) -> None:
    """With what gives its function arguments: what the decorator takes counts."""
    path = notes.create(1, "notes")
    decorator = """

import functools

def with_connection(step):
    @functools.wraps(step)
    def run():
        step(op.get_bind())
    return run

upgrade = with_connection(lambda connection: connection.execute(sa.text("CREATE TABLE a (b INT)")))
"""
    path.write_text(f"{path.read_text()}{decorator}")
    app = assemble(notes)
    upgrade(app)
    with app.app_context():
        assert sa.inspect(db.engine).has_table("a")


ENDS = {
    "a commit": ("op.get_bind().commit()", "commits"),
    "a commit of the transaction": ("op.get_bind().get_transaction().commit()", "commits"),
    "a commit that is caught": (
        f"""\
        try:
            op.get_bind().commit()
        except Exception:
            {TABLE}""",
        "commits",
    ),
    "a commit after an error": (
        """\
        try:
            raise ValueError
        except ValueError:
            op.get_bind().commit()
        """,
        "commits",
    ),
    "a rollback": ("op.get_bind().rollback()", "rolls back"),
    "a rollback after an error": (
        f"""\
        try:
            {FAILS}
        except Exception:
            op.get_bind().rollback()
        """,
        "rolls back",
    ),
}


@pytest.mark.parametrize("body, does", ENDS.values(), ids=ENDS)
def test_a_revision_that_ends_its_transaction_is_refused(
    assemble: Assemble, notes: Plugin, body: str, does: str
) -> None:
    """It would be run again and again, as the note that it is applied would not be committed."""
    notes.create(1, "notes")
    path = notes.write(2, f"op.create_table('more', sa.Column('id', sa.Integer()))\n{dedent(body)}")
    app = assemble(notes)

    message = _failure(app)

    lines = enumerate(path.read_text().splitlines(), 1)
    line = next(number for number, text in lines if "op.get_bind()" in text)
    assert "revision notes_0002 Revision number 2 of notes failed and was rolled back" in message
    assert f"reason: it {does}, at notes/migrations/notes_0002.py:{line}, before its" in message
    assert "hint: Leave the " in message
    with app.app_context():
        assert {"notes", "alembic_version_notes"} == {*sa.inspect(db.engine).get_table_names()}
    notes.create(2, "more")
    upgrade(app)


OTHERS = {
    "the session": """\
        db.session.execute(sa.text("SELECT id FROM notes"))
        """,
    "a session of its own": """\
        from sqlalchemy.orm import Session

        with Session(db.engine) as session:
            session.execute(sa.text("DELETE FROM notes"))
        """,
    "a connection that is caught": """\
        try:
            with db.engine.begin() as connection:
                connection.execute(sa.text("DELETE FROM notes"))
        except Exception:
            pass
        """,
    "outside the transaction": """\
        with op.get_context().autocommit_block():
            sa.inspect(op.get_bind().engine).get_columns("notes")
        """,
}


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_a_revision_that_uses_another_connection_is_refused(
    assemble: Assemble, notes: Plugin, body: str
) -> None:
    """It would wait for the table that its own transaction has locked."""
    notes.create(1, "notes")
    alter = "from pegboard import db\nop.add_column('notes', sa.Column('size', sa.Integer()))\n"
    path = notes.write(2, f"{alter}{dedent(body)}")
    app = assemble(notes)
    report: list[str] = []

    with pytest.raises(MigrationError) as failure:
        upgrade(app, report=report.append)

    message = failure.value.message
    words = ("db.session.", "session.execute", "connection.execute", "get_columns")
    lines = enumerate(path.read_text().splitlines(), 1)
    line = next(number for number, text in lines if any(one in text for one in words))
    place = f"notes/migrations/notes_0002.py:{line}"
    assert f"reason: it uses another connection than its own, at {place}\n" in message
    assert "hint: Use op.execute, or op.get_bind()" in message
    assert not [one for one in report if "retrying" in one]
    notes.write(2, "pass")
    upgrade(app)


def test_a_revision_may_use_its_connection_in_any_way(assemble: Assemble, notes: Plugin) -> None:
    """A session on it, and what looks at the tables; others use the engine meanwhile."""
    notes.create(1, "notes")
    notes.write(
        2,
        """\
        import threading
        from sqlalchemy.orm import Session
        from pegboard import db

        def read(engine=db.engine):
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))

        other = threading.Thread(target=read)
        other.start()
        other.join()
        op.add_column("notes", sa.Column("size", sa.Integer()))
        with Session(op.get_bind()) as session:
            session.execute(sa.text("INSERT INTO notes (size) VALUES (1)"))
            session.flush()
        assert sa.inspect(op.get_bind()).has_table("notes")
        """,
    )
    app = assemble(notes)

    upgrade(app)

    with app.app_context(), db.engine.connect() as connection:
        assert 1 == connection.scalar(sa.text("SELECT size FROM notes"))


def test_an_error_on_whose_way_a_session_is_rolled_back_is_the_reason(
    assemble: Assemble, notes: Plugin
) -> None:
    """A session that a revision makes on the connection rolls back when it ends with an error."""
    notes.write(
        1,
        """\
        from sqlalchemy.orm import Session

        with Session(op.get_bind()) as session, session.begin():
            session.execute(sa.text("SELECT 1"))
            raise ValueError("no such color")
        """,
    )

    assert "reason: ValueError: no such color" in _failure(assemble(notes))


def test_a_commit_that_fails_leaves_nothing(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """A deferred constraint is checked by the commit, which then rolls back."""
    notes.write(
        1,
        """\
        op.execute("CREATE TABLE a (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
        op.execute("INSERT INTO a VALUES (1), (1)")
        """,
    )
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    assert "failed and was rolled back" in _failure(app)


def test_an_index_that_was_not_finished_is_to_be_dropped(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """PostgreSQL keeps an index whose concurrent creation failed, and refuses its name later."""
    notes.write(
        1,
        """\
        op.create_table("notes", sa.Column("title", sa.String(9)))
        op.execute("INSERT INTO notes VALUES ('a'), ('a')")
        """,
    )
    notes.write(
        2,
        """\
        with op.get_context().autocommit_block():
            op.create_index(
                "ix_notes", "notes", ["title"], unique=True, postgresql_concurrently=True
            )
        """,
    )
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    message = _failure(app)

    assert "could not create unique index" in message
    assert "\n  unfinished: the index ix_notes, which is invalid" in message
    assert "hint: Drop the invalid index: DROP INDEX CONCURRENTLY ix_notes; Correct" in message
    assert "already exists" in (again := _failure(app))
    assert "DROP INDEX CONCURRENTLY ix_notes;" in again
    with app.app_context(), db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text("DROP INDEX CONCURRENTLY ix_notes"))
        connection.execute(sa.text("DELETE FROM notes"))
    upgrade(app)


def test_a_commit_that_is_refused_is_rolled_back(
    make_app: MakeApp, postgres_url: str, notes: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the cache, which cannot note what it touches; the message has the reason."""
    notes.write(1, TABLE)
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    with app.app_context():
        engine = db.engine
    commit = engine.dialect.do_commit

    def refuse(connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('early') IS NOT NULL")
            if not cursor.fetchone()[0]:
                commit(connection)
                return
            with pytest.raises(DBAPIError), engine.connect() as other:
                other.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("SELECT a"))
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(engine.dialect, "do_commit", refuse)

    message = _failure(app)

    assert "failed and was rolled back" in message
    assert "division by zero" in message

"""`call_each` in a transaction: refused where an implementation would wait for its end."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from pegboard import db, get_registry, hookimpl, hookspec, transactional
from pegboard.testing.fixtures import MakeApp

INSERT = sa.text("INSERT INTO notes (name) VALUES (:name)")
SELECT = sa.text("SELECT name FROM notes ORDER BY name")


@hookspec
def pegboard_host_noted(name: str) -> None:
    """Note it, too."""


class Hooks:
    """The declarations of the host."""

    pegboard_host_noted = staticmethod(pegboard_host_noted)


class Host:
    """A plugin that declares the hook."""

    name = "host"

    @hookimpl
    def pegboard_hookspecs(self):
        """Return the declarations."""
        return Hooks


class Writer:
    """A plugin that writes and commits."""

    name = "writer"

    @hookimpl
    def pegboard_host_noted(self, name):
        """Insert a row."""
        db.session.execute(INSERT, {"name": f"{name} of the writer"})
        db.session.commit()


@pytest.fixture
def app(make_app: MakeApp, database_url: str):
    """An app with both plugins and a table, on each database, within an app context."""
    app = make_app(plugins=[Host(), Writer()], DATABASE_URL=database_url)
    with app.app_context():
        with db.engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE notes (name TEXT)"))
        yield app


def call() -> list[BaseException | None]:
    """Call the hook; returns the errors."""
    return [one.error for one in get_registry().call_each(pegboard_host_noted, name="a")]


def written() -> None:
    """Leave a row that is not committed."""
    db.session.execute(INSERT, {"name": "mine"})


def locked() -> None:
    """Lock the rows that are read, where the database can."""
    written()
    if db.engine.dialect.name == "postgresql":
        db.session.commit()
        db.session.execute(sa.text("SELECT name FROM notes FOR UPDATE"))


def failed() -> None:
    """Change a row, and fail: the locks are there until the transaction is rolled back."""
    written()
    db.session.commit()
    written()
    with pytest.raises(DBAPIError):
        db.session.execute(sa.text("SELECT nothing FROM notes"))


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("prepare", [written, locked, failed])
def test_it_is_refused_in_a_transaction_that_others_would_wait_for(
    prepare: Callable[[], None],
) -> None:
    """The message says what to do, and nothing is called; once it has ended it works."""
    prepare()
    with pytest.raises(RuntimeError) as caught:
        call()
    assert str(caught.value).startswith("call_each(pegboard_host_noted) is called inside a transac")
    assert "End it before" in str(caught.value)
    assert "registry.hook.pegboard_host_noted(...)" in str(caught.value)
    if prepare is failed:
        db.session.rollback()
    db.session.commit()
    assert [None] == call()
    assert ["a of the writer", "mine"] == [*db.session.scalars(SELECT)]


@pytest.mark.usefixtures("app")
def test_it_is_refused_in_a_transactional_function() -> None:
    """Alike on both databases, as that of SQLite has the lock of writers from the beginning."""
    with pytest.raises(RuntimeError, match="after the transactional function has returned"):
        transactional(call)()
    assert [None] == call()


def test_a_transaction_that_only_reads_is_in_nobodys_way(app: Flask) -> None:
    """So is one without a statement, and a context without a session."""
    with app.app_context():
        assert [None] == call()
    assert [] != [*db.session.scalars(SELECT)]
    assert [None] == call()
    db.session.rollback()
    db.session.begin()
    assert [None] == call()
    assert 3 == len([*db.session.scalars(SELECT)])

"""Tests of the index for searches, which a revision creates by `create_search_index`."""

import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import sqlalchemy as sa
from flask import Flask

from pegboard.database import db
from pegboard.migrations import downgrade, find_drift, search_index, upgrade
from pegboard.testing.databases import execute
from pegboard.testing.fixtures import MakeApp

from .conftest import Assemble, Plugin

TABLE = """\
op.create_table(
    "notes",
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("title", sa.String(), nullable=True),
    sqlite_autoincrement=True,
)
"""
INDEX = """\
from pegboard.resources import create_search_index

create_search_index("notes", ["title"])
"""
DROP = """\
from pegboard.resources import drop_search_index

drop_search_index("notes")
"""


@pytest.fixture
def notes(notes: Plugin) -> Plugin:
    """A plugin with a table, and an index for searches in it."""
    notes.model("notes", title=sa.Column(sa.String()), created_at=None, updated_at=None)
    notes.write(1, TABLE, "op.drop_table('notes')")
    notes.write(2, INDEX, DROP)
    return notes


def _upgrade(app: Flask) -> list[str]:
    """Upgrade, and return what is reported."""
    lines: list[str] = []
    upgrade(app, "notes", report=lines.append)
    return lines


def _indexes(app: Flask) -> list[str | None]:
    with app.app_context():
        return [one["name"] for one in sa.inspect(db.engine).get_indexes("notes")]


def test_the_index_is_created_and_dropped(assemble: Assemble, notes: Plugin) -> None:
    """On PostgreSQL, for which nothing differs from the models; on SQLite nothing is done."""
    app = assemble(notes)

    lines = _upgrade(app)

    with app.app_context():
        is_there = db.engine.dialect.name == "postgresql"
    assert ["ix_notes_trigrams"] * is_there == _indexes(app)
    assert 2 == len(lines)
    assert () == find_drift(app, "notes")
    downgrade(app, "notes")
    assert [] == _indexes(app)
    _upgrade(app)
    assert () == find_drift(app, "notes")


def test_an_extension_in_another_schema_is_found(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """Also one that is not on the search path, as hosting providers have it."""
    execute(postgres_url, "CREATE SCHEMA extensions", "CREATE EXTENSION pg_trgm SCHEMA extensions")
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    _upgrade(app)

    assert ["ix_notes_trigrams"] == _indexes(app)


def test_an_index_that_was_not_finished_is_replaced(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """An attempt that was interrupted leaves one that is never used, and takes the name."""
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    upgrade(app, "notes", "notes_0001")
    execute(
        postgres_url,
        "CREATE INDEX ix_notes_trigrams ON notes (title)",
        "SET allow_system_table_mods = on",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_notes_trigrams'::regclass",
    )

    _upgrade(app)

    assert () == find_drift(app, "notes")
    with app.app_context(), db.engine.connect() as connection:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_notes_trigrams'::regclass"
        assert connection.scalar(sa.text(valid))


@pytest.fixture
def ordinary_url(postgres_url: str) -> Iterator[str]:
    """The database for a role that may create tables, but not in the database itself."""
    role, password = f"ordinary_{secrets.token_hex(4)}", secrets.token_hex(8)
    execute(
        postgres_url,
        f"CREATE ROLE {role} LOGIN PASSWORD '{password}'",
        f"GRANT CREATE ON SCHEMA public TO {role}",
    )
    parts = urlsplit(postgres_url)
    host = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"{role}:{password}@{host}"))
    execute(postgres_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def _assert_goes_on(app: Flask, reason: str) -> None:
    lines = _upgrade(app)

    [said] = [line for line in lines if "searches (q) have no index" in line]
    assert said.startswith("notes: ")
    assert reason in said
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_notes_trigrams ON notes" in said
    assert "notes_0002" in lines[-1]
    assert [] == _indexes(app)
    assert () == find_drift(app, "notes")
    downgrade(app, "notes")


def test_a_role_that_may_not_create_the_extension_goes_on(
    make_app: MakeApp, ordinary_url: str, notes: Plugin
) -> None:
    """The upgrade says that searches have no index, why, and how to add it."""
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=ordinary_url)
    _assert_goes_on(app, "permission denied to create extension")


@pytest.mark.slow
def test_a_server_without_the_extension_goes_on(
    make_app: MakeApp, postgres_url: str, notes: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the package with PostgreSQL's additional modules is not installed."""
    monkeypatch.setattr(search_index, "EXTENSION", "pg_trgm_that_is_not_installed")
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    _assert_goes_on(app, "is not available")


def test_printed_sql_has_the_extension_and_the_index(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """`pegboard db upgrade --sql` cannot ask the database, and prints both."""
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    done = app.test_cli_runner().invoke(args=["db", "upgrade", "notes", "--sql"])

    assert 0 == done.exit_code, done.output
    assert "CREATE EXTENSION IF NOT EXISTS pg_trgm;" in done.output
    assert "USING gin (lower(title) gin_trgm_ops)" in done.output

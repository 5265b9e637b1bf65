"""Ids of SQLite are used once."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import DeclarativeBase, mapped_column

import pegboard
from pegboard.database import Model, db
from pegboard.migrations import downgrade, find_drift, upgrade, write_revisions
from pegboard.testing.fixtures import MakeApp

OLD = """\
import sqlalchemy as sa
from alembic import op

revision = "notes_0001"
down_revision = None


def upgrade():
    for name in ("notes", "tags"):
        op.create_table(
            name,
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("size", sa.Integer(), sa.ForeignKey("notes.id", ondelete="CASCADE")),
        )


def downgrade():
    op.drop_table("tags")
    op.drop_table("notes")
"""


class Notes:
    """A plugin whose tables are of a time before ids were used once."""

    name = "notes"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.size = 1
        (folder / "notes_0001.py").write_text(OLD)

    @pegboard.hookimpl
    def pegboard_models(self) -> type[DeclarativeBase]:
        """Bring the models."""

        class Base(Model, DeclarativeBase):
            """The models."""

        times = {"created_at": None, "updated_at": None}
        for name in ("notes", "tags"):
            key = sa.ForeignKey("notes.id", ondelete="CASCADE")
            size = mapped_column(sa.Integer, key, nullable=self.size > 0)
            type(name, (Base,), {"__tablename__": name, "size": size, **times})
        return Base

    @pegboard.hookimpl
    def pegboard_migrations(self) -> Path:
        """Bring the revisions."""
        return self.folder


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """The plugin."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return Notes(folder)


def insert(app: Flask, table: str, **values: Any) -> int:
    """Insert a row; return its id."""
    with app.app_context(), db.engine.begin() as connection:
        target = sa.table(table, sa.column("id"), *map(sa.column, values))
        row = connection.execute(sa.insert(target).values(values).returning(target.c.id))
        number: int = row.scalar_one()
        return number


def delete(app: Flask, table: str, number: int) -> None:
    """Delete a row."""
    with app.app_context(), db.engine.begin() as connection:
        target = sa.table(table, sa.column("id"))
        connection.execute(sa.delete(target).where(target.c.id == number))


@pytest.mark.slow
def test_ids_of_tables_that_exist_are_used_once_by_a_revision(
    make_app: MakeApp, notes: Notes, sqlite_url: str, postgres_url: str
) -> None:
    """It is found missing and written, keeps the rows, and counts on however often it rebuilds."""
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=sqlite_url)
    upgrade(app)
    (drift,) = find_drift(app)
    assert ("use ids once in table notes", "use ids once in table tags") == drift.differences
    rows = [insert(app, "notes", size=None) for _ in range(3)]
    tag = insert(app, "tags", size=rows[1])
    write_revisions(app)
    upgrade(app)
    assert () == find_drift(app)

    delete(app, "notes", rows[2])
    assert 4 == insert(app, "notes", size=1)
    delete(app, "notes", 4)
    with app.app_context(), db.engine.connect() as connection:
        kept = connection.execute(sa.text("SELECT id, size FROM tags")).all()
    assert [(tag, rows[1])] == kept

    # Another revision that rebuilds the table.
    notes.size = 0
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE notes SET size = 1"))
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=sqlite_url)
    write_revisions(app)
    upgrade(app)
    assert () == find_drift(app)
    assert 5 == insert(app, "notes", size=1)

    other = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    for one in (other, app):
        upgrade(one)
        downgrade(one, revision="base")
        upgrade(one)
        assert () == find_drift(one)


def test_a_new_table_uses_ids_once(
    make_app: MakeApp, notes: Notes, sqlite_url: str, postgres_url: str
) -> None:
    """Its revision says so, whichever database it was written on."""
    for url in (postgres_url, sqlite_url):
        (notes.folder / "notes_0001.py").unlink(missing_ok=True)
        for path in notes.folder.glob("*.py"):
            path.unlink()
        (path,) = write_revisions(make_app(plugins=[notes], upgrade=False, DATABASE_URL=url))
        assert 2 == path.read_text().count("sqlite_autoincrement=True")
    app = make_app(plugins=[notes], DATABASE_URL=sqlite_url)
    assert () == find_drift(app)
    delete(app, "notes", insert(app, "notes", size=None))
    assert 2 == insert(app, "notes", size=None)

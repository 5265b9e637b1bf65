"""Tables and columns of the models that no revision created, or that somebody dropped."""

import logging

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, mapped_column

from pegboard.database import Model, db
from pegboard.migrations import find_missing, upgrade, write_revisions


def title(length=20):
    """Return a column of a model."""
    return mapped_column(sa.String(length))


def execute(app, statement):
    """Execute a statement."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text(statement))


def readiness(app, caplog):
    """Return the status of `/health/ready`, and what was logged."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        return app.test_client().get("/health/ready").status_code, caplog.text


def test_models_without_a_revision_are_not_ready(assemble, notes, cli, caplog):
    """The folder of revisions is empty: `db upgrade` fails, readiness names the table."""
    notes.model("notes")
    app = assemble(notes)

    result = cli("db", "upgrade", app=app)
    assert 1 == result.exit_code
    assert "notes: already at head (there are no revisions)\n" in result.output
    assert "notes: its models need what the database lacks: table notes" in result.output
    assert "[PB_DATABASE_INCOMPLETE]" in result.output
    assert "pegboard db migrate notes" in result.output
    status, log = readiness(app, caplog)
    assert 503 == status
    assert "notes: the database lacks table notes" in log

    write_revisions(app)
    assert 0 == cli("db", "upgrade", app=app).exit_code
    assert (200, "") == readiness(assemble(notes), caplog)


def test_a_column_without_a_revision_is_not_ready(assemble, notes, cli, caplog):
    """A model that got a column fails as one without a table: each query names the column."""
    notes.model("notes")
    write_revisions(assemble(notes))
    notes.without_models()
    notes.model("notes", color=title(), title=title())
    app = assemble(notes)

    result = cli("db", "upgrade", app=app)
    assert 1 == result.exit_code
    assert "the database lacks: column notes.color, column notes.title" in result.output
    status, log = readiness(app, caplog)
    assert 503 == status
    assert "notes: the database lacks column notes.color, column notes.title" in log


def test_another_difference_is_a_warning(assemble, notes, cli, caplog):
    """A type that differs stops no query, so the upgrade succeeds, and says so."""
    notes.model("notes", title=title(20))
    write_revisions(assemble(notes))
    notes.without_models()
    notes.model("notes", title=title(40))
    app = assemble(notes)

    result = cli("db", "upgrade", app=app)

    assert 0 == result.exit_code
    assert "Warning: notes: modify type of notes.title from VARCHAR" in result.output
    assert "pegboard db migrate notes" in result.output
    assert 200 == readiness(app, caplog)[0]


def test_a_table_that_was_dropped_is_missed(assemble, notes, cli, caplog):
    """Readiness looks at the database, not only at its revision."""
    notes.model("notes")
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)
    assert 200 == readiness(app, caplog)[0]

    execute(app, "DROP TABLE notes")

    assert "notes: the database lacks table notes" == str(find_missing(app)[0])
    assert 503 == readiness(assemble(notes), caplog)[0]
    assert "If it was dropped by hand, restore it." in cli("db", "upgrade", app=app).output


def test_only_the_plugins_that_are_upgraded_are_judged(assemble, make_plugin, cli):
    """Upgrading one, or to a revision before the newest, says nothing of the rest."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    tags.model("tags")
    notes.create(1, "notes")
    app = assemble(notes, tags)

    for arguments in ([], ["tags"]):
        assert 1 == cli("db", "upgrade", *arguments, app=app).exit_code
    for arguments in (["notes"], ["base"], ["tags", "base"]):
        assert 0 == cli("db", "upgrade", *arguments, app=app).exit_code


def test_the_authors_of_an_installed_plugin_are_told(assemble, make_plugin, cli, tmp_path):
    """Nobody can write a revision into an installed package."""
    notes = make_plugin("notes", tmp_path / "site-packages")
    notes.model("notes")

    result = cli("db", "upgrade", app=assemble(notes))

    assert "this release of the plugin is incomplete: tell its authors" in result.output


def test_what_is_there_in_another_form_is_not_missed(assemble, notes):
    """A view serves a model; names may have capitals and columns no model."""
    notes.model("notes", created_at=None, updated_at=None)
    notes.model("Mixed", created_at=None, updated_at=None)
    app = assemble(notes)
    execute(app, "CREATE VIEW notes AS SELECT 1 AS id")
    execute(app, 'CREATE TABLE "Mixed" (id INTEGER, "Unmapped" INTEGER)')
    assert () == find_missing(app)


def test_names_on_sqlite_have_no_case(make_app, notes):
    """There a model of `notes` reads a table `Notes`."""
    notes.model("notes", created_at=None, updated_at=None)
    app = make_app(plugins=[notes], upgrade=False)
    execute(app, "CREATE TABLE Notes (ID INTEGER)")

    assert () == find_missing(app)


def test_the_tables_of_a_bind_are_elsewhere(assemble, notes):
    """A base whose metadata has a `bind_key` has its tables in a database of its own."""

    class Base(Model, DeclarativeBase):
        metadata = sa.MetaData(info={"bind_key": "other"})

    notes.base = Base
    notes.model("notes")

    assert () == find_missing(assemble(notes))

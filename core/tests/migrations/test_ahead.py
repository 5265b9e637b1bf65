"""Tests of an older release on a database that a newer one has migrated."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import mapped_column

from pegboard.database import db
from pegboard.migrations import MigrationError, downgrade, upgrade
from pegboard.testing.fixtures import RunCLI

from .conftest import Assemble, MakePlugin, Plugin

ADD = """\
with op.batch_alter_table("notes") as batch:
    batch.add_column(sa.Column("{name}", sa.String(9), {options}))
"""
DROP = """\
with op.batch_alter_table("notes") as batch:
    batch.drop_column("{name}")
"""


def add(plugin: Plugin, number: int, name: str, options: str = "", **how: int) -> None:
    """Write a revision that adds a column."""
    plugin.write(number, ADD.format(name=name, options=options), DROP.format(name=name), **how)


@pytest.fixture
def migrated(
    assemble: Assemble, notes: Plugin, make_plugin: MakePlugin
) -> Callable[..., tuple[Flask, Plugin]]:
    """Migrate with a newer release, and return the app of an older one, and its plugin."""

    def migrate(options: str = "", **columns: Any) -> tuple[Flask, Plugin]:
        notes.create(1, "notes")
        add(notes, 2, "color", options)
        upgrade(assemble(notes))
        older = make_plugin("notes", notes.versions.parent.parent / "older")
        older.create(1, "notes")
        older.model("notes", created_at=None, updated_at=None, **columns)
        return assemble(older), older

    return migrate


def versions(app: Flask) -> list[str]:
    """Return the revisions of the version table."""
    with app.app_context():
        return [*db.session.scalars(sa.text("SELECT version_num FROM alembic_version_notes"))]


def change(app: Flask, statement: str) -> None:
    """Execute a statement."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text(statement))


def test_an_older_release_warns_and_applies_nothing(migrated, cli: RunCLI):
    """Its step of a deployment succeeds, so that a service goes back by its image alone."""
    app, _ = migrated()

    result = cli("db", "upgrade", app=app)

    assert 0 == result.exit_code, result.output
    assert "notes: ahead, at notes_0002; nothing is applied\n" == result.stdout
    assert (
        "Warning: notes: the database is at notes_0002, which the installed release does not know: "
        "another state of these files has applied it [PB_MIGRATION_AHEAD]\n"
    ) in result.stderr
    assert "pegboard db downgrade notes notes_0001 with the newer release" in result.stderr
    assert 1 == result.stderr.count("Warning")
    assert ["notes_0002"] == versions(app)


@pytest.mark.parametrize(
    "options, names",
    [
        ("", ()),
        ("server_default='red', nullable=False", ()),
        ("nullable=False", ("notes.color",)),
    ],
)
def test_a_column_without_which_no_row_can_be_added_is_named(migrated, options: str, names: object):
    """The newer release has not expanded the table first: the older one can read, not add."""
    app, _ = migrated(options)

    (ahead,) = upgrade(app)

    assert names == ahead.refused
    assert bool(names) == ("rows without notes.color cannot be added" in str(ahead.as_problem()))


@pytest.mark.parametrize(
    "options, names", [({"nullable": True}, ("notes.color",)), ({"default": "red"}, ())]
)
def test_a_column_that_must_be_filled_now_is_named(
    migrated, options: dict[str, Any], names: object
):
    """Where the older release may leave it empty."""
    app, _ = migrated("nullable=False", color=mapped_column(sa.Text, **options))

    (ahead,) = upgrade(app)

    assert names == ahead.refused


def test_what_the_older_release_needs_must_be_there(migrated, cli: RunCLI):
    """A newer revision may have dropped it; then the step fails."""
    app, _ = migrated()
    change(app, "ALTER TABLE notes RENAME TO notebook")

    result = cli("db", "upgrade", app=app)

    assert 1 == result.exit_code
    assert "[PB_DATABASE_INCOMPLETE]" in result.stderr


def test_a_database_of_another_branch_is_not_ahead(migrated):
    """It lacks a revision of the installed release, which nothing would ever apply."""
    app, older = migrated()
    add(older, 3, "size", after=1)

    with pytest.raises(MigrationError, match=r"without notes_0003: .* \[PB_MIGRATION_DIVERGED\]"):
        upgrade(app)
    assert ["notes_0002"] == versions(app)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE alembic_version_notes SET record = NULL",
        "UPDATE alembic_version_notes SET record = '{}'",
        "UPDATE alembic_version_notes SET version_num = 'notes_0009'",
        "ALTER TABLE alembic_version_notes DROP COLUMN record",
    ],
)
def test_without_a_record_only_the_models_tell(migrated, statement: str):
    """So after a release that has recorded nothing."""
    app, older = migrated()
    add(older, 3, "size", after=1)
    change(app, statement)

    (ahead,) = upgrade(app)

    assert ahead.record is None
    assert "is not recorded" in str(ahead.as_problem())


def test_an_upgrade_records_what_an_earlier_one_has_not(assemble: Assemble, notes: Plugin):
    """The version table of an older core gets the column."""
    notes.create(1, "notes")
    newer = notes.create(2, "more")
    app = assemble(notes)
    upgrade(app)
    change(app, "ALTER TABLE alembic_version_notes DROP COLUMN record")

    upgrade(app)
    newer.unlink()

    (ahead,) = upgrade(app)
    assert ahead.record
    assert {"notes_0001", "notes_0002"} == ahead.record.revisions
    assert {"notes", "more"} == {table.name for table in ahead.record.tables}


def test_a_downgrade_is_recorded(assemble: Assemble, notes: Plugin):
    """What has been taken back is not there for an older release."""
    notes.create(1, "notes")
    last, newer = notes.create(2, "more"), notes.create(3, "most")
    app = assemble(notes)
    upgrade(app)
    downgrade(app, "notes", "notes_0002")
    newer.unlink()
    last.unlink()

    (ahead,) = upgrade(app)

    assert ahead.record
    assert {"notes_0001", "notes_0002"} == ahead.record.revisions
    assert {"notes", "more"} == {table.name for table in ahead.record.tables}


@pytest.mark.parametrize("command", ["check", "downgrade"])
def test_a_lost_revision_can_be_stamped_away_as_the_message_says(migrated, cli: RunCLI, command):
    """By `stamp --purge`, which looks for no file."""
    app, _ = migrated()
    refused = cli("db", command, "notes", app=app)
    assert "pegboard db stamp --purge notes REVISION" in refused.output
    stamped = cli("db", "stamp", "--purge", "notes", "notes_0001", app=app)
    assert 0 == stamped.exit_code, stamped.output
    assert ["notes_0001"] == versions(app)

import ast
import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen
from textwrap import dedent
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import mapped_column

from pegboard.database import db
from pegboard.migrations import (
    PACKAGED_ENVIRONMENT,
    Drift,
    History,
    MigrationError,
    Orphan,
    PendingHistory,
    downgrade,
    find_drift,
    find_orphans,
    get_migrate,
    init_migrations,
    pending_histories,
    remove_history,
    stamp,
    upgrade,
    write_empty_revisions,
    write_merge_revision,
    write_revisions,
)
from pegboard.plugins.discovery import LONGEST_NAME
from pegboard.testing.databases import execute
from pegboard.testing.fixtures import MakeApp, RunCLI

Plugin = Any
"""The class of that name in `conftest.py`, which a test cannot import."""
MakePlugin = Callable[..., Any]
Assemble = Callable[..., Flask]


def string(length: int, **options: Any) -> Any:
    """Return a column of a model."""
    return mapped_column(sa.String(length), **options)


def integer(*arguments: Any, **options: Any) -> Any:
    """Return a column of a model."""
    return mapped_column(sa.Integer, *arguments, **options)


class Report(list[str]):
    """What a migration tells, line by line."""

    def __call__(self, line: str) -> None:
        """Take a line."""
        self.append(line)


def tables(app: Flask) -> set[str]:
    """Return the tables in the database, other than the version tables."""
    with app.app_context():
        names = sa.inspect(db.engine).get_table_names()
        return {name for name in names if not name.startswith("alembic_version_")}


def versions(app: Flask) -> dict[str, list[str]]:
    """Return what the version tables in the database say."""
    with app.app_context(), db.engine.connect() as connection:
        return {
            name.removeprefix("alembic_version_"): sorted(
                connection.scalars(sa.select(sa.column("version_num")).select_from(sa.table(name)))
            )
            for name in sa.inspect(db.engine).get_table_names()
            if name.startswith("alembic_version_")
        }


def test_each_plugin_has_a_history_of_its_own(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """Each is brought to its head in order, in a version table of its own, and back in reverse."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.create(1, "notes")
    tags.create(1, "tags")
    tags.create(2, "colors")
    app = assemble(notes, tags)
    report = Report()

    upgrade(app, report=report)
    upgrade(app, report=report)
    assert [
        "notes: notes_0001 Revision number 1 of notes (applied)",
        "tags: tags_0001 Revision number 1 of tags (applied)",
        "tags: tags_0002 Revision number 2 of tags (applied)",
        "notes: already at head (notes_0001)",
        "tags: already at head (tags_0002)",
    ] == report
    assert {"notes", "tags", "colors"} == tables(app)
    assert {"notes": ["notes_0001"], "tags": ["tags_0002"]} == versions(app)

    report.clear()
    downgrade(app, report=report)
    downgrade(app, revision="base", report=report)
    assert [
        "tags: tags_0002 Revision number 2 of tags (downgraded)",
        "notes: notes_0001 Revision number 1 of notes (downgraded)",
        "tags: tags_0001 Revision number 1 of tags (downgraded)",
        "notes: nothing to downgrade",
    ] == report
    assert set() == tables(app)


def test_one_plugin_can_be_migrated_alone(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """A name restricts everything to one history, and a revision says how far."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    for number in (1, 2, 3):
        tags.create(number, f"tags{number}")
    notes.create(1, "notes")
    app = assemble(notes, tags)

    upgrade(app, "tags", "tags_0002")
    assert {"tags1", "tags2"} == tables(app)

    upgrade(app, "tags", "+1")
    assert {"tags1", "tags2", "tags3"} == tables(app)

    downgrade(app, "tags", "tags_0001")
    assert {"tags1"} == tables(app)

    downgrade(app, "tags", "-1")
    upgrade(app, "notes")
    assert {"notes"} == tables(app)


def test_a_removed_plugin_breaks_nothing(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """Tables and histories of an absent plugin are not touched, and stop no command."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.model("notes", created_at=None, updated_at=None)
    notes.create(1, "notes")
    tags.create(1, "tags")
    upgrade(assemble(notes, tags))

    app = assemble(tags)
    tags.create(2, "colors")
    upgrade(app)
    assert () == pending_histories(app)
    assert {"notes", "tags", "colors"} == tables(app)
    downgrade(app, revision="base")
    assert {"notes"} == tables(app)
    assert (Orphan("history", "notes"), Orphan("table", "notes")) == find_orphans(app)


def test_what_is_pending_is_known(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """A history that upgrade would bring further says where it is; others are not mentioned."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.create(1, "notes")
    app = assemble(notes, tags)
    assert (PendingHistory("notes", None, "notes_0001"),) == pending_histories(app)
    assert "notes: the database is at no revision, not notes_0001" == str(pending_histories(app)[0])

    upgrade(app)
    assert () == pending_histories(app)

    notes.create(2, "more")
    assert (PendingHistory("notes", "notes_0001", "notes_0002"),) == pending_histories(app)
    with app.app_context():
        assert 1 == len(pending_histories(app))
        assert not db.session().in_transaction()


def test_a_database_ahead_of_the_code_is_not_pending(assemble: Assemble, notes: Plugin) -> None:
    """While a new version replaces an old one, the old one serves; an upgrade does nothing."""
    notes.create(1, "notes")
    newer = notes.create(2, "more")
    app = assemble(notes)
    upgrade(app)
    newer.unlink()

    assert () == pending_histories(app)
    assert ["notes_0002"] == [one for ahead in upgrade(app) for one in ahead.unknown]
    for act in (downgrade, find_drift):
        with pytest.raises(MigrationError, match="notes: the database is at notes_0002, which"):
            act(app)
    assert {"notes", "more"} == tables(app)


def test_a_failing_revision_is_undone(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """The database stays at the last good revision; the error names plugin, revision and file."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.create(1, "notes")
    path = notes.write(
        2,
        """\
        op.create_table("more", sa.Column("id", sa.Integer()))
        op.execute("INSERT INTO more VALUES (1)")
        op.execute("INSERT INTO nowhere VALUES (1)")
        """,
    )
    notes.create(3, "never")
    tags.create(1, "tags")
    app = assemble(notes, tags)

    with pytest.raises(MigrationError) as raised:
        upgrade(app)
    assert "notes: revision notes_0002 Revision number 2 of notes failed" in str(raised.value)
    assert str(path) in str(raised.value)
    assert "nowhere" in str(raised.value)
    assert {"notes"} == tables(app)
    assert ["notes_0001"] == versions(app)["notes"]

    notes.create(2, "more")
    upgrade(app)
    assert {"notes", "more", "never", "tags"} == tables(app)


def test_a_failing_downgrade_is_rolled_back(assemble: Assemble, notes: Plugin) -> None:
    """A revision that cannot be downgraded stays, with all it did."""
    notes.create(1, "notes")
    notes.write(2, "pass", "op.drop_table('notes')\nraise NotImplementedError")
    app = assemble(notes)
    upgrade(app)

    with pytest.raises(MigrationError, match="NotImplementedError"):
        downgrade(app)
    assert {"notes"} == tables(app)
    assert ["notes_0002"] == versions(app)["notes"]


def test_a_broken_revision_file_is_named(assemble: Assemble, notes: Plugin) -> None:
    """A file that cannot be read is reported as that, not as a trace."""
    app = assemble(notes)
    notes.create(1, "notes").write_text("revision = ")
    with pytest.raises(MigrationError, match=r"notes: .*SyntaxError: .*notes_0001\.py:\d"):
        upgrade(app)

    notes.create(1, "notes").write_text("a = 1\n")
    with pytest.raises(MigrationError, match=r"notes: .*notes_0001\.py"):
        upgrade(app)

    notes.create(1, "notes")
    notes.create(2, "more").write_text(notes.create(3, "other").read_text())
    with pytest.raises(MigrationError, match="notes: the revision notes_0003 is there 2 times"):
        upgrade(app)

    notes.write(2, "pass", after=9)
    with pytest.raises(
        MigrationError, match=r"follows notes_0009, .*\n +Correct the down_revision"
    ):
        upgrade(app)


def test_a_revision_that_does_not_exist_is_named(assemble: Assemble, notes: Plugin) -> None:
    """A mistyped revision or plugin is said to be one, with those there are."""
    notes.create(1, "notes")
    app = assemble(notes)

    with pytest.raises(MigrationError, match="notes: there is no revision notes_0009"):
        upgrade(app, "notes", "notes_0009")
    with pytest.raises(MigrationError, match="tags names no history; these are there: notes"):
        upgrade(app, "tags")


def test_branches_are_merged(assemble: Assemble, notes: Plugin) -> None:
    """Two newest revisions stop an upgrade until a third merges them."""
    notes.create(1, "notes")
    notes.create(2, "more")
    branch = notes.write(3, "op.create_table('b', sa.Column('id', sa.Integer()))", after=1)
    app = assemble(notes)
    with pytest.raises(MigrationError, match=r"notes_000\d and notes_000\d are both the newest"):
        upgrade(app)

    path = write_merge_revision(app, "notes", message="unite them")
    upgrade(app)

    assert "notes_0004_unite_them.py" == path.name
    assert {"notes", "more", "b"} == tables(app)
    assert ["notes_0004"] == versions(app)["notes"]
    assert branch.exists()


def test_a_database_can_be_stamped(assemble: Assemble, notes: Plugin) -> None:
    """A database whose tables were made otherwise is stamped as being at a revision."""
    notes.create(1, "notes")
    app = assemble(notes)
    report = Report()

    stamp(app, report=report)
    stamp(app, "notes", "base", report=report)

    assert ["notes: stamped as notes_0001", "notes: stamped as no revision"] == report
    assert set() == tables(app)


def test_sqlite_keeps_rows_that_refer_to_a_rebuilt_table(
    make_app: MakeApp, sqlite_url: str, notes: Plugin
) -> None:
    """There a table is altered by rebuilding it, which must not cascade to other tables."""
    notes.write(
        1,
        """\
        op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True))
        op.create_table(
            "lines",
            sa.Column("note_id", sa.Integer(), sa.ForeignKey("notes.id", ondelete="CASCADE")),
        )
        op.execute("INSERT INTO notes VALUES (1)")
        op.execute("INSERT INTO lines VALUES (1)")
        """,
    )
    notes.write(
        2,
        """\
        with op.batch_alter_table("notes", recreate="always") as batch:
            batch.add_column(sa.Column("title", sa.String(10)))
        """,
    )
    app = make_app(plugins=[notes], DATABASE_URL=sqlite_url)

    with app.app_context(), db.engine.connect() as connection:
        assert [(1,)] == connection.execute(sa.text("SELECT * FROM lines")).all()
        assert 1 == connection.scalar(sa.text("PRAGMA foreign_keys"))


def test_sqlite_checks_foreign_keys_before_it_commits(
    make_app: MakeApp, sqlite_url: str, notes: Plugin
) -> None:
    """A revision that breaks a foreign key is rolled back."""
    notes.write(
        1,
        """\
        op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True))
        op.create_table("lines", sa.Column("note_id", sa.Integer(), sa.ForeignKey("notes.id")))
        """,
    )
    notes.write(2, "op.execute('INSERT INTO lines VALUES (7)')")
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=sqlite_url)

    with pytest.raises(MigrationError, match="rows refer to others that do not exist: lines to"):
        upgrade(app)
    assert ["notes_0001"] == versions(app)["notes"]


def test_a_migration_takes_the_time_it_needs(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """The time limit on statements is for requests."""
    notes.write(1, "op.execute('SELECT pg_sleep(0.5)')")

    app = make_app(plugins=[notes], DATABASE_URL=postgres_url, DATABASE_STATEMENT_TIMEOUT=0.1)

    assert () == pending_histories(app)


def test_an_index_can_be_created_concurrently(assemble: Assemble, notes: Plugin) -> None:
    """A block outside any transaction works on PostgreSQL, and is harmless on SQLite."""
    notes.create(1, "notes")
    notes.write(
        2,
        """\
        with op.get_context().autocommit_block():
            op.create_index("ix_notes", "notes", ["id"], postgresql_concurrently=True)
        """,
    )
    app = assemble(notes)
    upgrade(app)

    with app.app_context():
        assert ["ix_notes"] == [one["name"] for one in sa.inspect(db.engine).get_indexes("notes")]
    assert ["notes_0002"] == versions(app)["notes"]


def test_a_lost_migration_lock_ends_the_command(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """Another process may have begun to migrate, so no further revision is applied."""
    holder = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
    notes.write(1, f'op.execute("{holder}")')
    notes.create(2, "notes")
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    with pytest.raises(MigrationError, match="the migration lock is lost"):
        upgrade(app)

    assert ["notes_0001"] == versions(app)["notes"]
    upgrade(app)
    assert ["notes_0002"] == versions(app)["notes"]


def test_an_idle_transaction_may_hold_the_migration_lock(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """Limits that a database sets for transactions do not end the one that holds the lock."""
    notes.write(1, "op.execute('SELECT pg_sleep(0.5)')")
    notes.create(2, "notes")
    name = sa.make_url(postgres_url).database
    execute(
        postgres_url,
        f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = 100",
        f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'",
    )

    app = make_app(plugins=[notes], DATABASE_URL=postgres_url)

    assert ["notes_0002"] == versions(app)["notes"]


def test_the_migration_lock_is_held_without_a_snapshot(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """An index that is created concurrently would wait for it, whichever driver is in use.

    With psycopg 3 the snapshot of the last query stays, which a transaction of REPEATABLE READ
    keeps with every driver.
    """
    last = """
        CREATE TABLE last_query AS
        SELECT query FROM pg_stat_activity JOIN pg_locks USING (pid)
        WHERE locktype = 'advisory' AND datname = current_database()
    """
    notes.write(1, f'op.execute("""{last}""")')
    app = make_app(plugins=[notes], DATABASE_URL=postgres_url)
    with app.app_context(), db.engine.connect() as connection:
        query = connection.scalars(sa.text("SELECT query FROM last_query")).one()
        connection.rollback()
        connection.execution_options(isolation_level="REPEATABLE READ")
        number = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        connection.execute(sa.text(query))
        with db.engine.connect() as other:
            state = sa.text("SELECT state, backend_xmin FROM pg_stat_activity WHERE pid = :pid")
            assert ("idle in transaction", None) == other.execute(state, {"pid": number}).one()


def test_a_lock_that_another_holds_is_waited_for(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """A revision is retried, with short waits, until a locked table is free."""
    notes.create(1, "notes")
    app = make_app(plugins=[notes], DATABASE_URL=postgres_url, DATABASE_LOCK_TIMEOUT=0.05)
    notes.write(2, "op.add_column('notes', sa.Column('title', sa.String(10)))")
    with app.app_context(), db.engine.connect() as other:
        other.execute(sa.text("LOCK TABLE notes"))
        lines: list[str] = []

        def report(line: str) -> None:
            lines.append(line)
            other.rollback()

        upgrade(app, report=report)

    assert "notes: another transaction holds a lock it needs; retrying" == lines[0]
    assert ["notes_0002"] == versions(app)["notes"]


def test_differences_are_written_where_they_are(
    assemble: Assemble, make_plugin: MakePlugin
) -> None:
    """One revision goes into each plugin whose models differ, and nothing into the others."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.model("notes", title=string(20))
    app = assemble(notes, tags)
    report = Report()

    (path,) = write_revisions(app, message="begin", report=report)
    assert notes.versions / "notes_0001_begin.py" == path
    assert [f"notes: wrote {path}: add table notes", "tags: no differences"] == report

    upgrade(app)
    assert () == write_revisions(app, message="again")
    assert () == find_drift(app)
    assert [path] == sorted(notes.versions.glob("*.py"))


def _tree(source: str) -> str:
    return ast.unparse(ast.parse(dedent(source)))


def test_a_written_revision_reads_well(make_app: MakeApp, notes: Plugin) -> None:
    """The file is documented and has no line that says nothing."""
    notes.model("notes", title=string(20), created_at=None, updated_at=None)
    app = make_app(plugins=[notes], upgrade=False)

    (path,) = write_revisions(app, message="begin the notes")

    written = path.read_text()
    assert "#" not in written
    # As trees: a formatter that is at hand breaks the lines.
    assert _tree(written) == _tree(
        f'''\
        """Begin the notes.

        Revision notes_0001; written on {datetime.now(UTC).astimezone():%Y-%m-%d}.
        """

        import sqlalchemy as sa
        from alembic import op

        revision = "notes_0001"
        down_revision = None
        branch_labels = None
        depends_on = None


        def upgrade() -> None:
            """Apply the revision."""
            op.create_table(
                "notes",
                sa.Column("id", sa.Integer(), nullable=False),
                sa.Column("title", sa.String(length=20), nullable=True),
                sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
                sqlite_autoincrement=True,
            )


        def downgrade() -> None:
            """Undo the revision."""
            op.drop_table("notes")
        '''
    )


@pytest.mark.slow
def test_every_kind_of_change_is_noticed(assemble: Assemble, notes: Plugin) -> None:
    """Columns, types, indexes, constraints and tables that differ are named and can be migrated."""
    notes.model("old")
    notes.model("notes", title=string(20), gone=integer())
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)

    notes.without_models()
    notes.model(
        "notes",
        __table_args__=(sa.CheckConstraint("size > 0", name="positive"),),
        title=string(40, unique=True, nullable=False),
        size=integer(server_default="1", index=True),
    )
    notes.model("new", note_id=integer(sa.ForeignKey("notes.id")))
    app = assemble(notes)
    (found,) = find_drift(app)

    assert {
        "add table new",
        "remove table old",
        "add column notes.size",
        "remove column notes.gone",
        "add constraint ck_notes_positive of notes",
        "add index ix_notes_size of notes",
        "add constraint uq_notes_title of notes",
        "modify nullable of notes.title from True to False",
        "modify type of notes.title from VARCHAR(20) to VARCHAR(40)",
    } == {line.replace("VARCHAR(length=", "VARCHAR(") for line in found.differences}
    (path,) = write_revisions(app)
    assert path.name.startswith("notes_0002_add_table_new")
    upgrade(app)
    assert () == find_drift(app)
    downgrade(app, revision="base")
    upgrade(app)
    assert () == find_drift(app)


@pytest.mark.slow
def test_a_server_default_that_comes_or_goes_is_noticed(assemble: Assemble, notes: Plugin) -> None:
    """Whether there is one is compared, not its text, which each database changes."""
    notes.model("notes", size=integer())
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)

    notes.without_models()
    notes.model("notes", size=integer(server_default=sa.text("1")))
    app = assemble(notes)
    (found,) = find_drift(app)
    assert ("modify default of notes.size from None to 1",) == found.differences

    write_revisions(app)
    upgrade(app)
    assert () == find_drift(app)


def test_types_of_all_kinds_stay_as_they_are(assemble: Assemble, notes: Plugin) -> None:
    """What was written for a model is what the database says afterwards, odd columns included."""
    notes.model(
        "notes",
        big=mapped_column(sa.BigInteger),
        checked=mapped_column(sa.Boolean(create_constraint=True, name="checked")),
        choice=mapped_column(sa.Enum("a", "b", native_enum=False)),
        double=mapped_column(sa.Integer, sa.Computed("id * 2", persisted=True)),
        flag=mapped_column(sa.Boolean, server_default=sa.false()),
        form=mapped_column(sa.JSON, server_default="{}"),
        price=mapped_column(sa.Numeric(10, 2)),
        text=mapped_column(sa.Text, server_default="it's"),
        uuid=mapped_column(sa.Uuid),
        when=mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)

    assert () == find_drift(app)


def test_a_table_with_a_generated_column_can_be_rebuilt(assemble: Assemble, notes: Plugin) -> None:
    """Whatever comes behind it; SQLAlchemy reads its expression to the end of the line."""
    notes.write(
        1,
        """
        op.create_table("notes",
            sa.Column("size", sa.Integer, server_default=sa.text("(1 + 1)")),
            sa.Column("twice", sa.Integer, sa.Computed("size * (2)", persisted=True)),
            sa.CheckConstraint("size > 0", name="some"))
        op.add_column("notes", sa.Column("title", sa.String(20), server_default="a:b"))
        """,
    )
    notes.write(
        2,
        """
        with op.batch_alter_table("notes") as batch:
            batch.alter_column("title", existing_type=sa.String(20), type_=sa.String(30))
        """,
    )
    app = assemble(notes)
    upgrade(app, revision="notes_0001")
    insert = sa.text("INSERT INTO notes (size) VALUES (3)")
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(insert)
    upgrade(app)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(insert)
        rows = connection.execute(sa.text("SELECT twice, title FROM notes")).all()
        assert [(6, "a:b")] * 2 == rows


@pytest.mark.slow
def test_other_plugins_tables_are_not_seen(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """A plugin can refer to another's table, and neither compares the tables of the other."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    note = notes.model("notes", title=string(20, index=True))
    tags.model("tags", note_id=integer(sa.ForeignKey(note.__table__.c.id), index=True))
    app = assemble(notes, tags)
    assert 2 == len(write_revisions(app, message="begin"))
    upgrade(app)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE of_another_program (id INTEGER)"))

    assert () == find_drift(app)
    assert () == find_drift(assemble(notes))
    assert () == write_revisions(assemble(notes), message="again")
    downgrade(app, revision="base")
    assert {"of_another_program"} == tables(app)


def test_a_table_of_another_plugin_is_never_dropped(
    assemble: Assemble, make_plugin: MakePlugin
) -> None:
    """A table that a plugin dropped can be created by another plugin, which then owns it."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.create(1, "tags")
    notes.write(2, "op.drop_table('tags')")
    tags.create(1, "tags")
    app = assemble(notes, tags)
    upgrade(app)

    assert () == find_drift(assemble(notes))


def test_a_table_can_be_handed_over(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """A table that one plugin's revisions created and another's models have is the other's."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    tags.model("tags", created_at=None, updated_at=None)
    notes.create(1, "tags")
    app = assemble(notes, tags)
    upgrade(app)

    assert () == find_drift(app)


def test_a_renamed_table_is_owned_by_its_new_name(assemble: Assemble, notes: Plugin) -> None:
    """A table whose model is gone is noticed under the name it has by now."""
    notes.create(1, "old")
    notes.write(2, "op.rename_table('old', 'new')")
    app = assemble(notes)
    upgrade(app)

    assert (Drift("notes", ("remove table new",)),) == find_drift(app)


def test_what_the_site_adds_is_left_alone(
    assemble: Assemble, notes: Plugin, tmp_path: Path
) -> None:
    """Revisions of the deployment come last, and what they add to a plugin's table stays."""
    site = tmp_path / "alembic"
    shutil.copytree(PACKAGED_ENVIRONMENT, site)
    (site / "versions").mkdir()
    notes.model("notes")
    app = assemble(notes)
    write_revisions(app)
    (path,) = write_empty_revisions(app, "site", "index for reports", report=Report())
    path.write_text(
        path.read_text().replace(
            '"""Apply the revision."""',
            'op.create_index("site_reports", "notes", ["created_at"])',
        )
    )
    report = Report()
    upgrade(app, report=report)

    assert site / "versions" / "site_0001_index_for_reports.py" == path
    assert ["notes", "site"] == [line.partition(":")[0] for line in report]
    assert () == find_drift(app)
    assert () == find_orphans(app)


def test_behind_means_different(assemble: Assemble, notes: Plugin) -> None:
    """While revisions wait to be applied, nothing can be compared, and nothing is written."""
    notes.model("notes")
    notes.create(1, "notes")
    app = assemble(notes)

    (found,) = find_drift(app)
    assert (
        "notes: the database is at no revision, not notes_0001; run pegboard db upgrade notes"
        == str(found)
    )
    with pytest.raises(MigrationError, match="Run pegboard db upgrade notes first"):
        write_revisions(app)


def test_an_installed_plugin_is_not_written_into(
    make_app: MakeApp, make_plugin: MakePlugin, tmp_path: Path
) -> None:
    """A package manager would overwrite the file: an error names the plugin and the hint."""
    notes = make_plugin("notes")
    installed = make_plugin("tags", tmp_path / "lib" / "site-packages")
    notes.model("notes")
    installed.model("tags")
    app = make_app(plugins=[installed, notes], upgrade=False)

    with pytest.raises(MigrationError, match=r"tags: .*add table tags.*pip install -e"):
        write_revisions(app, message="begin")
    assert [] == list(installed.versions.iterdir())
    assert ["notes_0001_begin.py"] == [path.name for path in notes.versions.glob("*.py")]

    with pytest.raises(MigrationError, match="tags"):
        write_empty_revisions(app, "tags", report=Report())
    with pytest.raises(MigrationError, match="tags"):
        write_merge_revision(app, "tags")
    (path,) = write_empty_revisions(app, report=Report())
    assert "notes_0002_change_something.py" == path.name


def test_a_long_name_leaves_room_for_the_number(make_app: MakeApp, make_plugin: MakePlugin) -> None:
    """The id of a revision fits into the version table of Alembic."""
    plugin = make_plugin("a_plugin_with_a_rather_long_name")
    app = make_app(plugins=[plugin])

    (path,) = write_empty_revisions(app, message="begin", report=Report())

    assert "0001_begin.py" == path.name


def test_a_plugin_of_the_longest_name_is_migrated(
    assemble: Assemble, make_plugin: MakePlugin
) -> None:
    """The names that are made of it fit into each database."""
    app = assemble(make_plugin("s" * LONGEST_NAME))
    write_empty_revisions(app, message="begin", report=Report())

    upgrade(app, report=Report())

    assert {"s" * LONGEST_NAME: ["0001"]} == versions(app)


def test_a_plugin_can_be_removed(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """Its tables and its version table are dropped, and nothing of other plugins."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.model("notes", created_at=None, updated_at=None)
    notes.create(1, "notes")
    notes.write(2, "op.create_table('more', sa.Column('id', sa.Integer()))")
    tags.create(1, "tags")
    app = assemble(notes, tags)
    upgrade(app)

    remove_history(app, "notes")

    assert {"tags"} == tables(app)
    assert {"tags": ["tags_0001"]} == versions(app)
    assert () == find_orphans(assemble(tags))


def test_the_types_of_a_removed_plugin_are_gone(
    make_app: MakeApp, postgres_url: str, notes: Plugin
) -> None:
    """A type that PostgreSQL made for a column goes with the rest."""
    notes.model("notes", choice=mapped_column(sa.Enum("a", "b", name="choice")))
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    write_revisions(app)
    upgrade(app)

    remove_history(app, "notes")

    with app.app_context(), db.engine.connect() as connection:
        types = sa.text("SELECT typname FROM pg_type WHERE typtype = 'e'")
        assert [] == connection.scalars(types).all()


@pytest.mark.parametrize("downgrade", ["op.drop_table('notes')", "raise NotImplementedError"])
def test_a_type_that_two_plugins_use_goes_with_the_last(
    make_app: MakeApp, postgres_url: str, make_plugin: MakePlugin, downgrade: str
) -> None:
    """Whether or not the revisions of the one that is removed first can be downgraded."""
    types = sa.text("SELECT typname FROM pg_type WHERE typtype = 'e'")
    plugins = notes, tags = make_plugin("notes"), make_plugin("tags")
    for plugin in plugins:
        plugin.model(plugin.name, choice=mapped_column(sa.Enum("a", "b", name="choice")))
    column = "sa.Column('choice', sa.Enum('a', 'b', name='choice'))"
    notes.write(1, f"op.create_table('notes', {column})", downgrade)
    tags.write(1, f"op.create_table('tags', {column})", "raise NotImplementedError")
    app = make_app(plugins=plugins, upgrade=False, DATABASE_URL=postgres_url)
    upgrade(app)

    remove_history(app, "notes")

    assert {"tags"} == tables(app)
    with app.app_context(), db.engine.connect() as connection:
        assert ["choice"] == connection.scalars(types).all()
    remove_history(app, "tags")
    with app.app_context(), db.engine.connect() as connection:
        assert [] == connection.scalars(types).all()


def test_a_plugin_that_cannot_go_back_can_be_removed(
    assemble: Assemble, notes: Plugin, caplog: pytest.LogCaptureFixture, cli: RunCLI
) -> None:
    """Its tables are dropped, and a warning says why more may be left."""
    notes.create(1, "notes")
    notes.write(2, "pass", "raise NotImplementedError")
    app = assemble(notes)
    upgrade(app)

    done = cli("plugins", "remove", "notes", "--yes", app=app)

    assert 0 == done.exit_code
    assert set() == tables(app)
    assert {} == versions(app)
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "revision notes_0002" in warning.message
    assert "NotImplementedError" in warning.message
    assert "may be left" in warning.message


def test_a_plugin_that_another_needs_is_not_removed(
    assemble: Assemble, make_plugin: MakePlugin
) -> None:
    """While a table of another plugin refers to one of its own, nothing is dropped."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.create(1, "notes")
    tags.write(
        1, "op.create_table('tags', sa.Column('note_id', sa.Integer(), sa.ForeignKey('notes.id')))"
    )
    app = assemble(notes, tags)
    upgrade(app)

    with pytest.raises(MigrationError, match="notes: table tags refers to its table notes"):
        remove_history(app, "notes")
    assert {"notes", "tags"} == tables(app)


def test_a_table_that_a_later_revision_drops_is_of_the_history_before(
    assemble: Assemble, make_plugin: MakePlugin
) -> None:
    """It is downgraded step by step, though no model and no newest revision knows a table."""
    notes = make_plugin("notes")
    child = "op.create_table('drafts', sa.Column('note', sa.Integer(), sa.ForeignKey('notes.id')))"
    parent = "op.create_table('notes', sa.Column('id', sa.Integer(), primary_key=True))"
    drop_child = "op.drop_table('drafts')"
    notes.write(1, f"{parent}\n{child}", f"{drop_child}\nop.drop_table('notes')")
    notes.write(2, drop_child, child)
    app = assemble(notes)
    upgrade(app)

    downgrade(app, "notes", "-1")
    assert {"notes", "drafts"} == tables(app)
    downgrade(app, "notes", "-1")
    assert set() == tables(app)


@pytest.mark.slow
def test_a_table_that_another_plugin_refers_to_is_not_downgraded_away(
    assemble: Assemble, make_plugin: MakePlugin
) -> None:
    """Neither to the base nor by one step, unless the other plugin has been downgraded before."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.create(1, "notes")
    notes.create(2, "drafts")
    notes.create(3, "others")
    tags.write(
        1,
        "op.create_table('tags', sa.Column('draft_id', sa.Integer(), sa.ForeignKey('drafts.id')))",
        "op.drop_table('tags')",
    )
    app = assemble(notes, tags)
    upgrade(app)
    refused = (
        "notes: table tags refers to its table drafts; run pegboard db downgrade tags base first"
    )

    for revision in ("base", "notes_0001", "-2"):
        with pytest.raises(MigrationError, match=refused):
            downgrade(app, "notes", revision)
    assert {"notes", "drafts", "others", "tags"} == tables(app)

    downgrade(app, "notes", "-1")
    assert {"notes", "drafts", "tags"} == tables(app)
    downgrade(app, None, "base")
    assert set() == tables(app)


def test_the_models_of_a_plugin_count_as_its_tables_in_a_downgrade(
    assemble: Assemble, make_plugin: MakePlugin
) -> None:
    """A table that a revision creates and drops without naming it is not dropped either."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.model("notes", id=mapped_column(sa.Integer(), primary_key=True))
    notes.write(
        1,
        "op.create_table('no' + 'tes', sa.Column('id', sa.Integer(), primary_key=True))",
        "op.drop_table('no' + 'tes')",
    )
    tags.write(
        1, "op.create_table('tags', sa.Column('note_id', sa.Integer(), sa.ForeignKey('notes.id')))"
    )
    app = assemble(notes, tags)
    upgrade(app)

    with pytest.raises(MigrationError, match="table tags refers to its table notes"):
        downgrade(app, "notes", "base")
    assert {"notes", "tags"} == tables(app)


@pytest.mark.parametrize("statement", ["1 / 0", "op.execute('SELECT nothing FROM nowhere')"])
def test_a_revision_that_fails_is_named_with_its_line(
    assemble: Assemble, notes: Plugin, statement: str
) -> None:
    """In a function that it calls, too; so is one that cannot be imported."""
    path = notes.write(1, "run()")
    text = path.read_text() + f"\n\ndef run():\n    {statement}\n"
    path.write_text(text)
    line = 1 + text.splitlines().index(f"    {statement}")
    with pytest.raises(MigrationError, match=rf"file: {path}, line {line}\n"):
        upgrade(assemble(notes))

    path.write_text(f"import no_such_module\n{text}")
    with pytest.raises(MigrationError, match=rf"No module named .*, at .*/{path.name}:1 "):
        upgrade(assemble(notes))


def test_flask_migrate_serves_one_history(assemble: Assemble, make_plugin: MakePlugin) -> None:
    """Its functions work, with a history's name for a directory."""
    notes, tags = make_plugin("notes"), make_plugin("tags")
    notes.create(1, "notes")
    tags.create(1, "tags")
    app = assemble(notes, tags)

    tags.write(2, "raise ValueError")
    with app.app_context(), pytest.raises(ValueError):  # noqa: PT011 - it has no text
        flask_migrate.upgrade("tags")
    assert {"tags"} == tables(app)

    with app.app_context():
        flask_migrate.downgrade("tags")
    assert set() == tables(app)


def test_the_environment_of_the_deployment_is_used(
    make_app: MakeApp, notes: Plugin, tmp_path: Path
) -> None:
    """An `env.py` of the deployment sets options for every history; else the core's is used."""
    site = tmp_path / "alembic"
    assert PACKAGED_ENVIRONMENT == get_migrate(make_app(plugins=[notes])).environment

    shutil.copytree(PACKAGED_ENVIRONMENT, site)
    (site / "env.py").write_text(
        "from alembic import context\n"
        "from pegboard.migrations import run_environment\n"
        "from pathlib import Path\n"
        f"Path({str(tmp_path / 'seen')!r}).write_text(str(context.get_x_argument()))\n"
        "run_environment(compare_type=False)\n"
    )
    notes.create(1, "notes")
    make_app(plugins=[notes])

    assert "[]" == (tmp_path / "seen").read_text()


def test_no_plugin_takes_the_name_of_the_site(tmp_path: Path) -> None:
    """The deployment's own history has a name that no plugin can have."""
    with pytest.raises(ValueError, match="site is the name of the deployment's own history"):
        init_migrations(Flask(__name__), [History("site", tmp_path)], tmp_path)


UPGRADE = """
import sys
from pathlib import Path
from flask import Flask
from pegboard.database import DatabaseOptions, init_database
from pegboard.migrations import History, init_migrations, upgrade

app = Flask(__name__)
init_database(app, DatabaseOptions(sys.argv[1], busy_timeout=0.05))
init_migrations(app, [History("notes", Path(sys.argv[2]))], Path("nowhere"))
for _ in sys.stdin:
    upgrade(app, report=lambda line: print(line, end=";"))
    print(flush=True)
"""


@pytest.mark.slow
def test_upgrades_at_once_are_applied_once(
    assemble: Assemble, database_url: str, notes: Plugin, tmp_path: Path
) -> None:
    """Two processes migrate one database: both succeed, each revision is applied once.

    Again and again, until one has met the other twice.
    """
    notes.create(1, "one")
    done = tmp_path / "done"
    for number in (2, 3, 4):
        notes.write(
            number,
            f"""\
            import time
            with open({str(done)!r}, "a") as file:
                file.write("{number}")
            time.sleep(0.05)
            """,
        )
    notes.create(5, "five")
    app = assemble(notes)
    command = [sys.executable, "-W", "ignore", "-c", UPGRADE, database_url, str(notes.versions)]
    applied = [f"notes: notes_000{n} Revision number {n} of notes (applied)" for n in range(1, 6)]
    waited = 0
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Popen(command, stdin=PIPE, stdout=PIPE, text=True))
            for _ in range(2)
        ]
        for _ in range(10):
            if waited == 2:
                break
            for process in processes:
                assert process.stdin
                process.stdin.write("go\n")
                process.stdin.flush()
            lines = [
                line
                for process in processes
                if process.stdout
                for line in process.stdout.readline().strip().split(";")
            ]
            assert applied == sorted(line for line in lines if line.endswith("(applied)"))
            waited += any("waiting" in line or "retrying" in line for line in lines)
            assert "234" == done.read_text()
            done.unlink()
            downgrade(app, revision="base")
            assert set() == tables(app)
        for process in processes:
            process.communicate()
    assert [0, 0] == [process.returncode for process in processes]
    assert waited

"""Tables of one name in several schemas: a plugin owns its own only."""

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, mapped_column

from pegboard.database import Model, db
from pegboard.migrations import (
    MigrationError,
    Orphan,
    downgrade,
    find_drift,
    find_orphans,
    remove_history,
    upgrade,
    write_revisions,
)
from pegboard.testing.fixtures import RunCLI

BILLING = {"schema": "billing"}


def execute(app, *statements):
    """Execute statements in one transaction, and return the rows of the last."""
    with app.app_context(), db.engine.begin() as connection:
        for statement in statements[:-1]:
            connection.execute(sa.text(statement))
        result = connection.execute(sa.text(statements[-1]))
        return result.all() if result.returns_rows else None


@pytest.fixture
def on_sqlite(make_app, sqlite_url, tmp_path):
    """Build apps on an SQLite file beside which another is attached as the schema `billing`."""

    def assemble(*plugins):
        app = make_app(plugins=plugins, upgrade=False, DATABASE_URL=sqlite_url)
        with app.app_context():

            @event.listens_for(db.engine, "connect")
            def attach(connection, _record):
                connection.execute(f"ATTACH '{tmp_path / 'billing.db'}' AS billing")

        return app

    return assemble


@pytest.fixture
def on_postgres(make_app, postgres_url):
    """Build apps on a PostgreSQL database that has a schema `billing`."""

    def assemble(*plugins):
        app = make_app(plugins=plugins, upgrade=False, DATABASE_URL=postgres_url)
        execute(app, "CREATE SCHEMA IF NOT EXISTS billing")
        return app

    yield assemble
    execute(assemble(), "DROP SCHEMA IF EXISTS billing CASCADE")


@pytest.fixture(params=["on_sqlite", "on_postgres"])
def assemble(request):
    """Build apps on a database with a schema `billing`."""
    return request.getfixturevalue(request.param)


@pytest.mark.slow
def test_a_table_of_a_stranger_in_another_schema_is_left_alone(assemble, notes):
    """It has the name of the plugin's, and is neither compared, dropped nor taken for its own."""
    notes.model("things", __table_args__=BILLING)
    app = assemble(notes)
    execute(app, "CREATE TABLE things (id INTEGER)", "INSERT INTO things VALUES (7)")

    write_revisions(app)
    upgrade(app)
    assert () == find_drift(app)
    assert () == write_revisions(app)
    assert (Orphan("table", "things"),) == find_orphans(app)

    notes.without_models()
    app = assemble(notes)
    assert ("remove table billing.things",) == find_drift(app)[0].differences
    write_revisions(app)
    upgrade(app)
    assert [] == execute(app, "SELECT * FROM things WHERE id <> 7")
    assert () == find_drift(app)


def test_a_model_without_a_table_in_its_schema_is_missed(assemble, notes):
    """The table of the same name in the default schema does not stand for it."""
    notes.model("things", __table_args__=BILLING)
    app = assemble(notes)
    execute(app, "CREATE TABLE things (id INTEGER)")

    (found,) = find_drift(app)

    assert ("add table billing.things",) == found.differences


def test_a_stranger_in_the_schema_of_a_plugin_is_reported_and_kept(assemble, notes):
    """Removing the plugin drops its own tables in either schema, and nothing else."""
    notes.write(
        1,
        """\
        op.create_table("things", sa.Column("id", sa.Integer()))
        op.create_table("extra", sa.Column("id", sa.Integer()), schema="billing")
        op.create_table("gone", sa.Column("id", sa.Integer()), schema="billing")
        op.drop_table("gone", schema="billing")
        """,
        "raise NotImplementedError",
    )
    app = assemble(notes)
    execute(
        app,
        "CREATE TABLE billing.things (id INTEGER)",
        "CREATE TABLE extra (id INTEGER)",
        "CREATE TABLE gone (id INTEGER)",
    )
    upgrade(app)
    strangers = [Orphan("table", name) for name in ("billing.things", "extra", "gone")]
    assert strangers == list(find_orphans(app))

    remove_history(app, "notes")

    assert strangers == list(find_orphans(app))


def test_a_history_that_was_never_applied_owns_no_table(assemble, notes):
    """A table with the name of a model was there before the plugin."""
    notes.model("things")
    notes.create(1, "things")
    app = assemble(notes)
    execute(app, "CREATE TABLE things (id INTEGER)", "INSERT INTO things VALUES (7)")

    remove_history(app, "notes")

    assert [(7,)] == execute(app, "SELECT * FROM things")


def test_what_a_waiting_revision_would_create_is_not_dropped(assemble, notes):
    """Removing drops what the applied revisions created, not what later ones would."""
    notes.create(1, "notes")
    app = assemble(notes)
    upgrade(app)
    notes.create(2, "things")
    notes.write(3, "op.create_table('maybe', sa.Column('id', sa.Integer()), if_not_exists=True)")
    execute(app, "CREATE TABLE things (id INTEGER)", "CREATE TABLE maybe (id INTEGER)")

    remove_history(app, "notes")

    strangers = (Orphan("table", "maybe"), Orphan("table", "things"))
    assert strangers == find_orphans(assemble())


CREATED = {
    "in SQL": "op.execute('CREATE TABLE made (id INTEGER)')",
    "quoted": """op.execute('create table "made" (id INTEGER)')""",
    "as a text": "op.execute(sa.text('\\n  CREATE TABLE made AS SELECT 1 AS id'))",
}


@pytest.mark.parametrize("source", CREATED.values(), ids=CREATED)
def test_a_table_that_is_created_in_sql_is_the_historys(assemble, notes, cli: RunCLI, source):
    """A check finds that no model has it, and it is removed with the rest."""
    notes.write(1, source)
    app = assemble(notes)
    upgrade(app)

    assert "made" in cli("db", "check", "notes", app=app).output
    remove_history(app, "notes")

    assert () == find_orphans(app)


MAYBE = {
    "an option in SQL": "op.execute('CREATE TABLE IF NOT EXISTS maybe (id INTEGER)')",
    "an option": "op.create_table('maybe', sa.Column('id', sa.Integer()), if_not_exists=True)",
    "a branch": """\
        if not sa.inspect(op.get_bind()).has_table("maybe"):
            op.create_table("maybe", sa.Column("id", sa.Integer()))
        """,
    "a return": """\
        if sa.inspect(op.get_bind()).has_table("maybe"):
            return
        op.create_table("maybe", sa.Column("id", sa.Integer()))
        """,
    "a rename": """\
        op.create_table("first", sa.Column("id", sa.Integer()))
        if sa.inspect(op.get_bind()).has_table("maybe"):
            op.drop_table("first")
        else:
            op.rename_table("first", "maybe")
        """,
}


@pytest.mark.parametrize("source", MAYBE.values(), ids=MAYBE)
def test_a_table_that_may_have_been_there_is_not_dropped(assemble, notes, source):
    """One created only if it does not exist may be another program's."""
    notes.write(1, source)
    app = assemble(notes)
    execute(app, "CREATE TABLE maybe (id INTEGER)")
    upgrade(app)

    assert () == write_revisions(app)
    remove_history(app, "notes")

    assert (Orphan("table", "maybe"),) == find_orphans(app)


DROPPED = {
    "in SQL": "op.execute('DROP TABLE old')",
    "in composed SQL": "name = 'old'\nop.execute(f'DROP TABLE {name}')",
    "renamed in SQL": "op.execute(sa.text('alter table Old rename to other'))",
    "by keyword": "op.drop_table(table_name='old')",
    "in a loop": "for name in ('old',):\n    op.drop_table(name)",
    "in a helper": "def drop(name):\n    op.drop_table(name)\ndrop('old')",
    "by the toolkit": "sa.Table('old', sa.MetaData()).drop(op.get_bind())",
}


@pytest.mark.parametrize("source", DROPPED.values(), ids=DROPPED)
def test_a_dropped_table_is_nobodys(assemble, notes, source):
    """However a revision dropped it: a later table of its name is another program's."""
    notes.write(1, "op.create_table('old', sa.Column('id', sa.Integer()))")
    notes.write(2, source)
    app = assemble(notes)
    upgrade(app)
    execute(app, "CREATE TABLE old (id INTEGER)")

    assert () == write_revisions(app)
    remove_history(app, "notes")

    assert Orphan("table", "old") in find_orphans(app)
    execute(app, "DROP TABLE IF EXISTS other")


def test_the_default_schema_may_be_spelled_out(on_postgres, notes):
    """A model in `public` and a table without a schema are the same table there."""
    notes.model("things", __table_args__={"schema": "public"})
    app = on_postgres(notes)
    write_revisions(app)
    upgrade(app)

    assert () == find_drift(app)
    assert () == find_orphans(app)


def test_a_foreign_key_from_another_schema_keeps_a_plugin(on_postgres, notes):
    """A table in any schema that refers to one of the plugin's keeps it from being removed."""
    notes.create(1, "notes")
    app = on_postgres(notes)
    upgrade(app)
    execute(app, "CREATE TABLE billing.lines (note_id INTEGER REFERENCES notes (id))")

    with pytest.raises(MigrationError, match=r"table billing\.lines refers to its table"):
        remove_history(app, "notes")


def test_tables_of_one_schema_may_refer_to_each_other(on_postgres, notes):
    """Also where the models say the schema once, for all of them."""

    class Base(Model, DeclarativeBase):
        metadata = sa.MetaData(schema="billing", naming_convention={"fk": "fk_%(table_name)s"})

    class Artist(Base):
        __tablename__ = "artists"
        best_id = mapped_column(sa.ForeignKey("records.id", use_alter=True))

    class Record(Base):
        __tablename__ = "records"
        artist_id = mapped_column(sa.ForeignKey("artists.id"))

    notes.base = Base
    app = on_postgres(notes)
    write_revisions(app)
    for _ in range(2):
        upgrade(app)
        assert () == find_drift(app)
        downgrade(app)

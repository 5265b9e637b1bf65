"""A revision that touches a table of another plugin is refused when it is applied."""

import shutil
from textwrap import dedent
from uuid import uuid4

import flask_migrate
import pytest
import sqlalchemy as sa

from pegboard.database import db
from pegboard.migrations import (
    PACKAGED_ENVIRONMENT,
    MigrationError,
    downgrade,
    find_drift,
    remove_history,
    upgrade,
    write_empty_revisions,
)

ITEMS = "sa.Column('id', sa.Integer(), primary_key=True), sa.Column('name', sa.String(10))"


MORE = "op.create_table('more', sa.Column('id', sa.Integer()))\n"


@pytest.fixture
def items(make_plugin):
    """A plugin with a model, and with a table that only a revision knows, of two rows each."""
    items = make_plugin("items")
    items.model("items", created_at=None, updated_at=None, name=sa.orm.mapped_column(sa.String(10)))
    items.write(
        1,
        """\
        op.create_table("items", sa.Column("id", sa.Integer()), sa.Column("name", sa.String(10)))
        op.create_table("past", sa.Column("id", sa.Integer()), sa.Column("name", sa.String(10)))
        op.create_index("ix_items_key", "items", ["id"], unique=True)
        op.create_index("ix_past_key", "past", ["id"], unique=True)
        op.execute("INSERT INTO items VALUES (1, 'a'), (2, 'b')")
        op.execute("INSERT INTO past VALUES (1, 'a'), (2, 'b')")
        op.create_index("ix_items_id", "items", ["id"])
        """,
    )
    return items


def execute(app, *statements):
    """Execute statements in one transaction."""
    with app.app_context(), db.engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def schema(app):
    """Return what the database has: tables with columns, indexes, rows."""
    with app.app_context(), db.engine.connect() as connection:
        inspector = sa.inspect(connection)
        names = [name for name in inspector.get_table_names() if "version_notes" not in name]
        return {
            name: (
                [column["name"] for column in inspector.get_columns(name)],
                [index["name"] for index in inspector.get_indexes(name)],
                sorted(
                    map(
                        str, connection.execute(sa.select(sa.text("*")).select_from(sa.table(name)))
                    )
                ),
            )
            for name in names
        }


def refused(app, table="items"):
    """Upgrade, which must fail for that table and change nothing, then with leave for it."""
    before = schema(app)
    with pytest.raises(MigrationError) as raised:
        upgrade(app)
    assert f"notes: it touches table {table}, which belongs to items" in str(raised.value)
    assert "[PB_FOREIGN_TABLE]" in str(raised.value)
    assert "--allow-foreign" in str(raised.value)
    assert before == schema(app)
    return str(raised.value)


TOUCHES = {
    "add a column": "op.add_column('items', sa.Column('color', sa.String(10)))",
    "drop the table": "op.drop_table('items')",
    "rename the table": "op.rename_table('items', 'things')",
    "create an index": "op.create_index('ix', 'items', ['name'])",
    "drop an index": "op.drop_index('ix_items_id', 'items')",
    "in batches": """\
        with op.batch_alter_table("items") as batch:
            batch.alter_column("name", type_=sa.String(20))
        """,
    "SQL that alters": "op.execute('alter table ITEMS add column color integer')",
    "SQL that updates": "op.execute('UPDATE items SET name = name')",
    "SQL that inserts": "op.execute('INSERT INTO items VALUES (3, NULL)')",
    "SQL that deletes": "op.execute('DELETE FROM items WHERE id = 2')",
    "on the connection": "op.get_bind().execute(sa.text('DELETE FROM items'))",
    "bulk insert": "op.bulk_insert(sa.table('items', sa.column('id')), [{'id': 3}, {'id': 4}])",
    "in a helper": """\
        def helper(name):
            op.execute(f'DROP TABLE {name}')
        helper('it' + 'ems')
        """,
    "below the toolkit": """\
        cursor = op.get_bind().connection.cursor()
        cursor.execute('DELETE FROM ' + 'items')
        """,
    "after the own": """\
        op.execute("DELETE FROM own")
        op.execute("DELETE FROM items")
        """,
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_a_touched_table_of_another_plugin_is_refused(assemble, items, notes, touch):
    """However it is touched; plugin, revision, file and table are named, and nothing stays."""
    app = assemble(items, notes)
    notes.create(1, "own")
    upgrade(app)
    path = notes.write(2, MORE + dedent(touch))

    message = refused(app)

    assert "notes: revision notes_0002 Revision number 2 of notes failed" in message
    assert str(path) in message
    upgrade(app, allow_foreign=True)
    assert "more" in schema(app)


@pytest.fixture
def counted(make_app, sqlite_url, items, notes):
    """An app on SQLite whose tables `past` and `own` use no id again."""
    items.write(1, f"op.create_table('past', {ITEMS}, sqlite_autoincrement=True)")
    items.write(2, "op.execute('INSERT INTO past VALUES (1, NULL)')")
    notes.write(1, f"op.create_table('own', {ITEMS}, sqlite_autoincrement=True)")
    app = make_app(plugins=[items, notes], upgrade=False, DATABASE_URL=sqlite_url)
    upgrade(app)
    return app


def last_ids(app):
    """Return the last ids that SQLite has given, by table."""
    with app.app_context(), db.engine.connect() as connection:
        query = sa.text("SELECT name, seq FROM sqlite_sequence")
        return {row.name: row.seq for row in connection.execute(query)}


@pytest.mark.parametrize(
    "touch",
    [
        "UPDATE sqlite_sequence SET seq = 900 WHERE name = 'past'",
        "DELETE FROM sqlite_sequence",
        "INSERT INTO SQLITE_SEQUENCE VALUES ('alembic_version_items', 1)",
    ],
)
def test_the_last_id_of_another_plugins_table_is_refused_on_sqlite(counted, notes, touch):
    """It decides which id a new row has, as a sequence of PostgreSQL does."""
    before = last_ids(counted)
    path = notes.write(2, f'op.execute("{touch}")\npass')
    table = "alembic_version_items" if "INSERT" in touch else "past"

    message = refused(counted, table)

    assert f"{path.name}:" in message
    assert before == last_ids(counted)


def test_last_ids_of_own_tables_may_be_set_on_sqlite(counted, notes):
    """By a statement, by a row, and by what SQLite does when a table is renamed or dropped."""
    notes.write(
        2,
        """\
        op.execute("INSERT INTO own (name) SELECT name FROM past")
        op.execute("UPDATE sqlite_sequence SET seq = 7 WHERE name = 'own'")
        op.rename_table("own", "mine")
        op.execute("INSERT INTO sqlite_sequence VALUES ('own', 9)")
        """,
        "op.drop_table('mine')",
    )
    upgrade(counted)

    assert {"past": 1, "mine": 7, "own": 9} == last_ids(counted)
    downgrade(counted, "notes")
    assert {"past": 1, "own": 9} == last_ids(counted)


def test_another_connection_of_the_engine_is_watched_too(assemble, items, notes):
    """One of the driver, and where it meets no lock: the revision has ended its transaction."""
    app = assemble(items, notes)
    upgrade(app)
    source = """\
        from pegboard import db
        from contextlib import closing
        op.execute("COMMIT")
        with closing(db.engine.raw_connection()) as connection:
            connection.cursor().execute("DELETE FROM items")
            connection.commit()
        """
    notes.write(1, dedent(source))

    refused(app)


def test_a_table_without_a_model_is_its_creators(assemble, items, notes):
    """So is the table that holds a plugin's revision."""
    app = assemble(items, notes)
    upgrade(app)
    notes.write(1, "op.drop_table('past')")
    refused(app, "past")
    notes.write(1, "op.execute('DELETE FROM alembic_version_items')")
    refused(app, "alembic_version_items")


def test_a_refusal_cannot_be_caught(assemble, items, notes):
    """A revision that goes on after the error is not committed either."""
    app = assemble(items, notes)
    upgrade(app)
    notes.write(
        1,
        """\
        op.create_table('more', sa.Column('id', sa.Integer()))
        try:
            op.execute("DELETE FROM items")
        except Exception:
            pass
        """,
    )
    refused(app)


def test_a_downgrade_is_refused_as_well(assemble, items, notes):
    """Removing the plugin does without its downgrade then."""
    notes.write(1, "op.create_table('own', sa.Column('id', sa.Integer()))", "op.drop_table('past')")
    app = assemble(items, notes)
    upgrade(app)

    with pytest.raises(MigrationError, match="it touches table past, which belongs to items"):
        downgrade(app, "notes")
    assert {"own", "past"} < schema(app).keys()
    remove_history(app, "notes")
    assert "own" not in schema(app)
    assert "past" in schema(app)


def test_a_downgrade_can_be_allowed(assemble, items, notes):
    """For one run, as an upgrade."""
    notes.write(1, "pass", "op.drop_table('past')")
    app = assemble(items, notes)
    upgrade(app)

    downgrade(app, "notes", allow_foreign=True)

    assert "past" not in schema(app)


def test_the_command_allows_it_for_one_run(assemble, items, notes, cli):
    """`--allow-foreign` is an option of `db upgrade` and `db downgrade`."""
    notes.write(1, "op.execute('DELETE FROM items')", "op.execute('DELETE FROM past')")
    app = assemble(items, notes)

    result = cli("db", "upgrade", app=app)
    assert 1 == result.exit_code
    assert "notes: it touches table items, which belongs to items" in result.output
    assert 0 == cli("db", "upgrade", "--allow-foreign", app=app).exit_code
    assert 1 == cli("db", "downgrade", "notes", app=app).exit_code
    assert 0 == cli("db", "downgrade", "notes", "--allow-foreign", app=app).exit_code
    assert [] == schema(app)["items"][2] + schema(app)["past"][2]


def test_a_plugin_may_read_and_refer_to_tables_of_others(assemble, items, notes):
    """Foreign keys come and go, rows are copied, and views are made, without touching a table."""
    notes.write(
        1,
        """\
        op.create_table(
            "notes",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("item_id", sa.Integer(), sa.ForeignKey("items.id", name="to_items")),
            sa.Column("past_id", sa.Integer()),
        )
        op.execute("INSERT INTO notes SELECT id, id, id FROM items")
        op.execute("CREATE VIEW seen AS SELECT * FROM items")
        op.execute("UPDATE notes SET past_id = (SELECT max(id) FROM past)")
        """,
        """\
        op.execute("DROP VIEW seen")
        op.drop_table("notes")
        """,
    )
    notes.write(
        2,
        """\
        with op.batch_alter_table("notes") as batch:
            batch.drop_constraint("to_items", type_="foreignkey")
            batch.create_foreign_key("to_past", "past", ["past_id"], ["id"])
        """,
        """\
        with op.batch_alter_table("notes") as batch:
            batch.drop_constraint("to_past", type_="foreignkey")
        """,
    )
    app = assemble(items, notes)

    upgrade(app)
    assert ["(1, 1, 2)", "(2, 2, 2)"] == schema(app)["notes"][2]
    downgrade(app, "notes", "base")


def test_what_another_plugin_asked_for_is_its_own_doing(assemble, items, notes):
    """Rows that a cascade or a trigger of another plugin changes were not touched by the revision.

    Here `notes` refers to items, and has a trigger on their table.
    """
    notes.write(
        1,
        """\
        op.create_table(
            "notes",
            sa.Column("id", sa.Integer()),
            sa.Column("item_id", sa.Integer(), sa.ForeignKey("items.id", ondelete="CASCADE")),
        )
        op.create_table("log", sa.Column("item_id", sa.Integer()))
        op.execute("INSERT INTO notes VALUES (1, 1)")
        if op.get_bind().dialect.name == "sqlite":
            op.execute(
                "CREATE TRIGGER logged AFTER DELETE ON items"
                " BEGIN INSERT INTO log VALUES (old.id); DELETE FROM notes; END"
            )
        else:
            op.execute(
                "CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN INSERT INTO log VALUES (old.id); RETURN old; END'"
            )
            op.execute(
                "CREATE TRIGGER logged AFTER DELETE ON items"
                " FOR EACH ROW EXECUTE FUNCTION note_it()"
            )
        """,
    )
    app = assemble(items, notes)
    upgrade(app, allow_foreign=True)
    items.write(2, "op.execute('DELETE FROM items WHERE id = 1')")

    upgrade(app)

    assert ["(2, 'b')"] == schema(app)["items"][2]
    assert ["(1,)"] == schema(app)["log"][2]
    assert [] == schema(app)["notes"][2]
    if "postgresql" in app.config["SQLALCHEMY_DATABASE_URI"].drivername:
        execute(app, "DROP FUNCTION note_it CASCADE")


def test_what_a_trigger_of_the_revision_does_is_its_doing(assemble, items, notes):
    """Whether or not it leaves the trigger in the database."""
    notes.write(
        1,
        """\
        op.create_table("notes", sa.Column("id", sa.Integer()))
        if op.get_bind().dialect.name == "sqlite":
            op.execute("CREATE TRIGGER emptied AFTER INSERT ON notes BEGIN DELETE FROM items; END")
        else:
            op.execute(
                # No text names the table.
                "CREATE FUNCTION empty_it() RETURNS trigger LANGUAGE plpgsql AS"
                " $$BEGIN EXECUTE 'DELETE FROM it' || 'ems'; RETURN new; END$$"
            )
            op.execute(
                "CREATE TRIGGER emptied AFTER INSERT ON notes"
                " FOR EACH ROW EXECUTE FUNCTION empty_it()"
            )
        op.execute("INSERT INTO notes VALUES (1)")
        """,
    )
    app = assemble(items, notes)
    upgrade(app, "items")

    refused(app)


def test_a_table_that_was_handed_over_is_still_made(assemble, items, make_plugin):
    """The revisions of its first owner, which are applied to a new database, alter it as before."""
    notes = make_plugin("a_first_owner")
    notes.write(1, f"op.create_table('items', {ITEMS}, sqlite_autoincrement=True)")
    notes.write(2, "op.create_index('ix', 'items', ['name'])\nop.drop_index('ix', 'items')")
    items.write(1, "pass")

    app = assemble(notes, items)
    upgrade(app)

    assert () == find_drift(app)


def test_the_deployment_may_touch_every_table(assemble, items, tmp_path):
    """What the history `site` adds to a plugin's table is the operator's decision."""
    site = tmp_path / "alembic"
    shutil.copytree(PACKAGED_ENVIRONMENT, site)
    (site / "versions").mkdir()
    app = assemble(items)
    (path,) = write_empty_revisions(app, "site", "index", report=lambda _line: None)
    source = path.read_text()
    wanted = 'op.create_index("site_ix", "items", ["name"])'
    path.write_text(source.replace('"""Apply the revision."""', wanted))

    upgrade(app)

    assert "site_ix" in schema(app)["items"][1]


def test_flask_migrate_refuses_it_too(assemble, items, notes):
    """The guard is in the environment, which whatever runs Alembic passes."""
    notes.write(1, "op.execute('DELETE FROM items')")
    app = assemble(items, notes)
    upgrade(app, "items")

    with app.app_context(), pytest.raises(MigrationError, match="it touches table items"):
        flask_migrate.upgrade("notes")
    assert 2 == len(schema(app)["items"][2])


AUTOCOMMIT = "with op.get_context().autocommit_block():\n    op.execute({!r})\n".format

ON_POSTGRESQL = {
    "TRUNCATE": "op.execute('TRUNCATE items')",
    "a comment": "op.execute(\"COMMENT ON TABLE items IS 'theirs'\")",
    "a trigger": "op.execute('CREATE TRIGGER t BEFORE UPDATE ON items EXECUTE FUNCTION "
    "suppress_redundant_updates_trigger()')",
    "a policy": "op.execute('CREATE POLICY p ON items')",
    "dynamic SQL": "op.execute(\"DO $$ BEGIN EXECUTE 'DELETE FROM ' || 'items'; END $$\")",
    "COPY": """\
        import io
        op.get_bind().connection.cursor().copy_expert('COPY items FROM STDIN', io.StringIO('3\\ta'))
        """,
    "a cascade of DROP": "op.execute('DROP TABLE own CASCADE')",
    "an index concurrently": """\
        with op.get_context().autocommit_block():
            op.create_index('ix', 'items', ['name'], postgresql_concurrently=True)
        """,
    "an index dropped concurrently": """\
        with op.get_context().autocommit_block():
            op.execute('drop index concurrently if exists public."ix_items_id"')
        """,
    "COMMIT in SQL": "op.execute('DELETE FROM items')\nop.execute('COMMIT')",
    "COMMIT after it": "op.execute('DELETE FROM items; commit')",
    "COMMIT after a comment": "op.execute('DELETE FROM items')\nop.execute('/* so */ COMMIT')",
    "END after it": "op.execute('DELETE FROM items; -- so\\n END')",
    "a transaction kept for later": """\
        op.execute('DELETE FROM items')
        op.execute("PREPARE TRANSACTION 'later'")
        """,
    "before a block": """\
        op.execute('DELETE FROM items')
        with op.get_context().autocommit_block():
            op.execute('VACUUM own')
        """,
    "COMMIT by a cursor": """\
        cursor = op.get_bind().connection.cursor()
        cursor.execute('DELETE FROM ' + 'items; COMMIT')
        """,
    "COMMIT after a cursor": """\
        cursor = op.get_bind().connection.cursor()
        cursor.execute('DELETE FROM items')
        cursor.execute('COMMIT')
        """,
    "a commit of the driver": """\
        cursor = op.get_bind().connection.cursor()
        cursor.executemany('INSERT INTO items VALUES (%s)', [(3,), (4,)])
        op.get_bind().connection.commit()
        """,
    "autocommit of the driver": """\
        connection = op.get_bind().connection.driver_connection
        connection.rollback()
        connection.autocommit = True
        connection.cursor().execute(b'DELETE FROM items')
        """,
    "a connection of the driver": """\
        from pegboard import db
        connection = db.engine.raw_connection()
        connection.cursor().execute('DELETE FROM items')
        connection.commit()
        """,
    "a child": "op.execute('CREATE TABLE child () INHERITS (items)')",
    "a parent": """\
        op.execute('CREATE TABLE parent (name varchar(10))')
        op.execute('ALTER TABLE items INHERIT parent')
        """,
    "GRANT": "op.execute('GRANT SELECT ON items TO PUBLIC')",
    "GRANT of a column": "op.execute('GRANT SELECT (name) ON items TO PUBLIC')",
    "REVOKE": "op.execute('REVOKE ALL ON items FROM CURRENT_USER')",
    "GRANT on all": "op.execute('GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC')",
    "a sequence": "op.execute('ALTER SEQUENCE items_number RESTART WITH 9')",
    "a step of a sequence": "op.execute('ALTER SEQUENCE items_number INCREMENT 2')",
    "an owner of a sequence": "op.execute('ALTER SEQUENCE items_number OWNED BY own.id')",
    "a value of a sequence": "op.execute(\"SELECT setval('items_number', 9)\")",
    "GRANT of a sequence": "op.execute('GRANT USAGE ON SEQUENCE items_number TO PUBLIC')",
    "a dropped sequence": "op.execute('DROP SEQUENCE items_number')",
    "an owner": "op.execute('ALTER TABLE items OWNER TO pg_monitor')",
    "a comment outside": AUTOCOMMIT("COMMENT ON TABLE items IS 'theirs'"),
    "a comment on a column outside": AUTOCOMMIT("COMMENT ON COLUMN public.items.name IS 'theirs'"),
    "between comments outside": AUTOCOMMIT("DELETE /* it's */ FROM -- so\n items"),
    "comments in a body outside": AUTOCOMMIT("DO $a$ BEGIN DELETE/**/FROM items; END $a$"),
    "after a text with dashes outside": AUTOCOMMIT(
        "WITH one AS (SELECT E'\\' --', '--') DELETE FROM items"
    ),
    "GRANT outside": AUTOCOMMIT("GRANT SELECT ON own, items TO PUBLIC"),
    "REVOKE outside": AUTOCOMMIT("revoke all on table public.items from public"),
    "an owner outside": AUTOCOMMIT("ALTER TABLE items OWNER TO pg_monitor"),
    "a child outside": AUTOCOMMIT("CREATE TABLE child () INHERITS (own, items)"),
    "GRANT on all outside": AUTOCOMMIT("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC"),
    "REVOKE on all outside": AUTOCOMMIT(
        'revoke all on all tables in schema x, "public" from PUBLIC'
    ),
    "owned outside": AUTOCOMMIT("REASSIGN OWNED BY CURRENT_USER TO pg_monitor"),
    "dropped owned outside": AUTOCOMMIT("DROP OWNED BY pg_monitor"),
    "a schema outside": AUTOCOMMIT("DROP SCHEMA IF EXISTS public CASCADE"),
    "a sequence outside": AUTOCOMMIT("ALTER SEQUENCE IF EXISTS items_number RESTART WITH 9"),
    "GRANT of a sequence outside": AUTOCOMMIT("GRANT USAGE ON SEQUENCE items_number TO PUBLIC"),
    "a value of a sequence outside": AUTOCOMMIT("SELECT setval('public.items_number', 9)"),
    "a rule outside": AUTOCOMMIT("CREATE RULE r AS ON DELETE TO items DO NOTHING"),
    "VACUUM outside": AUTOCOMMIT("VACUUM (FULL, ANALYZE) own, items"),
    "REINDEX outside": AUTOCOMMIT("REINDEX (VERBOSE) TABLE CONCURRENTLY items"),
}


def privileges_and_comments(app):
    """Return what PostgreSQL has of table items beside columns, indexes and rows."""
    query = """
        SELECT (SELECT CAST(ROW(one, last_value) AS text) FROM pg_sequence AS one, items_number
                WHERE seqrelid = 'items_number'::regclass),
            relacl, relowner,
            ARRAY(SELECT CAST(attacl AS text) FROM pg_attribute WHERE attrelid = 'items'::regclass),
            ARRAY(SELECT description FROM pg_description WHERE objoid = 'items'::regclass)
        FROM pg_class WHERE oid = 'items'::regclass
    """
    with app.app_context(), db.engine.connect() as connection:
        return str(connection.execute(sa.text(query)).one())


@pytest.mark.parametrize("touch", ON_POSTGRESQL.values(), ids=ON_POSTGRESQL)
def test_postgresql_tells_what_no_text_shows(make_app, postgres_url, items, notes, touch):
    """What a transaction has locked is known, and what runs outside one is read before it runs."""
    app = make_app(plugins=[items, notes], upgrade=False, DATABASE_URL=postgres_url)
    notes.create(1, "own")
    upgrade(app)
    execute(app, "ALTER TABLE past ADD FOREIGN KEY (id) REFERENCES own NOT VALID")
    execute(app, "CREATE SEQUENCE items_number OWNED BY items.id")
    notes.write(2, touch)
    before = privileges_and_comments(app)

    refused(app, table_of(touch))

    assert before == privileges_and_comments(app)


def table_of(touch):
    """Return the table that is named: the first of those that a statement touches without names."""
    if "own CASCADE" in touch:
        return "past"
    unnamed = ("ALL TABLES", "OWNED BY CURRENT_USER", "DROP OWNED", "DROP SCHEMA")
    return "alembic_version_items" if any(one in touch.upper() for one in unnamed) else "items"


def test_a_new_owner_of_all_that_a_role_has_is_refused(make_app, postgres_url, items, notes):
    """Inside a transaction by what it did to a table; the statement names none."""
    app = make_app(plugins=[items, notes], upgrade=False, DATABASE_URL=postgres_url)
    upgrade(app)
    role = f"role_{uuid4().hex}"
    execute(app, f"CREATE ROLE {role}", f"ALTER TABLE past OWNER TO {role}")
    try:
        notes.write(1, f"op.execute('REASSIGN OWNED BY {role} TO pg_monitor')")
        refused(app, "past")
    finally:
        execute(app, f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP ROLE {role}")


def test_postgresql_allows_what_is_outside_a_transaction(make_app, postgres_url, items, notes):
    """An index of the own table may be made concurrently, and other tables may be mentioned."""
    notes.create(1, "own")
    notes.write(
        2,
        """\
        op.execute("INSERT INTO own SELECT id FROM items")
        op.execute("COMMIT")
        op.execute("DO $$ BEGIN IF false THEN DELETE FROM items; END IF; END $$")
        op.execute("SELECT 1 -- DELETE FROM items; COMMIT")
        with op.get_context().autocommit_block():
            op.create_index("ix", "own", ["id"], postgresql_concurrently=True)
            op.execute("DELETE FROM own USING items WHERE own.id = items.id")
            op.execute("DROP INDEX CONCURRENTLY ix")
        """,
    )

    make_app(plugins=[items, notes], DATABASE_URL=postgres_url)


def test_reading_a_sequence_of_another_plugin_is_allowed(make_app, postgres_url, items, notes):
    """As it is with tables, also to create one that is like the other."""
    app = make_app(plugins=[items, notes], upgrade=False, DATABASE_URL=postgres_url)
    upgrade(app)
    execute(
        app,
        "CREATE SEQUENCE numbers OWNED BY items.id",
        "ALTER TABLE items ALTER COLUMN id SET DEFAULT nextval('numbers')",
    )
    notes.write(
        1,
        """\
        op.execute("SELECT last_value FROM numbers")
        op.execute("CREATE TABLE own (LIKE items INCLUDING ALL)")
        """,
    )
    upgrade(app)

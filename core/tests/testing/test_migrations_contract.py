"""Each rule of `MigrationsContract` fails for a plugin that breaks it, and says what to do."""

from textwrap import dedent, indent

import pytest
from sqlalchemy import text

from pegboard.testing.broken_rules import breaks
from pegboard.testing.contracts import MigrationsContract
from pegboard.testing.contracts.migrations.revisions import MakeHistory
from pegboard.testing.distributions import PluginFolder

WALK = "test_each_revision_goes_up_down_and_up_again"
MODELS = "test_models_equal_the_database"
OWN = "test_revisions_touch_own_tables_only"
ALIKE = "test_each_revision_leaves_the_same_on_both_databases"
WRITTEN = "test_revisions_written_on_one_database_run_on_the_other"

SECOND = """\
import sqlalchemy as sa
from alembic import op

revision, down_revision = "notes_0002", "notes_0001"


def upgrade():
{upgrade}


def downgrade():
{downgrade}
"""

CIRCLE_MODELS = """
from pathlib import Path
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(pegboard.Model, DeclarativeBase):
    pass

class Team(Base):
    __tablename__ = "teams"
    lead_id = mapped_column(
        sa.ForeignKey("people.id", use_alter=True), nullable={lead_is_nullable})

class Person(Base):
    __tablename__ = "people"
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("teams.id"))

@pegboard.hookimpl
def pegboard_models():
    return Base

@pegboard.hookimpl
def pegboard_migrations():
    return Path(__file__).parent / "migrations"
"""
CIRCLE = """\
import sqlalchemy as sa
from alembic import op

revision, down_revision = "teams_0001", None
LEAD = "fk_teams_lead_id_people"


def create(name, *columns):
    now = sa.func.current_timestamp()
    op.create_table(name, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("created_at", sa.DateTime, server_default=now),
        sa.Column("updated_at", sa.DateTime, server_default=now), *columns,
        sqlite_autoincrement=True)


def upgrade():
    create("teams", sa.Column("lead_id", sa.Integer, nullable={lead_is_nullable}))
    create("people", sa.Column("team_id", sa.Integer, sa.ForeignKey(
        "teams.id", name="fk_people_team_id_teams"), nullable=False))
    with op.batch_alter_table("teams") as batch:
        batch.create_foreign_key(LEAD, "people", ["lead_id"], ["id"])


def downgrade():
    with op.batch_alter_table("teams") as batch:
        batch.drop_constraint(LEAD, type_="foreignkey")
    op.drop_table("people")
    op.drop_table("teams")
"""


def add_notes(
    folder: PluginFolder,
    upgrade: str,
    downgrade: str = "pass",
    columns: str = "",
    *,
    first: str = "",
) -> str:
    """Write a plugin with a table and two revisions, of which `first` is more of the first one.

    Returns its name.
    """
    module = folder.add_table("notes", columns=columns, upgrade=first)
    source = SECOND.format(
        upgrade=indent(dedent(upgrade), "    "), downgrade=indent(dedent(downgrade), "    ")
    )
    (module / "migrations" / "notes_0002.py").write_text(source, encoding="utf-8")
    return "notes"


@pytest.mark.slow
class TestNotes(MigrationsContract):
    """A plugin that keeps the contract: with an enumeration, a check, a key to itself, defaults."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """It adds columns of many kinds to a table that has rows."""
        add = """
            with op.batch_alter_table("notes") as batch:
                batch.add_column(sa.Column("color", sa.Enum("red", "blue", name="color")))
                batch.add_column(sa.Column("stars", sa.Integer, sa.CheckConstraint(
                    "stars BETWEEN 1 AND 5", name="stars"), server_default="1",
                    nullable=False))
                batch.add_column(sa.Column("price", sa.Numeric(6, 2)))
                batch.add_column(sa.Column("parent_id", sa.Integer))
                batch.create_foreign_key("fk_notes_parent_id_notes", "notes", ["parent_id"], ["id"])
        """
        drop = """
            with op.batch_alter_table("notes") as batch:
                batch.drop_constraint("fk_notes_parent_id_notes", type_="foreignkey")
                batch.drop_constraint("stars", type_="check")
                for name in ("parent_id", "price", "stars", "color"):
                    batch.drop_column(name)
        """
        columns = """
            color: Mapped[str | None] = mapped_column(sqlalchemy.Enum("red", "blue", name="color"))
            stars: Mapped[int] = mapped_column(sqlalchemy.CheckConstraint(
                "stars BETWEEN 1 AND 5", name="stars"), server_default="1")
            price: Mapped[float | None] = mapped_column(sqlalchemy.Numeric(6, 2))
            parent_id: Mapped[int | None] = mapped_column(sqlalchemy.ForeignKey("notes.id"))
            remark: Mapped[str | None] = mapped_column(sqlalchemy.String(50))
        """
        name = add_notes(plugin_folder, add, drop, columns)
        third = SECOND.replace("0001", "0000").replace("0002", "0003").replace("0000", "0002")
        third = third.format(
            upgrade='    op.add_column("notes", sa.Column("remark", sa.String(50)))',
            downgrade='    with op.batch_alter_table("notes") as batch:\n'
            '        batch.drop_column("remark")',
        )
        migrations = plugin_folder.path / "example_notes" / "migrations"
        (migrations / "notes_0003.py").write_text(third, encoding="utf-8")
        return name


RENAMED = """\
if op.get_bind().dialect.name == "postgresql":
    op.execute("ALTER TYPE color RENAME VALUE '{old}' TO '{new}'")
else:
    op.execute("UPDATE notes SET color = '{new}' WHERE color = '{old}'")
"""


@pytest.mark.slow
class TestRenamedValue(MigrationsContract):
    """An enumeration of which the newest model knows a value by another name."""

    @pytest.fixture
    def data_changes(self) -> dict[str, list[str]]:
        """The values are renamed."""
        return {"notes_0002": ["notes.color"]}

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """No row can be without one."""
        kind = 'sa.Enum("red", "blue", name="color")'
        first = f"""
            {kind}.create(op.get_bind(), checkfirst=True)
            op.add_column("notes", sa.Column("color", {kind}, nullable=False, server_default="red"))
            with op.batch_alter_table("notes") as batch:
                batch.alter_column("color", server_default=None)
        """
        columns = 'color: Mapped[str] = mapped_column(sqlalchemy.Enum("rose","blue",name="color"))'
        there, back = RENAMED.format(old="red", new="rose"), RENAMED.format(old="rose", new="red")
        name = add_notes(plugin_folder, there, back, columns, first=dedent(first))
        path = plugin_folder.path / "example_notes" / "migrations" / "notes_0001.py"
        drop = 'sa.Enum(name="color").drop(op.get_bind(), checkfirst=True)'
        path.write_text(f"{path.read_text().rstrip()}\n    {drop}\n", encoding="utf-8")
        return name


@pytest.mark.slow
class TestAddedValue(MigrationsContract):
    """An enumeration of which the first revision knows fewer values than the newest model."""

    @pytest.fixture
    def data_changes(self) -> dict[str, list[str]]:
        """The way back has no such values."""
        return {"notes_0002": ["notes.color"]}

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Kinds of values that SQLite has no type for, and numbers below zero, stand beside it."""
        kind = 'sa.Enum({}"blue", name="color")'
        more = kind.format('"red", "green", "white", ')
        others = """
            op.add_column("notes", sa.Column("token", sa.Uuid))
            op.add_column("notes", sa.Column("span", sa.Interval))
            names = sa.JSON().with_variant(sa.ARRAY(sa.String(20)), "postgresql")
            op.add_column("notes", sa.Column("names", names))
            with op.batch_alter_table("notes") as batch:
                batch.add_column(sa.Column("depth", sa.Integer))
                batch.create_check_constraint("below", "depth < 0 AND depth >= -5")
        """
        first = f"""
            {kind.format("")}.create(op.get_bind(), checkfirst=True)
            op.add_column("notes", sa.Column("color", {kind.format("")}))
        """
        columns = """
            color: Mapped[str | None] = mapped_column(
                sqlalchemy.Enum("red", "green", "white", "blue", name="color"))
            token = mapped_column(sqlalchemy.Uuid)
            span = mapped_column(sqlalchemy.Interval)
            names = mapped_column(
                sqlalchemy.JSON().with_variant(
                    sqlalchemy.ARRAY(sqlalchemy.String(20)), "postgresql"))
            depth: Mapped[int | None]
            __table_args__ = (sqlalchemy.CheckConstraint("depth < 0 AND depth >= -5", "below"),)
        """
        change = """
            notes = sa.table("notes", sa.column("color"))
            op.execute(notes.update().values(color="blue"))
            with op.batch_alter_table("notes") as batch:
                batch.alter_column("color", existing_type={}, type_={})
        """
        there, back = change.format(kind.format(""), more), change.format(more, kind.format(""))
        name = add_notes(plugin_folder, there, back, columns, first=dedent(first) + dedent(others))
        path = plugin_folder.path / "example_notes" / "migrations" / "notes_0001.py"
        drop = 'sa.Enum(name="color").drop(op.get_bind(), checkfirst=True)'
        path.write_text(f"{path.read_text().rstrip()}\n    {drop}\n", encoding="utf-8")
        return name


def add_circle(folder: PluginFolder, *, lead_is_nullable: bool) -> str:
    """Write a plugin with teams, each with a lead, and people, each in a team; returns its name."""
    module = folder.add("teams", CIRCLE_MODELS.format(lead_is_nullable=lead_is_nullable))
    (module / "migrations").mkdir()
    source = CIRCLE.format(lead_is_nullable=lead_is_nullable)
    (module / "migrations" / "teams_0001.py").write_text(source, encoding="utf-8")
    return "teams"


@pytest.mark.slow
class TestTablesThatReferToEachOther(MigrationsContract):
    """Two of them, of which one can have its first row before the other has one."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """A team needs no lead."""
        return add_circle(plugin_folder, lead_is_nullable=True)

    @pytest.mark.parametrize("database", ["sqlite", "postgresql"])
    def test_the_key_that_may_be_null_is_set(
        self, make_history: MakeHistory, database: str
    ) -> None:
        """So that a revision meets rows that have it, and others that do not."""
        history = make_history(database)
        history.up()
        history.fill()
        with history.connected() as connection:
            leads = set(connection.scalars(text("SELECT lead_id FROM teams")))
        assert None in leads
        assert len(leads) > 1


@breaks(
    MigrationsContract,
    WALK,
    "each needs another before it: people.team_id refers to teams, teams.lead_id refers to people, "
    "and none of these columns can be null",
    database="sqlite",
)
class TestTablesWhoseRowsNeedEachOther:
    """No table can have its first row before the other."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """A team needs a lead, who needs a team."""
        return add_circle(plugin_folder, lead_is_nullable=False)


@breaks(MigrationsContract, WALK, "the upgrade to notes_0002 fails", database="sqlite")
class TestAnUpgradeThatFails:
    """It runs what there is not."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Drop a column that no revision has made."""
        return add_notes(plugin_folder, "op.execute('UPDATE notes SET color = 1')")


@breaks(
    MigrationsContract,
    WALK,
    "the upgrade to notes_0002 fails on sqlite where its tables have rows",
    database="sqlite",
)
class TestAColumnThatRowsCannotHave:
    """A column without a default is never null: only an empty table can get it."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Rows would need a value."""
        return add_notes(
            plugin_folder,
            """
            with op.batch_alter_table("notes") as batch:
                batch.add_column(sa.Column("color", sa.Text, nullable=False))
            """,
            columns="color: Mapped[str] = mapped_column(sqlalchemy.Text)",
        )


@breaks(MigrationsContract, WALK, "the downgrade of notes_0002 fails", database="sqlite")
class TestADowngradeThatFails:
    """It drops what there is not."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Nothing was made."""
        return add_notes(plugin_folder, "pass", "op.drop_table('labels')")


DESCENDING = 'sa.desc(sa.column("title"))'
TITLE = 'op.add_column("notes", sa.Column("title", sa.String(50)))'
NOT_UNDONE = "the downgrade of notes_0002 does not undo its upgrade on "


@breaks(MigrationsContract, WALK, f"{NOT_UNDONE}sqlite: then ['notes.title is", database="sqlite")
class TestATypeThatIsNotUndone:
    """The column keeps its new length."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Longer titles would be refused by what was there before."""
        return add_notes(
            plugin_folder,
            """
            with op.batch_alter_table("notes") as batch:
                batch.alter_column("title", type_=sa.String(500))
            """,
            first=TITLE,
        )


class ADefaultAndACheckThatAreNotUndone:
    """The column keeps both."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Rows would be refused, or have a value, that they did not have before."""
        return add_notes(
            plugin_folder,
            """
            with op.batch_alter_table("notes") as batch:
                batch.alter_column("title", server_default="none")
                batch.create_check_constraint("long", "length(title) > 2")
            """,
            first=TITLE,
        )


TestADefaultThatIsNotUndone = breaks(
    MigrationsContract, WALK, f"{NOT_UNDONE}sqlite: then ['notes has the", database="sqlite"
)(ADefaultAndACheckThatAreNotUndone)
TestADefaultThatIsNotUndoneOnPostgreSQL = breaks(
    MigrationsContract, WALK, f"{NOT_UNDONE}postgresql: then ['notes has the", database="postgresql"
)(ADefaultAndACheckThatAreNotUndone)


@breaks(
    MigrationsContract,
    WALK,
    f"{NOT_UNDONE}postgresql: then ['notes has an index of (title)'], which was not so before, and "
    """not ["notes has an index of (title), sorted {'title': ('desc',)}"]""",
    database="postgresql",
)
class TestAnIndexThatIsSortedOtherwise:
    """It is there again, in the other order."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Queries with both columns in their orders would no longer use it."""
        create = 'op.create_index("by_title", "notes", [{}])'
        return add_notes(
            plugin_folder,
            'op.drop_index("by_title", "notes")',
            create.format('"title"'),
            first=f"{TITLE}\n{create.format(DESCENDING)}",
        )


@breaks(
    MigrationsContract,
    WALK,
    f"{NOT_UNDONE}sqlite: then ['notes has an index of (title) where titleisnotnull']",
    database="sqlite",
)
class TestAnIndexThatStaysPartial:
    """It is there again, but not of all rows."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Queries would no longer use it."""
        index = 'op.create_index("by_title", "notes", ["title"]'
        where = "".join(
            f', {dialect}_where=sa.text("title IS NOT NULL")'
            for dialect in ("sqlite", "postgresql")
        )
        return add_notes(
            plugin_folder,
            'op.drop_index("by_title", "notes")',
            f"{index}{where})",
            first=f"{TITLE}\n{index})",
        )


@breaks(
    MigrationsContract,
    WALK,
    "after the downgrade to base sqlite still has labels. Drop in the downgrade",
    database="sqlite",
)
class TestADowngradeThatForgets:
    """The table stays, and the next upgrade finds it."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """The second upgrade would fail if it did not look."""
        return add_notes(
            plugin_folder, "op.execute('CREATE TABLE IF NOT EXISTS labels (id integer)')"
        )


@breaks(
    MigrationsContract,
    WALK,
    "on sqlite: then ['notes.title is a text and may be null'], which was not so before, and not "
    "['notes.title is a text and is never null']",
    database="sqlite",
)
class TestADowngradeThatDoesNothing:
    """A column stays as the upgrade has made it."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Its upgrade runs twice without a failure."""
        module = plugin_folder.add_table(
            "notes",
            upgrade='op.add_column("notes", sa.Column("title", sa.Text, nullable=False, '
            'server_default=""))',
        )
        upgrade = """
            with op.batch_alter_table("notes") as batch:
                batch.alter_column("title", existing_type=sa.Text(), nullable=True)
        """
        source = SECOND.format(upgrade=indent(dedent(upgrade), "    "), downgrade="    pass")
        (module / "migrations" / "notes_0002.py").write_text(source, encoding="utf-8")
        return "notes"


@breaks(
    MigrationsContract,
    WALK,
    "then ['notes has an index of (created_at)'], which was not so before",
    database="sqlite",
)
class TestADowngradeThatForgetsAnIndex:
    """It stays, and the next upgrade finds it."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """The second upgrade would fail if it did not look."""
        create = "CREATE INDEX IF NOT EXISTS ix_notes ON notes (created_at)"
        return add_notes(plugin_folder, f"op.execute({create!r})")


@breaks(MigrationsContract, MODELS, "add column notes.color", database="sqlite")
class TestAModelWithoutARevision:
    """A column of the model is in no revision."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """The revision was not written."""
        plugin_folder.add_table(
            "notes", columns="color: Mapped[str] = mapped_column(sqlalchemy.Text)"
        )
        return "notes"


@breaks(MigrationsContract, OWN, "it touches table tags, which belongs to tags", database="sqlite")
class TestARevisionOfAnotherPluginsTable:
    """It changes the table of a plugin that it requires."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """It drops a row of the other."""
        plugin_folder.add_table("tags")
        plugin_folder.add_table(
            "notes",
            requires=["pegboard", "example-tags"],
            upgrade='op.execute("ALTER TABLE tags ADD COLUMN color text")',
        )
        return "notes"


class Beside:
    """A plugin whose revision does something to the table of one that it does not require."""

    statement: tuple[str, ...]

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """The text of the statement is made while it runs."""
        plugin_folder.add_table("tags")
        return add_notes(plugin_folder, f'op.execute(" ".join({self.statement!r}))')


@breaks(MigrationsContract, OWN, "it touches table tags, which belongs to tags", database="sqlite")
class TestARevisionOfAnotherPluginsRows(Beside):
    """It drops the rows of the other."""

    statement = ("DELETE FROM", "tags")


@breaks(
    MigrationsContract, OWN, "it touches table tags, which belongs to tags", database="postgresql"
)
class TestARevisionOfAnotherPluginsIndex(Beside):
    """It makes an index of the other's table."""

    statement = ("CREATE INDEX ix ON", "tags (created_at)")


@breaks(MigrationsContract, OWN, "table notes_log: belongs to no active", database="sqlite")
class TestATableThatIsNobodys:
    """A table without a model, by SQL: no command knows it."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Its name is made while the revision runs."""
        return add_notes(
            plugin_folder,
            'op.execute(" ".join(["CREATE TABLE", "notes_" + "log", "(id integer)"]))',
        )


@breaks(MigrationsContract, ALIKE, "notes.color is a text and is never null")
class TestARevisionOfOneDatabase:
    """A column is another on PostgreSQL."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Only there it may not be null."""
        return add_notes(
            plugin_folder,
            """
            is_null = op.get_bind().dialect.name == "sqlite"
            op.add_column("notes", sa.Column("color", sa.Text, nullable=is_null, server_default=""))
            """,
        )


@breaks(MigrationsContract, ALIKE, "in the rows of notes")
class TestARevisionOfTheRowsOfOneDatabase:
    """Rows are changed only on PostgreSQL."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Their times are lost there."""
        return add_notes(
            plugin_folder,
            """
            if op.get_bind().dialect.name == "postgresql":
                op.execute("UPDATE notes SET created_at = NULL")
            """,
        )


@breaks(MigrationsContract, WRITTEN, "fails on sqlite", written_on="postgresql")
class TestAModelOfOneDatabase:
    """What is written for it on PostgreSQL does not run on SQLite."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """A type that only PostgreSQL has."""
        plugin_folder.add_table(
            "notes",
            columns="words: Mapped[list[str]] = mapped_column(sqlalchemy.ARRAY(sqlalchemy.Text))",
        )
        return "notes"


@breaks(MigrationsContract, MODELS, "notes has no migrations", database="sqlite")
class TestAPluginWithoutMigrations:
    """The contract is not for it."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """It has no table."""
        plugin_folder.add("notes")
        return "notes"

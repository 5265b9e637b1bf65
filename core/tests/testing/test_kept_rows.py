"""`MigrationsContract` fails for revisions that change the rows of a table that stays."""

from collections.abc import Callable

import pytest

from pegboard.testing.broken_rules import breaks
from pegboard.testing.contracts import MigrationsContract
from pegboard.testing.distributions import PluginFolder

REVISION = """
from alembic import op

revision, down_revision = "notes_0002", "notes_0001"


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
"""
DELETE = "op.execute('DELETE FROM notes')"
REWRITE = "op.execute(\"UPDATE notes SET created_at = '2001-01-01 00:00:00'\")"
FILL = "op.execute(\"UPDATE notes SET title = 'none' WHERE title IS NULL\")"


def add_notes(folder: PluginFolder, *upgrade: str, downgrade: str = "pass") -> str:
    """Write a plugin with a table and a second revision; returns its name."""
    module = folder.add_table(
        "notes",
        columns="title: Mapped[str | None] = mapped_column(sqlalchemy.Text)",
        upgrade='op.add_column("notes", sa.Column("title", sa.Text))',
    )
    source = REVISION.format(upgrade="; ".join(upgrade) or "pass", downgrade=downgrade)
    (module / "migrations" / "notes_0002.py").write_text(source, encoding="utf-8")
    return "notes"


def loses(says: str, database: str) -> Callable[[type], type]:
    """Make a test of a plugin that the contract refuses with this in its message."""
    walk = "test_each_revision_goes_up_down_and_up_again"
    return breaks(MigrationsContract, walk, says, database=database)


@loses("the upgrade of notes_0002 changes rows on postgresql: the row of notes with", "postgresql")
class TestAnUpgradeThatDeletes:
    """The table stays, and is empty."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Delete all rows on the way up."""
        return add_notes(plugin_folder, DELETE)


@loses("the downgrade of notes_0002 changes rows on sqlite: the row of notes with", "sqlite")
class TestADowngradeThatDeletes:
    """What an earlier release has written is to be there again."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Delete all rows on the way down."""
        return add_notes(plugin_folder, downgrade=DELETE)


@loses("has created_at=2001-01-01 00:00:00", "sqlite")
class TestAnUpgradeThatRewrites:
    """The row stays with another value, in a column with a default."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Forget when the rows were made."""
        return add_notes(plugin_folder, REWRITE)


@loses("the fixture data_changes names notes_0003; its revisions are notes_0001", "sqlite")
class TestAChangeOfNoRevision:
    """A name that is misspelled allows nothing."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Forget when the rows were made."""
        return add_notes(plugin_folder, REWRITE)

    @pytest.fixture
    def data_changes(self) -> dict[str, list[str]]:
        """Name a revision that there is not."""
        return {"notes_0003": ["notes"]}


@pytest.mark.slow
class TestChangesThatAreMeant(MigrationsContract):
    """A null may be replaced; what else changes is declared by column, or by table."""

    test_models_equal_the_database = None  # type: ignore[assignment]
    test_revisions_touch_own_tables_only = None  # type: ignore[assignment]
    test_each_revision_leaves_the_same_on_both_databases = None  # type: ignore[assignment]
    test_revisions_written_on_one_database_run_on_the_other = None  # type: ignore[assignment]

    @pytest.fixture(params=["column", "table"])
    def declared(self, request: pytest.FixtureRequest) -> str:
        """What is declared."""
        return str(request.param)

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder, declared: str) -> str:
        """Change times and nulls, or delete all rows on the way down."""
        if declared == "column":
            return add_notes(plugin_folder, FILL, REWRITE)
        return add_notes(plugin_folder, FILL, downgrade=DELETE)

    @pytest.fixture
    def data_changes(self, declared: str) -> dict[str, list[str]]:
        """Name the column, or the table."""
        return {"notes_0002": ["notes.created_at" if declared == "column" else "notes"]}

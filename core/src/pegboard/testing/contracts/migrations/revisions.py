"""What the revisions of a plugin must do on each database."""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import pytest
from alembic.script.base import Script

from pegboard.migrations import find_drift, find_orphans, get_migrate, write_revisions
from pegboard.testing.contracts.migrations.history import (
    PluginHistory,
    ignore,
    oldest_first,
)
from pegboard.testing.contracts.migrations.kept_rows import check_names, kept_rows
from pegboard.testing.contracts.named import BuildApp, DataChanges, Named, RowValues, fail
from pegboard.testing.evidence import proves

MakeHistory = Callable[..., PluginHistory]
DATABASES = ("sqlite", "postgresql")
_WHERE = {
    "sqlite": "",
    "postgresql": ", while DATABASE_URL names a PostgreSQL database (pegboard dev --services has "
    "one): SQLite does not know the values of an Enum",
}
"""Where a revision is to be written that this database lacks."""


class Revisions(Named):
    """Upgrades and downgrades, the models, the tables of others, and both databases alike."""

    @pytest.fixture
    def data_changes(self) -> DataChanges:
        """Tables and columns by revision, whose rows it is meant to change: none.

        A column is named with its table, as in `{"notes_0003": ["notes.title"]}`; a table alone
        stands for all of its columns and rows.
        """
        return {}

    @pytest.fixture
    def make_history(
        self,
        request: pytest.FixtureRequest,
        build: BuildApp,
        plugin_name: str,
        row_values: RowValues,
    ) -> MakeHistory:
        """Make the plugin's history on the empty database `sqlite` or `postgresql`.

        Plugins that are named after it are in the app as well.
        """

        def make(database: str, *others: str) -> PluginHistory:
            url = request.getfixturevalue(
                {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[database]
            )
            app = build(*others, DATABASE_URL=url)
            names = {history.name for history in get_migrate(app).histories}
            if plugin_name not in names:
                fail(
                    f"{plugin_name} has no migrations: return their folder from "
                    "pegboard_migrations, or do not inherit MigrationsContract."
                )
            return PluginHistory(app, plugin_name, row_values)

        return make

    @proves("rows-migrated")
    @pytest.mark.parametrize("database", DATABASES)
    def test_each_revision_goes_up_down_and_up_again(
        self, make_history: MakeHistory, database: str, data_changes: DataChanges
    ) -> None:
        """Each with rows in the tables, which stay; down to nothing, and up again."""
        history = make_history(database)
        check_names(history, data_changes)
        before: str | None = None
        tables = history.tables()
        described: set[str] = set()
        for script in history.revisions():
            changes = data_changes.get(script.revision, ())
            with kept_rows(history, script, "upgrade", changes):
                history.up(script.revision)
            history.fill()
            # Others go down together with those beside them.
            is_alone = script.down_revision == before
            undone = changes if is_alone else [*chain.from_iterable(data_changes.values())]
            with kept_rows(history, script, "downgrade", undone):
                history.down(script)
            if is_alone:
                self._check_downgrade(history, script, described, history.describe_exactly(tables))
            with kept_rows(history, script, "upgrade", changes):
                history.up(script.revision)
            before, tables = script.revision, history.tables()
            described = history.describe_exactly(tables)
            history.fill()
        for script in reversed(history.revisions()):
            history.down(script)
        if left := history.tables():
            fail(
                f"{history.name}: after the downgrade to base {database} still has "
                f"{', '.join(map(str, left))}. Drop in the downgrade what the upgrade creates."
            )
        history.up()
        self._check_drift(history)

    @staticmethod
    def _check_downgrade(
        history: PluginHistory, script: Script, before: set[str], after: set[str]
    ) -> None:
        if before != after:
            fail(
                f"{history.name}: the downgrade of {script.revision} does not undo its upgrade on "
                f"{history.database}: then {sorted(after - before)}, which was not so before, and "
                f"not {sorted(before - after)}. Undo in the downgrade all that the upgrade does."
            )

    @pytest.mark.parametrize("database", DATABASES)
    def test_models_equal_the_database(self, make_history: MakeHistory, database: str) -> None:
        """As `pegboard db check` finds it, once all revisions are applied."""
        history = make_history(database)
        history.up()
        self._check_drift(history)

    @staticmethod
    def _check_drift(history: PluginHistory) -> None:
        for drift in find_drift(history.app, history.name, report=ignore):
            fail(
                f"{history.name}: models and database differ on {history.database}: "
                f"{'; '.join(drift.differences)}. Write the revision that is missing: pegboard db "
                f"migrate {history.name}{_WHERE[history.database]}"
            )

    @pytest.mark.parametrize("database", DATABASES)
    def test_revisions_touch_own_tables_only(
        self, make_history: MakeHistory, beside: Sequence[str], database: str
    ) -> None:
        """Each table that they create has a model or a revision that names it; others stay."""
        history = make_history(database, *beside)
        history.fill_others()
        before = {str(one) for one in find_orphans(history.app)}
        others = history.describe_others()
        history.up()
        if strange := sorted({str(one) for one in find_orphans(history.app)} - before):
            fail(
                f"{history.name}: its revisions leave on {database} what is nobody's: "
                f"{'; '.join(strange)}. Create each table by op.create_table with a constant name, "
                "so that pegboard db check and pegboard plugins remove know it."
            )
        if changed := sorted(others ^ history.describe_others()):
            fail(
                f"{history.name}: its revisions change tables of others on {database}: "
                f"{'; '.join(changed)}. Leave them to their own revisions."
            )

    def test_each_revision_leaves_the_same_on_both_databases(
        self, make_history: MakeHistory
    ) -> None:
        """Tables and rows are alike after each; rows are inserted before the next."""
        histories = [make_history(database) for database in DATABASES]
        for script in oldest_first(histories):
            first, second = (history.describe() for history in histories)
            self._compare(script.revision, first, second)
            tables = {str(table) for table in histories[0].tables()}
            rows = [history.rows() for history in histories]
            for table in sorted(tables):
                left, right = (
                    {str(dict(row)) for row in found[table].elements()} for found in rows
                )
                self._compare(f"{script.revision} in the rows of {table}", left, right)
            # PostgreSQL takes fewer values than SQLite: an enumerated type may not have all yet.
            sqlite, postgresql = histories
            postgresql.fill()
            sqlite.fill(example=postgresql)

    @staticmethod
    def _compare(place: str, sqlite: set[str], postgresql: set[str]) -> None:
        if sqlite != postgresql:
            fail(
                f"what SQLite and PostgreSQL have after {place} differs: only on SQLite "
                f"{sorted(sqlite - postgresql)}, only on PostgreSQL {sorted(postgresql - sqlite)}. "
                "Write the revision so that both have the same."
            )

    @pytest.mark.parametrize("written_on", DATABASES)
    def test_revisions_written_on_one_database_run_on_the_other(
        self, make_history: MakeHistory, tmp_path: Path, written_on: str
    ) -> None:
        """One that `pegboard db migrate` writes for all models; both have the same afterwards."""
        folder = tmp_path / "written"
        folder.mkdir()
        histories = {database: make_history(database) for database in DATABASES}
        for history in histories.values():
            history.use(folder)
        writer = histories[written_on]
        if not write_revisions(writer.app, writer.name, "create all", report=ignore):
            pytest.skip("the plugin has no models")
        for history in histories.values():
            history.up()
            self._check_drift(history)
        first, second = (histories[database].describe() for database in DATABASES)
        self._compare(f"a revision written on {written_on}", first, second)

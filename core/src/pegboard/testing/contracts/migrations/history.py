"""A plugin's history on one database, which a test moves revision by revision."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from alembic.script.base import Script
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pegboard.database import db
from pegboard.migrations import (
    MigrationError,
    downgrade,
    get_migrate,
    read_script_directory,
    upgrade,
)
from pegboard.testing.contracts.migrations.rows import RowError, RowMaker
from pegboard.testing.contracts.migrations.structure import (
    Rows,
    TableName,
    describe_details,
    describe_rows,
    describe_tables,
    existing_tables,
    read_rows,
)
from pegboard.testing.contracts.named import RowValues, fail


def ignore(_line: str) -> None:
    """Report nothing."""


class PluginHistory:
    """The history of a plugin in an app; the histories of all others are at their heads.

    What cannot be done fails the test with what the author has to do.
    """

    def __init__(self, app: Flask, name: str, values: RowValues) -> None:
        self.app = app
        self.name = name
        with app.app_context():
            self.database = db.engine.dialect.name
            migrate = get_migrate()
            self._others = [one.name for one in migrate.histories if one.name != name]
            self.maker = RowMaker(values, migrate.find(name).metadata)
            """What makes up its rows."""
        for other in self._others:
            upgrade(app, other, report=ignore)
        self._before = self._tables()

    def use(self, folder: Path) -> None:
        """Take the revisions from another folder."""
        migrate = get_migrate(self.app)
        migrate.histories = tuple(
            replace(one, versions=folder) if one.name == self.name else one
            for one in migrate.histories
        )

    def revisions(self) -> list[Script]:
        """Return the revisions, the oldest first."""
        with self.app.app_context(), self._saying("its revisions cannot be read"):
            migrate = get_migrate()
            directory = read_script_directory(migrate.configuration(migrate.find(self.name)))
            return [*reversed([*directory.walk_revisions()])]

    def up(self, revision: str = "heads") -> None:
        """Upgrade to a revision."""
        with self._saying(f"the upgrade to {revision} fails{self._with_rows()}"):
            upgrade(self.app, self.name, revision, report=ignore)

    def down(self, script: Script) -> None:
        """Downgrade a revision, which is the newest that is applied."""
        before = script.down_revision
        target = before if isinstance(before, str) else "-1" if before else "base"
        with self._saying(f"the downgrade of {script.revision} fails{self._with_rows()}"):
            downgrade(self.app, self.name, target, report=ignore)

    def tables(self) -> list[TableName]:
        """Return the tables that have come since the history began, without version tables."""
        return sorted(self._tables() - self._before, key=str)

    def fill(self, example: "PluginHistory | None" = None) -> None:
        """Insert rows into each of the history's tables: those of `example`, on another database.

        They are others where this database does not take them.
        """
        with self.app.app_context(), db.engine.begin() as connection:
            try:
                self.maker.fill(connection, self.tables(), example.maker if example else None)
            except RowError as error:
                fail(
                    f'{self.name}: {error}\nOverride the fixture "row_values": return values by '
                    "table and column, as in {'notes': {'rating': 3}}."
                )

    def describe(self) -> set[str]:
        """Describe the history's tables."""
        with self.connected() as connection:
            return describe_tables(connection, self.tables())

    def describe_exactly(self, tables: Collection[TableName]) -> set[str]:
        """Describe those of the tables that are there in detail, as this database has them."""
        with self.connected() as connection:
            there = sorted(existing_tables(connection) & {*tables}, key=str)
            return describe_tables(connection, there) | describe_details(connection, there)

    def fill_others(self) -> None:
        """Insert rows into each table that was there before the history began, where it can be."""
        with self.app.app_context():
            for table in sorted(self._before, key=str):
                with suppress(RowError, SQLAlchemyError), db.engine.begin() as connection:
                    self.maker.fill(connection, [table])

    def describe_others(self) -> set[str]:
        """Describe the tables that were there before the history began, and their rows."""
        with self.connected() as connection:
            there = sorted(self._before & existing_tables(connection), key=str)
            rows = describe_rows(connection, there)
        return rows | self.describe_exactly(there)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Connect to the database of the app."""
        with self.app.app_context(), db.engine.connect() as connection:
            yield connection

    def rows(self) -> dict[str, Rows]:
        """Return the rows of the history's tables."""
        with self.connected() as connection:
            return {str(table): read_rows(connection, table) for table in self.tables()}

    def _tables(self) -> set[TableName]:
        with self.connected() as connection:
            versions = {TableName(None, one.version_table) for one in get_migrate().histories}
            return existing_tables(connection) - versions

    def _with_rows(self) -> str:
        if any(rows for rows in self.rows().values()):
            return f" on {self.database} where its tables have rows"
        return f" on {self.database}"

    @contextmanager
    def _saying(self, what: str) -> Iterator[None]:
        try:
            yield
        except MigrationError as error:
            fail(f"{self.name}: {what}. Correct the revision that is named:\n{error.message}")


def oldest_first(histories: Sequence[PluginHistory]) -> Iterator[Script]:
    """Yield the revisions, each after all of these histories were upgraded to it."""
    for script in histories[0].revisions():
        for history in histories:
            history.up(script.revision)
        yield script

"""What a version table says beside the revision: for releases that do not know that revision.

A column of its own, beside Alembic's, has which release has written it, all revisions that are
applied, and the tables that these have created. So an older release knows whether the database has
all that it needs, and the tables of a plugin that is gone can be dropped.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Column, Connection, Table, Text, column, inspect, table, text, update
from sqlalchemy.exc import DBAPIError

from pegboard.migrations.histories import History, Migrate
from pegboard.migrations.ownership import created_tables, owned_tables
from pegboard.migrations.status import current_heads
from pegboard.migrations.table_names import TableName
from pegboard.redaction import reason_of

logger = logging.getLogger(__name__)

COLUMN = "record"


@dataclass(frozen=True)
class Record:
    """What is recorded of a history whose newest applied revisions are `heads`."""

    heads: frozenset[str]
    revisions: frozenset[str]
    """All applied revisions."""
    tables: frozenset[TableName]
    """Those that the revisions have created."""
    release: str = ""
    """Name and version of the distribution that has applied them, if it has one."""

    def to_json(self) -> str:
        """Return the text of the column."""
        content = {
            "heads": sorted(self.heads),
            "revisions": sorted(self.revisions),
            "tables": [[one.schema, one.name] for one in sorted(self.tables, key=str)],
            "release": self.release,
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, content: str) -> "Record":
        """Read the text of the column; raises `ValueError`, `KeyError` or `TypeError`."""
        read = json.loads(content)
        return cls(
            frozenset(read["heads"]),
            frozenset(read["revisions"]),
            frozenset(TableName(schema, name) for schema, name in read["tables"]),
            str(read["release"]),
        )


def with_record(versions: Table) -> Table:
    """Add the column to a version table that is to be created."""
    versions.append_column(Column(COLUMN, Text, nullable=True))
    return versions


def read_record(connection: Connection, history: History) -> Record | None:
    """Return what is recorded; None if nothing is of the revisions that the database is at.

    So where they were applied by a release without records, or written by hand.
    """
    if not _has_column(connection, history):
        return None
    versions = _versions(history)
    for content in connection.scalars(versions.select().with_only_columns(versions.c[COLUMN])):
        try:
            record = Record.from_json(content or "")
        except (ValueError, KeyError, TypeError):
            continue
        if record.heads == set(current_heads(connection, history)):
            return record
    return None


def write_record(
    connection: Connection, history: History, migrate: Migrate, directory: ScriptDirectory
) -> None:
    """Record the revisions that the database is at, all of which must have files.

    A database user that may not change the version table records nothing.
    """
    try:
        heads = current_heads(connection, history)
        if not heads:
            return
        record = Record(
            frozenset(heads),
            frozenset(one.revision for one in directory.iterate_revisions(heads, "base")),
            frozenset(_tables(history, migrate, directory, heads)),
            history.release,
        )
        if record == read_record(connection, history):
            return
        has_column = _has_column(connection, history)
        connection.rollback()
        # It begins with a write: on SQLite one that follows a read may not wait for others.
        with connection.begin():
            if not has_column:
                connection.execute(text(f"ALTER TABLE {history.version_table} ADD {COLUMN} TEXT"))
            connection.execute(update(_versions(history)).values({COLUMN: record.to_json()}))
    except (DBAPIError, CommandError, RevisionError) as error:
        logger.debug("%s: what is applied cannot be recorded: %s", history.name, reason_of(error))
    finally:
        connection.rollback()


def _tables(
    history: History, migrate: Migrate, directory: ScriptDirectory, heads: Sequence[str]
) -> Iterable[TableName]:
    if set(heads) == set(directory.get_heads()):
        return owned_tables(history, migrate, heads)
    return created_tables(history, migrate, heads)


def _has_column(connection: Connection, history: History) -> bool:
    inspector = inspect(connection)
    return inspector.has_table(history.version_table) and any(
        one["name"] == COLUMN for one in inspector.get_columns(history.version_table)
    )


def _versions(history: History) -> Table:
    return table(history.version_table, column("version_num"), column(COLUMN))  # type: ignore[return-value]

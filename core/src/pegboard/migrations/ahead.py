"""A database that a newer release has migrated, as when a service goes back to an older one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, inspect

from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import History
from pegboard.migrations.model_tables import model_tables
from pegboard.migrations.record import Record, read_record
from pegboard.migrations.status import unknown_revisions
from pegboard.problems import Code, Problem


@dataclass(frozen=True)
class Ahead:
    """A history whose database is at revisions that the installed release does not know."""

    history: History
    unknown: tuple[str, ...]
    """Those revisions that the database is at."""
    heads: tuple[str, ...]
    """The newest revisions of the installed release."""
    record: Record | None
    """What the release that has applied them has recorded; None if it is not known."""
    refused: tuple[str, ...] = ()
    """Columns that the installed release need not fill, and without which no row can be added."""

    def __str__(self) -> str:
        return f"{self.history.name}: ahead, at {', '.join(self.unknown)}; nothing is applied"

    def as_problem(self) -> Problem:
        """Return it as a problem, with a hint."""
        release = self.record.release if self.record else ""
        heads = ", ".join(self.heads) or "base"
        summary = (
            f"the database is at {', '.join(self.unknown)}, which the installed release does not "
            f"know: {_applied_by(self.history, self.record)}"
        )
        if self.refused:
            summary += f"; rows without {', '.join(self.refused)} cannot be added"
        hint = (
            "Bring the file of that revision back; if it is lost, pegboard db stamp --purge "
            f"{self.history.name} {heads} records what is there, and changes no table."
            if release and release == self.history.release
            else "Nothing is migrated, and this release goes on with the newer tables. To go back "
            f"with them, too, run pegboard db downgrade {self.history.name} {heads} with the newer "
            "release."
        )
        return Problem(Code.MIGRATION_AHEAD, summary, hint, self.history.name)


def find_ahead(
    connection: Connection, history: History, directory: ScriptDirectory, current: Sequence[str]
) -> Ahead | None:
    """Return how far a database is ahead of the installed revisions; None if it is not.

    Raises `MigrationError` if it lacks one of these: then neither has all of the other.
    """
    unknown = unknown_revisions(directory, current)
    if not unknown:
        return None
    record, heads = read_record(connection, history), tuple(sorted(directory.get_heads()))
    if record and (lacking := sorted({*heads} - record.revisions)):
        summary = (
            f"the database is at {', '.join(unknown)} and without {', '.join(lacking)}: "
            f"{_applied_by(history, record)}, and the installed release has another history"
        )
        hint = (
            "Install a release that has all of these revisions, as after pegboard db merge "
            f"{history.name}."
        )
        raise MigrationError(str(Problem(Code.MIGRATION_DIVERGED, summary, hint, history.name)))
    return Ahead(history, unknown, heads, record, tuple(_refused(connection, history)))


def _applied_by(history: History, record: Record | None) -> str:
    if record is None:
        return "which one has applied it is not recorded"
    if not record.release:
        return "another state of these files has applied it"
    if record.release == history.release:
        return f"another build of {record.release} has applied it"
    return f"{record.release} has applied it"


def _refused(connection: Connection, history: History) -> Iterator[str]:
    """Yield the columns that models lack or may leave empty, and that have no NULL or default."""
    inspector = inspect(connection)
    for name, model in sorted(model_tables(history).items(), key=lambda item: str(item[0])):
        if not inspector.has_table(name.name, schema=name.schema):
            continue
        for one in inspector.get_columns(name.name, schema=name.schema):
            has_value = one["nullable"] or one.get("default") is not None
            is_made = one.get("computed") or one.get("identity") or one.get("autoincrement") is True
            if not (has_value or is_made or _is_filled(model.columns.get(one["name"]))):
                yield f"{name}.{one['name']}"


def _is_filled(column: Column[Any] | None) -> bool:
    """Return whether models give each row a value for a column; None for one they do not have."""
    return column is not None and (not column.nullable or column.default is not None)

"""Which revision the database is at, compared with the revision files."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flask import Flask
from sqlalchemy import Connection, column, inspect, select, table

from pegboard.database import db
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import (
    History,
    Migrate,
    ensure_app_context,
    get_migrate,
)
from pegboard.migrations.written_ids import written_heads
from pegboard.problems import Code, Problem

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory


@dataclass(frozen=True)
class PendingHistory:
    """A history with revisions that are not yet applied to the database."""

    history: str
    current: str | None
    head: str

    def as_problem(self) -> Problem:
        """Return it as a problem, with a hint."""
        return Problem(
            Code.DATABASE_BEHIND,
            f"the database is at {self.current or 'no revision'}, the newest is {self.head}",
            "Run pegboard db upgrade, or start with pegboard serve --upgrade.",
            self.history,
        )

    def __str__(self) -> str:
        return (
            f"{self.history}: the database is at {self.current or 'no revision'}, not {self.head}"
        )


def pending_histories(app: Flask) -> tuple[PendingHistory, ...]:
    """Return the histories that `upgrade` would move forward.

    A database at a revision that the files do not know is ahead of the code, as during a rolling
    update, and is not pending.
    """
    with ensure_app_context(app):
        session = db.session()
        was_idle = not session.in_transaction()
        # The session's own connection: the caller may already hold it, and the pool may have no
        # second one to give.
        found = _pending(get_migrate(), session.connection())
        if was_idle:
            session.rollback()
        return found


def _pending(migrate: Migrate, connection: Connection) -> tuple[PendingHistory, ...]:
    found = []
    for history in migrate.histories:
        current = current_heads(connection, history)
        if frozenset(current) == migrate.read(history, written_heads):
            continue
        # Imports Alembic, which a service whose database is at head does without.
        from pegboard.migrations.script_directory import read_revisions  # noqa: PLC0415

        revisions = migrate.read(history, read_revisions)
        if set(current) != revisions.heads and revisions.known.issuperset(current):
            head = ", ".join(sorted(revisions.heads))
            found.append(PendingHistory(history.name, ", ".join(current) or None, head))
    return tuple(found)


@dataclass(frozen=True)
class HistoryState:
    """Where a database is in a history, compared with the revision files."""

    history: str
    """The name of the history."""
    current: tuple[str, ...]
    """The revisions that the database is at."""
    heads: tuple[str, ...]
    """The newest revisions of the files."""
    state: Literal["head", "behind", "ahead"]
    """Whether an upgrade would do something, or the database knows revisions without a file."""


def history_states(app: Flask) -> tuple[HistoryState, ...]:
    """Return the state of each history; changes nothing, and makes no file of SQLite."""
    from pegboard.migrations.script_directory import read_revisions  # noqa: PLC0415 - as above

    found = []
    with ensure_app_context(app):
        migrate, url = get_migrate(), db.engine.url
        is_file = url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}
        has_database = not is_file or Path(str(url.database)).exists()
        with db.engine.connect() if has_database else nullcontext() as connection:
            for history in migrate.histories:
                current = current_heads(connection, history) if connection else ()
                revisions = migrate.read(history, read_revisions)
                state: Literal["head", "behind", "ahead"] = "behind"
                if set(current) == revisions.heads:
                    state = "head"
                elif not revisions.known.issuperset(current):
                    state = "ahead"
                heads = tuple(sorted(revisions.heads))
                found.append(HistoryState(history.name, current, heads, state))
    return tuple(found)


def current_heads(connection: Connection, history: History) -> tuple[str, ...]:
    """Return the revisions that the database is at: one, unless branches are not yet merged."""
    if not inspect(connection).has_table(history.version_table):
        return ()
    versions = table(history.version_table, column("version_num"))
    return tuple(connection.scalars(select(versions.c.version_num)))


def unknown_revisions(directory: "ScriptDirectory", current: Sequence[str]) -> tuple[str, ...]:
    """Return those of some revisions that have no file."""
    known = {script.revision for script in directory.walk_revisions()}
    return tuple(sorted({*current} - known))


def reject_unknown_revisions(
    history: History, directory: "ScriptDirectory", current: tuple[str, ...]
) -> None:
    """Raise `MigrationError` if the database is at a revision that has no file."""
    if unknown := unknown_revisions(directory, current):
        message = (
            f"{history.name}: the database is at {', '.join(unknown)}, which the installed version "
            f"does not know: a newer version, or another state of its files, has applied it. With "
            f"that one, pegboard db downgrade {history.name} goes back. If the file is lost, "
            f"pegboard db stamp --purge {history.name} REVISION records one that is there, and "
            f"changes no table."
        )
        raise MigrationError(message)

"""Where the database stands, compared with the revision files."""

from dataclasses import dataclass

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection

from pegboard.database import db
from pegboard.migrations.histories import (
    History,
    Migrate,
    MigrationError,
    context_of,
    get_migrate,
)


@dataclass(frozen=True)
class Pending:
    """A history that has revisions which the database lacks."""

    history: str
    current: str | None
    head: str

    def __str__(self) -> str:
        return (
            f"{self.history}: the database is at {self.current or 'no revision'}, not {self.head}"
        )


def pending(app: Flask) -> tuple[Pending, ...]:
    """Return the histories that `upgrade` would bring further.

    A database that is ahead of the code, as while a new version replaces an old one, is none.
    """
    with context_of(app):
        session = db.session()
        was_idle = not session.in_transaction()
        # The session's connection, as who asks may hold it already: a second could be out of reach.
        found = _pending(get_migrate(), session.connection())
        if was_idle:
            session.rollback()
        return found


def _pending(migrate: Migrate, connection: Connection) -> tuple[Pending, ...]:
    found = []
    for history in migrate.histories:
        revisions = migrate.revisions(history)
        current = current_heads(connection, history)
        if set(current) != revisions.heads and revisions.known.issuperset(current):
            head = ", ".join(sorted(revisions.heads))
            found.append(Pending(history.name, ", ".join(current) or None, head))
    return tuple(found)


def current_heads(connection: Connection, history: History) -> tuple[str, ...]:
    """Return the revisions that the database is at: one, unless branches are not yet merged."""
    options = {"version_table": history.version_table}
    return MigrationContext.configure(connection, opts=options).get_current_heads()


def reject_unknown(history: History, directory: ScriptDirectory, current: tuple[str, ...]) -> None:
    """Raise if the database is at a revision that is not among the files."""
    known = {script.revision for script in directory.walk_revisions()}
    if unknown := sorted({*current} - known):
        message = (
            f"{history.name}: the database is at {', '.join(unknown)}, which the installed version "
            f"does not know; a newer one has been here. Install that one; with it, "
            f"pegboard db downgrade {history.name} leads back."
        )
        raise MigrationError(message)

"""Bringing the database to a revision, one revision at a time."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from alembic.script.revision import MultipleHeads, ResolutionError, RevisionError, RevisionMap
from alembic.util import CommandError
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pegboard.migrations.histories import (
    History,
    MigrationError,
    chosen,
    context_of,
    get_migrate,
    label_of,
    revisions_of,
)
from pegboard.migrations.lock import PAUSE, Report, migration_lock
from pegboard.migrations.status import current_heads, reject_unknown

logger = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds in which a revision is tried again when another transaction is in its way."""

_LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK = "40P01"


def upgrade(
    app: Flask, name: str | None = None, revision: str = "head", *, report: Report = logger.info
) -> None:
    """Bring all histories, or the one of that name, to a revision; dependencies first.

    Several processes may do so at once. A revision that fails is undone, and those before it stay.
    """
    with context_of(app), migration_lock(report) as connection:
        for history in chosen(get_migrate(), name):
            _upgrade(history, revision, connection, report)


def downgrade(
    app: Flask, name: str | None = None, revision: str = "-1", *, report: Report = logger.info
) -> None:
    """Take all histories, or the one of that name, back to a revision; dependents first."""
    with context_of(app), migration_lock(report) as connection:
        for history in reversed(chosen(get_migrate(), name)):
            take_back(history, revision, connection, report)


def stamp(
    app: Flask,
    name: str | None = None,
    revision: str = "head",
    *,
    purge: bool = False,
    report: Report = logger.info,
) -> None:
    """Note that the database is at a revision, without applying anything."""
    with context_of(app), migration_lock(report) as connection:
        for history in chosen(get_migrate(), name):
            config = get_migrate().configuration(history)
            config.attributes["connection"] = connection
            with explained(history):
                command.stamp(config, revision, purge=purge)
            now = ", ".join(current_heads(connection, history)) or "no revision"
            connection.rollback()
            report(f"{history.name}: taken to be at {now}")


def _upgrade(history: History, revision: str, connection: Connection, report: Report) -> None:
    config, directory = _open(history, connection)
    current = current_heads(connection, history)
    connection.rollback()
    reject_unknown(history, directory, current)
    with explained(history):
        missing = list(directory.iterate_revisions(revision, current, implicit_base=True))
    if not missing:
        place = ", ".join(current) or "there are no revisions"
        report(f"{history.name}: already at {revision} ({place})")
        return
    # By its own id from here on: `+1` would lead one further from every revision applied.
    target = missing[0].revision

    def choose(heads: tuple[str, ...]) -> Script | None:
        # Looked up anew in the transaction that applies it: on SQLite, another process may have
        # been here between two revisions.
        missing = list(directory.iterate_revisions(target, heads, implicit_base=True))
        return missing[-1] if missing else None

    while script := _step(config, directory, choose, MigrationStep.upgrade_from_script, report):
        report(f"{history.name}: {label_of(script)} (applied)")


def take_back(history: History, revision: str, connection: Connection, report: Report) -> None:
    """Undo the revisions of a history down to that one."""
    config, directory = _open(history, connection)
    current = current_heads(connection, history)
    connection.rollback()
    reject_unknown(history, directory, current)
    if not current:
        report(f"{history.name}: nothing to take back")
        return
    with explained(history):
        surplus = list(directory.iterate_revisions(current, revision, select_for_downgrade=True))
    for script in surplus:

        def choose(heads: tuple[str, ...], script: Script = script) -> Script | None:
            return script if script.revision in heads else None

        if _step(config, directory, choose, MigrationStep.downgrade_from_script, report):
            report(f"{history.name}: {label_of(script)} (taken back)")
    if not surplus:
        report(f"{history.name}: already at {revision} ({', '.join(current)})")


def _open(history: History, connection: Connection) -> tuple[Config, ScriptDirectory]:
    config = get_migrate().configuration(history)
    config.attributes["connection"] = connection
    return config, revisions_of(config)


def _step(
    config: Config,
    directory: ScriptDirectory,
    choose: Callable[[tuple[str, ...]], Script | None],
    step: Callable[[RevisionMap, Script], RevisionStep],
    report: Report,
) -> Script | None:
    """Apply or take back one revision, in a transaction; return it, or None if none is left."""
    scripts: list[Script] = []

    def steps(heads: tuple[str, ...], _context: MigrationContext) -> list[RevisionStep]:
        scripts[:] = filter(None, [choose(heads)])
        return [step(directory.revision_map, script) for script in scripts]

    history: History = config.attributes["history"]
    connection: Connection = config.attributes["connection"]
    deadline = time.monotonic() + PATIENCE
    tries = 0
    while True:
        try:
            with EnvironmentContext(config, directory, fn=steps):
                directory.run_env()
        except Exception as error:
            if not connection.invalidated:
                connection.rollback()
            if not _is_in_the_way(error) or time.monotonic() > deadline:
                raise _failure(history, scripts, error) from error
            if not tries:
                report(f"{history.name}: another transaction is in the way; trying again")
            tries += 1
            time.sleep(PAUSE)
        else:
            connection.rollback()  # what was only read
            return scripts[0] if scripts else None


def _is_in_the_way(error: Exception) -> bool:
    """Return whether another transaction held a lock for longer than one should wait in a queue.

    Whoever waits for a table's lock makes all others wait behind him, so waiting is short and
    often, not long.
    """
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return getattr(cause, "pgcode", None) in {_LOCK_NOT_AVAILABLE, _DEADLOCK}


def _failure(history: History, scripts: Sequence[Script], error: Exception) -> MigrationError:
    if isinstance(error, DBAPIError):
        reason = str(error.orig).strip()
    else:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if not scripts:
        return MigrationError(f"{history.name}: {reason}")
    script = scripts[0]
    return MigrationError(
        f"{history.name}: revision {label_of(script)} failed and was undone; the database is at "
        f"the revision before it.\n  file: {script.path}\n  reason: {reason}"
    )


@contextmanager
def explained(history: History) -> Iterator[None]:
    """Say in plain words, and of which history, what Alembic finds wrong with a revision."""
    try:
        yield
    except MultipleHeads as error:
        message = (
            f"{history.name}: {' and '.join(error.heads)} both are the newest revision; unite them "
            f"with pegboard db merge {history.name}"
        )
        raise MigrationError(message) from error
    except ResolutionError as error:
        message = f"{history.name}: there is no revision {error.argument}"
        raise MigrationError(message) from error
    except (CommandError, RevisionError) as error:
        message = f"{history.name}: {error}"
        raise MigrationError(message) from error

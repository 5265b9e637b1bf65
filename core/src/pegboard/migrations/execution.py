"""Upgrading and downgrading the database, one revision in one transaction at a time."""

import inspect
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import CoroutineType, GeneratorType

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from alembic.script.revision import RevisionMap
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pegboard.callables import deferral_in
from pegboard.migrations.ahead import Ahead, find_ahead
from pegboard.migrations.alembic_errors import translate_alembic_errors
from pegboard.migrations.committed import Committed, watch_commits
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.failure import describe_failure, describe_remains
from pegboard.migrations.foreign_tables import ALLOW_FOREIGN_ATTRIBUTE
from pegboard.migrations.histories import (
    History,
    ensure_app_context,
    get_migrate,
)
from pegboard.migrations.lock import RETRY_PAUSE, Report, migration_lock
from pegboard.migrations.ownership import downgraded_tables
from pegboard.migrations.record import write_record
from pegboard.migrations.referring import reject_foreign_keys_of, reject_foreign_keys_to
from pegboard.migrations.script_directory import (
    read_script_directory,
    require_usable,
    revision_label,
)
from pegboard.migrations.search_index import REPORT_ATTRIBUTE
from pegboard.migrations.status import current_heads, reject_unknown_revisions
from pegboard.problems import PLUGIN_FAULTS

logger = logging.getLogger(__name__)

LOCK_CONFLICT_TIMEOUT = 300.0
"""Seconds for which a revision is retried while another transaction holds a lock it needs."""

_CONTEXTS = (AbstractContextManager, AbstractAsyncContextManager)
_LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK = "40P01"


def upgrade(
    app: Flask,
    name: str | None = None,
    revision: str = "head",
    *,
    allow_foreign: bool = False,
    report: Report = logger.info,
) -> tuple[Ahead, ...]:
    """Upgrade all histories, or only the named one, to a revision; dependencies first.

    Returns those whose database a newer release has migrated, of which nothing is applied.

    Several processes may call it at once: one does the work, the others wait for it. A revision
    that fails is rolled back, the revisions before it stay applied, and `MigrationError` is raised.
    A revision that touches a table of another plugin fails, unless `allow_foreign` is true. So does
    one history alone whose models refer to a table of another plugin that is not there yet.
    `report` is called with one line per revision.
    """
    found: list[Ahead] = []
    with ensure_app_context(app), migration_lock(report) as connection:
        migrate = get_migrate()
        selected = migrate.select(name)
        require_usable(migrate.histories, selected if revision == "head" else ())
        for history in selected:
            if name is not None and revision in {"head", "heads"}:
                reject_foreign_keys_of(history, migrate, connection)
            config = _configuration(history, connection, allow_foreign=allow_foreign)
            found += filter(None, [_upgrade_history(config, revision, report)])
    return tuple(found)


def downgrade(
    app: Flask,
    name: str | None = None,
    revision: str = "-1",
    *,
    allow_foreign: bool = False,
    report: Report = logger.info,
) -> None:
    """Downgrade all histories, or only the named one, to a revision; dependents first.

    A revision that fails is rolled back, and `MigrationError` is raised. Unless `allow_foreign` is
    true, it is raised, too, where a revision touches a table of another plugin, and before the
    first revision of a history where another plugin's table refers to one that would be dropped.
    """
    with ensure_app_context(app), migration_lock(report) as connection:
        selected = get_migrate().select(name)
        require_usable(selected)
        for history in reversed(selected):
            downgrade_history(history, revision, connection, report, allow_foreign=allow_foreign)


def stamp(
    app: Flask,
    name: str | None = None,
    revision: str = "head",
    *,
    purge: bool = False,
    report: Report = logger.info,
) -> None:
    """Write a revision into the version tables without running any; `purge` empties them first."""
    with ensure_app_context(app), migration_lock(report) as connection:
        for history in get_migrate().select(name):
            config = get_migrate().configuration(history)
            config.attributes["connection"] = connection
            with translate_alembic_errors(history):
                command.stamp(config, revision, purge=purge)
            now = ", ".join(current_heads(connection, history)) or "no revision"
            connection.rollback()
            write_record(connection, history, get_migrate(), read_script_directory(config))
            report(f"{history.name}: stamped as {now}")


def _upgrade_history(config: Config, revision: str, report: Report) -> Ahead | None:
    history: History = config.attributes["history"]
    connection: Connection = config.attributes["connection"]
    directory = read_script_directory(config)
    current = current_heads(connection, history)
    ahead = find_ahead(connection, history, directory, current)
    connection.rollback()
    if ahead:
        report(str(ahead))
        return ahead
    try:
        _apply(config, directory, current, revision, report)
    finally:
        if not connection.invalidated:
            write_record(connection, history, get_migrate(), directory)
    return None


def _apply(
    config: Config,
    directory: ScriptDirectory,
    current: tuple[str, ...],
    revision: str,
    report: Report,
) -> None:
    history: History = config.attributes["history"]
    with translate_alembic_errors(history):
        missing = list(directory.iterate_revisions(revision, current, implicit_base=True))
    if not missing:
        place = ", ".join(current) or "there are no revisions"
        report(f"{history.name}: already at {revision} ({place})")
        return
    # An absolute id from here on: `+1` is relative to a head that moves with each revision.
    target = missing[0].revision

    def choose(heads: tuple[str, ...]) -> Script | None:
        # Read again inside the transaction that applies it: SQLite has no migration lock, so
        # another process may have applied revisions since the last one.
        missing = list(directory.iterate_revisions(target, heads, implicit_base=True))
        return missing[-1] if missing else None

    while script := _run_revision(
        config, directory, choose, MigrationStep.upgrade_from_script, report
    ):
        report(f"{history.name}: {revision_label(script)} (applied)")


def downgrade_history(
    history: History,
    revision: str,
    connection: Connection,
    report: Report,
    *,
    allow_foreign: bool = False,
) -> None:
    """Downgrade one history to a revision, on a connection that holds the migration lock."""
    config = _configuration(history, connection, allow_foreign=allow_foreign)
    directory = read_script_directory(config)
    current = current_heads(connection, history)
    connection.rollback()
    reject_unknown_revisions(history, directory, current)
    if not current:
        report(f"{history.name}: nothing to downgrade")
        return
    with translate_alembic_errors(history):
        surplus = list(directory.iterate_revisions(current, revision, select_for_downgrade=True))
    if not allow_foreign:
        migrate, ids = get_migrate(), [script.revision for script in surplus]
        gone = downgraded_tables(history, migrate, current, ids)
        reject_foreign_keys_to(gone, history, migrate, connection, applied=current)
    for script in surplus:

        def choose(heads: tuple[str, ...], script: Script = script) -> Script | None:
            return script if script.revision in heads else None

        if _run_revision(config, directory, choose, MigrationStep.downgrade_from_script, report):
            report(f"{history.name}: {revision_label(script)} (downgraded)")
    if not surplus:
        report(f"{history.name}: already at {revision} ({', '.join(current)})")
    write_record(connection, history, get_migrate(), directory)


def _configuration(history: History, connection: Connection, *, allow_foreign: bool) -> Config:
    config = get_migrate().configuration(history)
    config.attributes.update({"connection": connection, ALLOW_FOREIGN_ATTRIBUTE: allow_foreign})
    return config


def _run_revision(
    config: Config,
    directory: ScriptDirectory,
    choose: Callable[[tuple[str, ...]], Script | None],
    step: Callable[[RevisionMap, Script], RevisionStep],
    report: Report,
) -> Script | None:
    """Apply or downgrade one revision in a transaction of its own, and return it.

    `choose` is given the current heads and returns the revision, or None if none is left.
    """
    scripts: list[Script] = []

    def steps(heads: tuple[str, ...], _context: MigrationContext) -> list[RevisionStep]:
        scripts[:] = filter(None, [choose(heads)])
        found = [step(directory.revision_map, script) for script in scripts]
        for one in found:
            one.migration_fn = _completed(one.migration_fn)
        return found

    history: History = config.attributes["history"]
    connection: Connection = config.attributes["connection"]
    config.attributes[REPORT_ATTRIBUTE] = report
    deadline = time.monotonic() + LOCK_CONFLICT_TIMEOUT
    tries = 0
    while True:
        committed = Committed(history.version_table)
        try:
            with (
                watch_commits(connection, committed),
                EnvironmentContext(config, directory, fn=steps),
            ):
                directory.run_env()
        except PLUGIN_FAULTS as error:
            if not connection.invalidated:
                connection.rollback()
                committed.roll_back_rest(connection)
            committed.finish()
            remains = describe_remains(committed, connection)
            # What was committed would fail when it is repeated.
            if remains or not _is_lock_conflict(error) or time.monotonic() > deadline:
                raise describe_failure(history, scripts, error, remains) from error
            if not tries:
                report(f"{history.name}: another transaction holds a lock it needs; retrying")
            tries += 1
            time.sleep(RETRY_PAUSE)
        else:
            connection.rollback()  # ends the transaction that only read the version table
            return scripts[0] if scripts else None


def _completed(run: Callable[..., object]) -> Callable[..., object]:
    """Return a step of a revision that fails if its function has done nothing yet."""

    def complete(**options: object) -> object:
        result = run(**options)
        # The function of a context manager is a generator.
        begun = getattr(result, "gen", result) if isinstance(result, _CONTEXTS) else result
        if not _has_run(begun) and (deferral := deferral_in(begun)):
            message = f"it is {deferral.text}"
            raise MigrationError(message)
        return result

    return complete


def _has_run(result: object) -> bool:
    """Return whether a generator or coroutine has begun, as one has that a revision runs itself."""
    match result:
        case GeneratorType():
            return inspect.getgeneratorstate(result) != inspect.GEN_CREATED
        case CoroutineType():
            return inspect.getcoroutinestate(result) != inspect.CORO_CREATED
    return False


def _is_lock_conflict(error: BaseException) -> bool:
    """Return whether the revision failed because it could not get a lock in time.

    A transaction that waits for a table's lock makes all later ones wait behind it, so migrations
    wait briefly and often rather than long.
    """
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return getattr(cause, "pgcode", None) in {_LOCK_NOT_AVAILABLE, _DEADLOCK}

"""Where a transaction of the session begins, is retried and ends: `transactional`."""

import functools
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pegboard.database.engine import db
from pegboard.database.postgresql import has_written as postgresql_has_written
from pegboard.database.sqlite import BEGIN_IMMEDIATE_OPTION
from pegboard.database.sqlite import has_written as sqlite_has_written

P = ParamSpec("P")
R = TypeVar("R")

MAX_RETRIES = 3

RETRY_WITHIN = 4.0
"""Seconds after the start of the first attempt within which another may start."""

_FIRST_PAUSE = 0.02
_DEADLOCK_OR_SERIALIZATION_FAILURE = {"40P01", "40001"}
_ACTIVE = "pegboard_transaction"
_MADE = "_pegboard_transactional"

_HAS_WRITTEN = {"postgresql": postgresql_has_written, "sqlite": sqlite_has_written}


def transactional(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function in one transaction: committed when it returns, rolled back when it raises.

    Called inside another transactional function, it joins that one's transaction. When the
    database rolls the transaction back because of another one (a deadlock, a serialization
    failure, a busy SQLite), the whole function is run again, up to three times within four
    seconds, so it should do nothing that a rollback does not undo. It is not run again after a
    lost connection: the commit may have happened. On a view it stands below the route.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        session = db.session()
        if _ACTIVE in session.info:
            return function(*args, **kwargs)
        # Changes made before the call are committed with it, but cannot be repeated.
        return _run(
            session, functools.partial(function, *args, **kwargs), repeatable=not _is_used(session)
        )

    with suppress(AttributeError):  # a bound method takes no attributes
        setattr(function, _MADE, run)
    return run


def transactional_made_of(function: object) -> Callable[..., object] | None:
    """Return what `transactional` has made of a function, or None if it was not applied to it."""
    made: Callable[..., object] | None = getattr(function, _MADE, None)
    # Decorators copy the attributes of a function to the one they return.
    return made if getattr(made, "__wrapped__", None) is function else None


def _is_used(session: Session) -> bool:
    """Return whether the session holds unsaved changes; end its transaction if it only read."""
    if session.new or session.dirty or session.deleted:
        return True
    if session.in_transaction():
        if _has_written(session):
            return True
        session.rollback()
    # Loaded objects may have been changed by other transactions since.
    session.expire_all()
    return False


def holds_writes() -> bool:
    """Return whether the session has a transaction that holds what another one may wait for.

    It has changed or locked rows, or is that of `transactional`, which on SQLite takes the lock of
    all writers at its beginning. Needs an app context; on PostgreSQL it asks the database.
    """
    if not db.session.registry.has():
        return False
    session = db.session()
    if not session.in_transaction() or not session.is_active:  # a flush that fails rolls back
        return False
    try:
        return _ACTIVE in session.info or _has_written(session)
    except DBAPIError:  # after a statement that failed, PostgreSQL answers nothing
        return True


def _has_written(session: Session) -> bool:
    connection = session.connection()
    has_written = _HAS_WRITTEN.get(connection.dialect.name)
    return has_written is None or has_written(connection)


def _run(session: Session, call: Callable[[], R], *, repeatable: bool) -> R:
    began = time.monotonic()
    retries = 0
    while True:
        transaction = session.begin() if repeatable else session.get_transaction()
        session.info[_ACTIVE] = True
        try:
            if repeatable and session.get_bind().dialect.name == "sqlite":
                session.connection(execution_options={BEGIN_IMMEDIATE_OPTION: True})
            answer = call()
            _commit(session)
        except BaseException as error:
            repeatable = (
                repeatable
                and _is_transient(error)
                and retries < MAX_RETRIES
                and time.monotonic() - began < RETRY_WITHIN
                # A function that has committed by itself must not do that part twice.
                and session.get_transaction() is transaction
            )
            session.rollback()
            if not repeatable:
                raise
        else:
            return answer
        finally:
            del session.info[_ACTIVE]
        retries += 1
        time.sleep(_FIRST_PAUSE * 2**retries * random.uniform(0.5, 1.5))  # noqa: S311 - no secret


def _commit(session: Session) -> None:
    """Commit without expiring loaded objects, so that the caller can use them without a query."""
    earlier, session.expire_on_commit = session.expire_on_commit, False
    try:
        session.commit()
    finally:
        session.expire_on_commit = earlier


def _is_transient(error: BaseException) -> bool:
    """Return whether the database has rolled back, and the same work may succeed if repeated."""
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    state = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
    return state in _DEADLOCK_OR_SERIALIZATION_FAILURE

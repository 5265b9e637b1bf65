"""Giving up the connections to a server that has become read-only.

After a failover the old primary may go on answering, as a standby or with
`default_transaction_read_only`. Until they are closed, connections to it would fail every write,
and read what the new primary has long changed.
"""

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import Engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.orm import Session

from pegboard.database.connection import WatchedConnection

READ_ONLY_TRANSACTION = "25006"
"""The SQLSTATE of a write in a read-only transaction."""

PAUSE = 1.0
"""Seconds for which the connections to other servers are kept after all were given up."""


class ReadOnlyServerError(Exception):
    """Raised when the database server accepts no writes."""


class Judge(Protocol):
    """Tells a read-only server from a read-only transaction."""

    def is_read_only(self, connection: WatchedConnection) -> bool:
        """Return whether the server of the connection accepts no writes."""


def init_failover(engine: Engine, judge: Judge) -> Callable[[], None]:
    """Treat a refused write as a lost connection, unless only the transaction is read-only.

    Returns the function that gives up all connections of the engine, at most once in `PAUSE`.
    """
    given_up_at = -math.inf

    def give_up() -> None:
        nonlocal given_up_at
        now = time.monotonic()
        # While the server stays read-only, each refused write would close what readers use.
        if now - given_up_at >= PAUSE:
            given_up_at = now
            # Also tells plugins with connections of their own, by the event `engine_disposed`.
            engine.dispose()

    @event.listens_for(engine, "handle_error")
    def note_refused_write(context: ExceptionContext) -> None:
        cause: Any = context.original_exception
        state = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
        if state != READ_ONLY_TRANSACTION or context.connection is None:
            return
        driver = context.connection.connection.driver_connection
        if isinstance(driver, WatchedConnection) and not judge.is_read_only(driver):
            return
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False
        give_up()

    return give_up


def check_server(session: Session) -> None:
    """Make a round trip to the database, and close all connections to a read-only server.

    Raises `ReadOnlyServerError` for one, and `DBAPIError` when the database does not answer.
    """
    engine = session.get_bind()
    if engine.dialect.name != "postgresql":
        session.execute(text("SELECT 1"))
    elif session.scalar(text("SHOW transaction_read_only")) == "on":
        session.invalidate()
        if isinstance(engine, Engine):
            engine.dispose()
        message = "the server is read-only"
        raise ReadOnlyServerError(message)

"""Coherence: what a transaction has written is forgotten before the write is acknowledged.

It watches the database connections of an app, below sessions, so that whatever writes is seen: a
flush, a bulk statement, Core, a text, in a view, a command or another plugin. A commit becomes:
fence what was touched, commit, release, and return when no reader can get an older value.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Executable, event
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import Delete, Insert, Update
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase

from pegboard.cache.acknowledgement import acknowledge, watch_sessions
from pegboard.cache.strategy import CacheStrategy
from pegboard.cache.tables import Tables, Writes

_TOUCHED = "pegboard_touched"
_FENCE = "pegboard_fence"
_WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
_COMMITTING = re.compile(r"\s*(COMMIT|END)\b", re.IGNORECASE)


class WriterTransaction:
    """The `Transaction` of a strategy: statements on the connection that is committing."""

    def __init__(
        self,
        connection: PoolProxiedConnection,
        dialect: Dialect,
        commit: Callable[[PoolProxiedConnection], None],
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._commit = commit

    def execute(self, statement: Executable) -> Sequence[Any]:
        """Run a statement; returns its rows."""
        compiled = statement.compile(  # type: ignore[attr-defined]  # what can be run can be compiled
            dialect=self._dialect, compile_kwargs={"literal_binds": True}
        )
        cursor = self._connection.cursor()
        try:
            cursor.execute(str(compiled))
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def commit(self) -> None:
        """Commit what was executed."""
        self._commit(self._connection)


class Coherence:
    """What the connections of one engine do at a statement, a commit and a rollback."""

    def __init__(self, dialect: Dialect, strategy: CacheStrategy, tables: Tables) -> None:
        self._dialect = dialect
        self._strategy = strategy
        self._tables = tables
        self._commit = dialect.do_commit
        self._rollback = dialect.do_rollback

    def note(
        self,
        connection: Connection,
        _cursor: object,
        text: str,
        _parameters: object,
        context: Any,
        _many: object,
    ) -> None:
        """Note what a statement touches."""
        compiled = context.compiled
        statement = getattr(compiled, "statement", None)
        is_dml = isinstance(statement, Insert | Update | Delete)
        if not is_dml and _only_reads(statement, compiled, text):
            return
        writes: Writes = connection.info.setdefault(_TOUCHED, Writes())
        if is_dml:
            self._tables.note(writes, statement, compiled, context.compiled_parameters)
        if not is_dml or compiled.ctes:
            self._tables.note_text(writes, text)
        if writes and (_is_autocommit(connection) or _COMMITTING.match(text)):
            # The statement commits by itself.
            del connection.info[_TOUCHED]
            self._abandon(connection.info)
            self._fence(connection.connection, writes)

    def release(self, connection: Connection, *_: object) -> None:
        """Release what a statement that commits by itself has fenced."""
        if (fenced := connection.info.pop(_FENCE, None)) is not None:
            acknowledge(self._strategy.release(*fenced))

    def commit(self, connection: PoolProxiedConnection) -> None:
        """Fence, commit, release, acknowledge."""
        writes: Writes | None = connection.info.pop(_TOUCHED, None)
        if not writes:
            self._commit(connection)
            return
        self._fence(connection, writes)
        self._commit(connection)
        acknowledge(self._strategy.release(*connection.info.pop(_FENCE)))

    def rollback(self, connection: PoolProxiedConnection) -> None:
        """Forget what was touched."""
        self._rollback(connection)
        # The connection with which a dialect takes its first look at a server has no `info`.
        with suppress(NotImplementedError):
            connection.info.pop(_TOUCHED, None)
            self._abandon(connection.info)

    def _fence(self, connection: PoolProxiedConnection, writes: Writes) -> None:
        transaction = WriterTransaction(connection, self._dialect, self._commit)
        fence = self._strategy.fence(writes.touched(), transaction)
        connection.info[_FENCE] = (fence, transaction)

    def _abandon(self, info: dict[Any, Any]) -> None:
        """Lift the fence of a commit that failed.

        The connection has answered since, so the commit is not under way any more. Of one that is
        lost nobody knows whether the server has committed: there the fence stays until it expires.
        """
        if (fenced := info.pop(_FENCE, None)) is not None:
            self._strategy.abandon(fenced[0])


def init_coherence(engine: Engine, strategy: CacheStrategy, tables: Tables) -> None:
    """Watch the engine's connections, and let no commit return before it is safe to."""
    coherence = Coherence(engine.dialect, strategy, tables)
    event.listen(engine, "before_cursor_execute", coherence.note)
    event.listen(engine, "after_cursor_execute", coherence.release)
    # SQLAlchemy has an event before a commit, and none right after it.
    engine.dialect.do_commit = coherence.commit  # type: ignore[method-assign, assignment]  # see above
    engine.dialect.do_rollback = coherence.rollback  # type: ignore[method-assign, assignment]  # also at a reset
    watch_sessions()


def _only_reads(statement: Any, compiled: Any, text: str) -> bool:
    if isinstance(statement, SelectBase):
        # A locking SELECT reads, however it ends.
        return not any(isinstance(cte.element, UpdateBase) for cte in compiled.ctes or ())
    start = text[:6].upper()
    if start == "SELECT":
        return ";" not in text.rstrip("; \n")
    return start.startswith("WITH") and not _WRITING.search(text)


def _is_autocommit(connection: Connection) -> bool:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return True
    return getattr(connection.connection.driver_connection, "autocommit", None) is True

"""Coherence: what a transaction has written is invalidated before the write is acknowledged.

It watches the database connections of an app, below SQLAlchemy's sessions, so that every write is
seen: a flush, a bulk statement, Core, a text, in a view, a command or another plugin. A commit
becomes: fence what was touched, commit, release, and return when no reader can get an older value.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from flask import Flask
from sqlalchemy import Connection, Dialect, Engine, Executable, event
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import Delete, Insert, Update
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase, TextualSelect

from pegboard.cache.acknowledgement import acknowledge, watch_sessions
from pegboard.cache.invalidation import RowWrites, Tables
from pegboard.cache.row_reader import RowReader, is_autocommit, is_of_reader
from pegboard.cache.strategy import CacheStrategy, SharedStrategy
from pegboard.cache.writes import Writes
from pegboard.database import IS_OF_PLATFORM, ignores, of_platform, only_reads

EXTENSION = "pegboard.coherence"

_TOUCHED = "pegboard_touched"
_FENCE = "pegboard_fence"
_NOTED = "pegboard_noted"
_AFTER = "pegboard_after"
_READING = re.compile(
    # Not comments that hold others, as databases do not agree on where these end.
    r"(?:\s|\(|--[^\n]*\n|/\*(?:(?!/\*|\*/).)*\*/)*(SELECT|WITH|EXPLAIN)\b",
    re.IGNORECASE | re.DOTALL,
)
"""The beginning of a text that, in most cases, only reads."""

_WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|EXECUTE)\b", re.IGNORECASE)
_COMMITTING = re.compile(r"\bCOMMIT\b|\A\s*END\b", re.IGNORECASE)


_MOST_TEXTS = 32
_texts: WeakKeyDictionary[Dialect, dict[Executable, str]] = WeakKeyDictionary()


def _text_of(statement: Executable, dialect: Dialect) -> str:
    """Return a statement, its values included, as a text; a strategy has a few, always the same."""
    known = _texts.setdefault(dialect, {})
    text = known.get(statement)
    if text is None:
        compiled = statement.compile(  # type: ignore[attr-defined]  # what can be run can be compiled
            dialect=dialect, compile_kwargs={"literal_binds": True}
        )
        if len(known) >= _MOST_TEXTS:
            known.clear()
        text = known[statement] = str(compiled)
    return text


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
        cursor = self._connection.cursor()
        try:
            # The writer, such as a migration, has not asked for it.
            with of_platform():
                cursor.execute(_text_of(statement, self._dialect))
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def commit(self) -> None:
        """Commit what was executed."""
        self._commit(self._connection)


class Coherence:
    """What the connections of one engine do at a statement, a commit and a rollback."""

    def __init__(self, engine: Engine, strategy: CacheStrategy, tables: Tables) -> None:
        self.engine = engine
        dialect = self._dialect = engine.dialect
        self.strategy = strategy
        self._tables = tables
        self._commit = dialect.do_commit
        self._prepare = dialect.do_prepare_twophase
        self._commit_prepared: Callable[..., None] = dialect.do_commit_twophase
        self._rollback = dialect.do_rollback
        self._rollback_prepared = dialect.do_rollback_twophase
        self._shared = strategy if isinstance(strategy, SharedStrategy) else None

    @ignores(only_reads)
    def note(
        self,
        connection: Connection,
        _cursor: object,
        text: str,
        parameters: Any,
        context: Any,
        _many: object,
    ) -> tuple[str, Any]:
        """Note what a statement touches; returns the statement and its parameters as they are."""
        self._note(connection, text, context)
        return text, parameters

    def _note(self, connection: Connection, text: str, context: Any) -> None:
        compiled = context.compiled
        statement = getattr(compiled, "statement", None)
        is_dml = isinstance(statement, Insert | Update | Delete)
        if is_of_reader(context.execution_options) or IS_OF_PLATFORM.get():
            return
        if not is_dml and _only_reads(statement, compiled, text):
            return
        writes: Writes = connection.info.setdefault(_TOUCHED, Writes())
        # A statement that inserts many rows comes in several batches, each with all parameters.
        if is_dml and getattr(context, _NOTED, None) is not writes:
            setattr(context, _NOTED, writes)
            after = self._tables.note(
                writes, statement, compiled, context.compiled_parameters, RowReader(connection)
            )
            setattr(context, _AFTER, after)
        if not is_dml or compiled.ctes:
            self._tables.note_text(writes, text)
        commits = not is_dml and bool(_COMMITTING.search(text))
        if self._matters(writes) and (commits or is_autocommit(connection)):
            # The statement commits by itself. A text may not, or may commit only a part.
            if not commits:
                del connection.info[_TOUCHED]
            self._abandon(connection.info)
            self._fence(connection.connection, writes)

    @ignores(only_reads)
    def executed(
        self,
        connection: Connection,
        _cursor: object,
        _text: str,
        _parameters: object,
        context: Any,
        _many: object,
    ) -> None:
        """Note what can be seen only now, and release what the statement itself has committed."""
        if is_of_reader(context.execution_options) or IS_OF_PLATFORM.get():
            return
        for note in vars(context).pop(_AFTER, ()):
            note()
        self._release(connection.info)

    def row_writes(self, table: str, kind: str) -> RowWrites | None:
        """Return what writes of one row touch; see `Tables.row_writes`."""
        return self._tables.row_writes(table, kind)

    def transaction(self, connection: PoolProxiedConnection) -> WriterTransaction:
        """Return the transaction of a connection, as a strategy is given it."""
        return WriterTransaction(connection, self._dialect, self._commit)

    def commit(self, connection: PoolProxiedConnection) -> None:
        """Fence, commit, release, acknowledge."""
        self._fence_touched(connection)
        self._commit(connection)
        self._release(connection.info)

    def prepare(self, connection: Connection, xid: object) -> None:
        """Fence what a two-phase transaction has touched, while it still takes statements."""
        self._fence_touched(connection.connection)
        self._prepare(connection, xid)

    def commit_prepared(self, connection: Connection, *args: Any, recover: bool = False) -> None:
        """Commit a two-phase transaction, release, acknowledge."""
        if recover:
            self._fence_recovered(connection.connection)
        else:
            self._fence_touched(connection.connection)
        self._commit_prepared(connection, *args, recover=recover)
        self._release(connection.info)

    def _fence_recovered(self, connection: PoolProxiedConnection) -> None:
        """Fence everything, as another connection has written what is committed."""
        writes = Writes()
        self._tables.note_anything(writes)
        if self._matters(writes):
            self._fence(connection, writes)
            # Fencing may have turned caching off, which is not part of the prepared transaction.
            self._commit(connection)

    def _fence_touched(self, connection: PoolProxiedConnection) -> None:
        writes: Writes | None = connection.info.pop(_TOUCHED, None)
        if writes is not None and self._matters(writes):
            self._fence(connection, writes)

    def _release(self, info: dict[Any, Any]) -> None:
        if (fenced := info.pop(_FENCE, None)) is not None:
            acknowledge(self.strategy.release(*fenced), info)

    def _matters(self, writes: Writes) -> bool:
        """Return whether something of what is written may be cached, by any process."""
        return bool(writes) or (
            writes.is_elsewhere and self._shared is not None and self.fences_all()
        )

    def fences_all(self) -> bool:
        """Return whether other processes may cache rows of any table."""
        return self._shared is not None and self._shared.must_fence_all()

    def rollback(self, connection: PoolProxiedConnection) -> None:
        """Forget what was touched."""
        self._rollback(connection)
        # The connection on which a dialect first inspects a server has no `info`.
        with suppress(NotImplementedError):
            self._forget(connection.info)

    def rollback_prepared(self, connection: Connection, *args: Any, **kwargs: Any) -> None:
        """Forget what a two-phase transaction has touched."""
        self._rollback_prepared(connection, *args, **kwargs)
        self._forget(connection.info)

    def _forget(self, info: dict[Any, Any]) -> None:
        info.pop(_TOUCHED, None)
        self._abandon(info)

    def _fence(self, connection: PoolProxiedConnection, writes: Writes) -> None:
        transaction = WriterTransaction(connection, self._dialect, self._commit)
        fence = self.strategy.fence(writes.touched(), transaction)
        connection.info[_FENCE] = (fence, transaction)

    def _abandon(self, info: dict[Any, Any]) -> None:
        """Lift the fence of a commit that failed.

        The connection has answered since, so the commit is not under way any more. When the
        connection is lost, the server may have committed: then the fence stays until it expires.
        """
        if (fenced := info.pop(_FENCE, None)) is not None:
            self.strategy.abandon(fenced[0])


def init_coherence(app: Flask, engine: Engine, strategy: CacheStrategy, tables: Tables) -> None:
    """Watch the engine's connections, and let no commit return before it is safe to."""
    coherence = app.extensions[EXTENSION] = Coherence(engine, strategy, tables)
    # With `retval` the function itself is registered, by which others can tell whose it is.
    event.listen(engine, "before_cursor_execute", coherence.note, retval=True)
    event.listen(engine, "after_cursor_execute", coherence.executed)
    # SQLAlchemy has an event before a commit, but none right after it.
    dialect: Any = engine.dialect
    dialect.do_commit = coherence.commit
    dialect.do_rollback = coherence.rollback  # also at a reset
    dialect.do_prepare_twophase = coherence.prepare
    dialect.do_commit_twophase = coherence.commit_prepared
    dialect.do_rollback_twophase = coherence.rollback_prepared
    watch_sessions()


def get_coherence(app: Flask) -> Coherence | None:
    """Return what keeps the cache of an app coherent; None if nothing is cached."""
    found: Coherence | None = app.extensions.get(EXTENSION)
    return found


def _only_reads(statement: Any, compiled: Any, text: str) -> bool:
    if isinstance(statement, SelectBase) and not isinstance(statement, TextualSelect):
        # A SELECT ... FOR UPDATE reads, too.
        return not compiled.ctes or not any(
            isinstance(cte.element, UpdateBase | TextualSelect) for cte in compiled.ctes
        )
    if not (found := _READING.match(text)):
        return False
    if found[1].upper() == "SELECT":
        return ";" not in text.rstrip("; \n")
    return not _WRITING.search(text)

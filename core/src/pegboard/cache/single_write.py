"""Writes of one row, each by one statement that commits by itself.

The steps are those of any write: fence, commit, release, acknowledge. But nothing is watched, as
what such a statement touches is known before it is executed.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import psycopg2
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pegboard.cache.acknowledgement import acknowledge
from pegboard.cache.coherence import Coherence
from pegboard.cache.invalidation import RowWrites
from pegboard.cache.remote import RemoteFences, replies_of
from pegboard.cache.strategy import Touched, UnconfirmedError
from pegboard.database import CompiledStatement, UnreadableError, autocommit
from pegboard.redaction import reason_of
from pegboard.stages import Waiting


class SingleWrite:
    """An INSERT, UPDATE or DELETE of one row by its primary key, executed as often as needed."""

    def __init__(
        self, coherence: Coherence, writes: RowWrites, statement: CompiledStatement
    ) -> None:
        """Take a statement that returns the row which it has written, and what it touches."""
        self._coherence = coherence
        self._engine = coherence.engine
        self._strategy = coherence.strategy
        self._fences = self._strategy if isinstance(self._strategy, RemoteFences) else None
        self._writes = writes
        self._statement = statement

    async def execute(
        self, values: Mapping[str, Any], row_id: object, waiting: Waiting
    ) -> list[tuple[Any, ...]]:
        """Execute it as a transaction of its own; returns its rows.

        They are returned when the write may be acknowledged; if there are none, nothing was
        written. `row_id` is the primary key of a row that is there already. Raises as
        `CompiledStatement.execute` does, and `UnconfirmedError`.
        """
        touched = self._writes.touched(row_id)
        fences, prepared = self._fences, None
        if fences is not None and (touched.keys or touched.groups):
            prepared = fences.prepare_fence(touched)
        if fences is None or prepared is None:
            return await waiting.call(partial(self._execute_waiting, values, touched))
        fence = fences.complete_fence(prepared, await replies_of(waiting, prepared.commands))
        if fence is None:
            return await waiting.call(partial(self._execute_waiting, values, touched))
        rows = await self._execute_under(fence, values, waiting)
        if rows:
            commands = fences.prepare_release(fence)
            if commands is None or not fences.complete_release(
                fence, await replies_of(waiting, commands)
            ):
                await waiting.call(partial(self._release, fence))
        return rows

    async def _execute_under(
        self, fence: Any, values: Mapping[str, Any], waiting: Waiting
    ) -> list[tuple[Any, ...]]:
        """Execute it under a fence, which is lifted if nothing was written."""
        try:
            rows = await waiting.execute(self._engine, self._statement, values)
        except Exception as error:
            if not _is_lost(error):
                await waiting.call(partial(self._strategy.abandon, fence))
            raise
        if not rows:
            await waiting.call(partial(self._strategy.abandon, fence))
        return rows

    def _execute_waiting(
        self, values: Mapping[str, Any], touched: Touched
    ) -> list[tuple[Any, ...]]:
        """Do all of it on this thread, which waits."""
        coherence, strategy = self._coherence, self._strategy
        with autocommit(self._engine) as connection:
            if not (touched.keys or touched.groups or coherence.fences_all()):
                return self._statement.execute(connection, values)
            transaction = coherence.transaction(connection)
            fence = strategy.fence(touched, transaction)
            try:
                rows = self._statement.execute(connection, values)
            except Exception as error:
                if not _is_lost(error):
                    strategy.abandon(fence)
                raise
            if not rows:
                strategy.abandon(fence)
                return rows
            moment = strategy.release(fence, transaction)
        # With no connection held, as writers that wait must not empty the pool.
        acknowledge(moment, {})
        return rows

    def _release(self, fence: Any) -> None:
        """Release a fence by statements of its own, where Redis has not confirmed it."""
        try:
            with autocommit(self._engine) as connection:
                moment = self._strategy.release(fence, self._coherence.transaction(connection))
        except (psycopg2.Error, SQLAlchemyError) as error:
            raise UnconfirmedError(reason_of(error)) from error
        acknowledge(moment, {})


def _is_lost(error: Exception) -> bool:
    """Return whether the server may have committed: then the fence stays until it expires."""
    is_unanswered = isinstance(error, DBAPIError) and error.connection_invalidated
    return is_unanswered or isinstance(error, UnreadableError)

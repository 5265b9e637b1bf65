"""Keeping a revision in the transaction in which it is applied.

If it ended the transaction, what followed would be in another one that nobody commits, also the
note that the revision is applied: it would be run again, on what it has left. On another connection
it would wait for the locks of its own transaction, and nothing would be rolled back with it.
"""

import inspect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_stack

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event

from pegboard.migrations.errors import MigrationError, line_in
from pegboard.migrations.histories import History
from pegboard.migrations.revision_faults import running_line

_AUTOCOMMIT_BLOCK = inspect.unwrap(MigrationContext.autocommit_block).__code__


@contextmanager
def keep_transaction(connection: Connection, history: History) -> Iterator[None]:
    """Raise `MigrationError` if a revision of the history leaves the connection's transaction.

    That is what commits it or rolls it back, and what executes a statement on another connection of
    its engine. It is raised at once, and at the end of the block if the revision has caught it. A
    rollback on the way of another error is only told if the revision has caught that one. Alembic's
    `autocommit_block` may commit.
    """
    guard = _Guard(connection, history)
    event.listen(connection.engine, "before_cursor_execute", guard.refuse_other)
    event.listen(connection, "commit", guard.refuse_commit)
    event.listen(connection, "rollback", guard.refuse_rollback)
    try:
        yield
    except Exception as error:
        if guard.refusal and (guard.has_raised or not line_in(error, history.versions)):
            raise guard.refusal from error
        raise
    finally:
        event.remove(connection.engine, "before_cursor_execute", guard.refuse_other)
        event.remove(connection, "commit", guard.refuse_commit)
        event.remove(connection, "rollback", guard.refuse_rollback)
    if guard.refusal:
        raise guard.refusal


class _Guard:
    """Refuses what leaves a transaction while a revision is run."""

    def __init__(self, connection: Connection, history: History) -> None:
        self._connection = connection
        self._history = history
        self._thread = threading.get_ident()
        self.refusal: MigrationError | None = None
        """The first one."""
        self.has_raised = False

    def refuse_commit(self, connection: Connection) -> None:
        """Raise an error before a commit, if it is the revision's."""
        if not self._note_end("commits", "commit"):
            return
        # SQLAlchemy does not roll back what it has begun to commit.
        connection.dialect.do_rollback(connection.connection)
        self._raise()

    def refuse_rollback(self, _connection: Connection) -> None:
        """Raise an error before a rollback, if it is the revision's, and hides no other error."""
        if self._note_end("rolls back", "rollback") and sys.exception() is None:
            self._raise()

    def refuse_other(self, connection: Connection, *_: object) -> None:
        """Raise an error before a statement on another connection, if it is the revision's."""
        if connection is self._connection or threading.get_ident() != self._thread:
            return
        if place := running_line(self._history):
            self._note(
                f"it uses another connection than its own, at {place}",
                "Use op.execute, or op.get_bind() in place of db.session and db.engine: another "
                "connection waits for what this transaction has locked, and is not rolled back "
                "with it.",
            )
            self._raise()

    def _note_end(self, does: str, call: str) -> bool:
        """Return whether it is the revision, and not Alembic, that ends the transaction."""
        place = running_line(self._history)
        if not place or any(frame.f_code is _AUTOCOMMIT_BLOCK for frame, _ in walk_stack(None)):
            return False
        self._note(
            f"it {does}, at {place}, before its transaction is complete",
            f"Leave the {call} out. Put what PostgreSQL does only outside a transaction "
            "into `with op.get_context().autocommit_block():`.",
        )
        return True

    def _note(self, summary: str, hint: str) -> None:
        self.refusal = self.refusal or MigrationError(f"{summary}\n  hint: {hint}")

    def _raise(self) -> None:
        assert self.refusal is not None
        self.has_raised = True
        raise self.refusal

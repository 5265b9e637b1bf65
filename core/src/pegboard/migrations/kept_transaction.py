"""Keeping a revision from ending the transaction in which it is applied.

What followed would be in another one that nobody commits, also the note that the revision is
applied: it would be run again, on what it has left.
"""

import inspect
import sys
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
    """Raise `MigrationError` if a revision of the history commits or rolls back the connection.

    It is raised at once, and at the end of the block if the revision has caught it. A rollback on
    the way of another error is only told if the revision has caught that one. Alembic's
    `autocommit_block` may commit.
    """
    guard = _Guard(history)
    event.listen(connection, "commit", guard.refuse_commit)
    event.listen(connection, "rollback", guard.refuse_rollback)
    try:
        yield
    except Exception as error:
        if guard.refusal and (guard.has_raised or not line_in(error, history.versions)):
            raise guard.refusal from error
        raise
    finally:
        event.remove(connection, "commit", guard.refuse_commit)
        event.remove(connection, "rollback", guard.refuse_rollback)
    if guard.refusal:
        raise guard.refusal


class _Guard:
    """Refuses what ends a transaction while a revision is run."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.refusal: MigrationError | None = None
        """The first one."""
        self.has_raised = False

    def refuse_commit(self, connection: Connection) -> None:
        """Raise an error before a commit, if it is the revision's."""
        if not self._note("commits", "commit"):
            return
        # SQLAlchemy does not roll back what it has begun to commit.
        connection.dialect.do_rollback(connection.connection)
        self._raise()

    def refuse_rollback(self, _connection: Connection) -> None:
        """Raise an error before a rollback, if it is the revision's, and hides no other error."""
        if self._note("rolls back", "rollback") and sys.exception() is None:
            self._raise()

    def _note(self, does: str, call: str) -> bool:
        """Return whether it is the revision, and not Alembic, that ends the transaction."""
        place = running_line(self._history)
        if not place or any(frame.f_code is _AUTOCOMMIT_BLOCK for frame, _ in walk_stack(None)):
            return False
        self.refusal = self.refusal or MigrationError(
            f"it {does}, at {place}, before its transaction is complete\n"
            f"  hint: Leave the {call} out. Put what PostgreSQL does only outside a transaction "
            "into `with op.get_context().autocommit_block():`."
        )
        return True

    def _raise(self) -> None:
        assert self.refusal is not None
        self.has_raised = True
        raise self.refusal

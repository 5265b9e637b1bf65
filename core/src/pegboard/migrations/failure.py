"""What is said of a revision that failed, and of what it leaves behind."""

from collections.abc import Sequence
from textwrap import shorten

from alembic.script.base import Script
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pegboard.migrations.committed import Committed
from pegboard.migrations.errors import MigrationError, line_in
from pegboard.migrations.histories import History
from pegboard.migrations.script_directory import revision_label
from pegboard.redaction import reason_of

_NOT_NULL_VIOLATION = "23502"
_INVALID_TEXT = "22P02"

VALUES_THAT_GO = (
    "Rows cannot keep a value that the enumerated type no longer has: give them another one by "
    "op.execute before the column is altered."
)
VALUES_FOR_ROWS = (
    "A column that is NOT NULL needs a value for the rows that are there: give it a server_default "
    "in the revision, or add it without NOT NULL, fill it by op.execute, and then make it NOT NULL."
)


def describe_remains(committed: Committed, connection: Connection) -> str:
    """Return what of a failed revision the database has kept, and what to do; empty if nothing."""
    invalid = committed.invalid_indexes(connection)
    if not invalid and not committed.statements:
        return ""
    shown = [" ".join(one.split()) for one in committed.statements]
    lines = [f"\n  committed: {shorten(one, 200, placeholder=' ...')}" for one in shown]
    lines += [f"\n  unfinished: the index {name}, which is invalid" for name in invalid]
    drops = "".join(f" DROP INDEX CONCURRENTLY {name};" for name in invalid)
    first = f"Drop the invalid index:{drops} " if invalid else ""
    then = "Undo by hand what was committed. " if shown else ""
    return (
        f"{''.join(lines)}\n  hint: {first}{then}"
        "Correct the rows or the revision, and repeat the command."
    )


def _lacks_values(error: DBAPIError) -> bool:
    """Return whether a column is to be NOT NULL where rows have no value for it."""
    code = getattr(error.orig, "pgcode", None)
    # SQLite has no code for the refusal of ALTER TABLE.
    return code == _NOT_NULL_VIOLATION or "NOT NULL" in str(error.orig)


def describe_failure(
    history: History, scripts: Sequence[Script], error: BaseException, remains: str
) -> MigrationError:
    """Return the error of a revision that failed, of which `remains` is what was kept."""
    if isinstance(error, MigrationError) and error.problems and not scripts:
        return error  # it may be another history that cannot be read
    if not scripts:
        return MigrationError(f"{history.name}: {_reason(error)}")
    script = scripts[0]
    outcome = (
        "failed, and a part of it stays, as it was not in the transaction that was rolled back; "
        "the version table is unchanged."
        if remains
        else "failed and was rolled back; the database is as it was before."
    )
    return MigrationError(
        f"{history.name}: revision {revision_label(script)} {outcome}\n"
        f"{describe_reason(history, error, script.path)}{remains}"
    )


def describe_reason(history: History, error: BaseException, path: str = "") -> str:
    """Return lines that tell where and why a revision failed; `path` is its file, if known."""
    place = line_in(error, history.versions) or path
    file = f"  file: {place}\n" if place else ""
    return f"{file}  reason: {_reason(error)}"


def _reason(error: BaseException) -> str:
    if isinstance(error, MigrationError):
        return error.message
    if isinstance(error, DBAPIError):
        hint = VALUES_FOR_ROWS if _lacks_values(error) else ""
        if getattr(error.orig, "pgcode", None) == _INVALID_TEXT and " enum " in str(error.orig):
            hint = VALUES_THAT_GO
        return "\n  hint: ".join(filter(None, [str(error.orig).strip(), hint]))
    text = reason_of(error) if isinstance(error, SQLAlchemyError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

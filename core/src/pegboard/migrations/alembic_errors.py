"""Alembic's errors turned into the error of every migration command."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from alembic.script.revision import MultipleHeads, ResolutionError, RevisionError
from alembic.util import CommandError
from sqlalchemy.exc import CompileError

from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import History
from pegboard.migrations.revision_faults import places_of
from pegboard.problems import Code, Problem
from pegboard.redaction import reason_of


def two_heads(history: History, heads: Sequence[str]) -> MigrationError:
    """Return the error of a history that has several newest revisions."""
    names, places = " and ".join(sorted(heads)), places_of(history, heads)
    summary = f"{names} are both the newest revision, at {places}"
    hint = f"Merge them with pegboard db merge {history.name}."
    code = Code.MIGRATION_HEADS
    return MigrationError.of([Problem(code, summary, hint, history.name)])


@contextmanager
def translate_alembic_errors(history: History) -> Iterator[None]:
    """Raise what Alembic raises in the block as a `MigrationError` that names the history.

    So is what SQLAlchemy raises for an expression that is no SQL.
    """
    try:
        yield
    except MultipleHeads as error:
        raise two_heads(history, error.heads) from error
    except ResolutionError as error:
        message = f"{history.name}: there is no revision {error.argument}"
        raise MigrationError(message) from error
    except CompileError as error:
        message = (
            f"{history.name}: an SQL expression of the models cannot be written: {reason_of(error)}"
        )
        raise MigrationError(message) from error
    except (CommandError, RevisionError) as error:
        message = f"{history.name}: {error}"
        raise MigrationError(message) from error

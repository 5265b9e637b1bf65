"""Alembic's errors turned into the error of every migration command."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from alembic.script.revision import MultipleHeads, ResolutionError, RevisionError
from alembic.util import CommandError
from sqlalchemy.exc import CompileError

from pegboard.migrations.errors import MigrationError
from pegboard.problems import Code, Problem


def two_heads(history_name: str, heads: Sequence[str]) -> MigrationError:
    """Return the error of a history that has several newest revisions."""
    summary = f"{' and '.join(sorted(heads))} are both the newest revision"
    hint = f"Merge them with pegboard db merge {history_name}."
    return MigrationError(str(Problem(Code.MIGRATION_HEADS, summary, hint, history_name)))


@contextmanager
def translate_alembic_errors(history_name: str) -> Iterator[None]:
    """Raise what Alembic raises in the block as a `MigrationError` that names the history.

    So is what SQLAlchemy raises for an expression that is no SQL.
    """
    try:
        yield
    except MultipleHeads as error:
        raise two_heads(history_name, error.heads) from error
    except ResolutionError as error:
        message = f"{history_name}: there is no revision {error.argument}"
        raise MigrationError(message) from error
    except CompileError as error:
        message = f"{history_name}: an SQL expression of the models cannot be written: {error}"
        raise MigrationError(message) from error
    except (CommandError, RevisionError) as error:
        message = f"{history_name}: {error}"
        raise MigrationError(message) from error

"""The error of every migration command, and Alembic's errors turned into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

import click
from alembic.script.revision import MultipleHeads, ResolutionError, RevisionError
from alembic.util import CommandError
from sqlalchemy.exc import CompileError


class MigrationError(click.ClickException):
    """Raised when a migration command fails; the message names the history and what to do."""


@contextmanager
def translate_alembic_errors(history_name: str) -> Iterator[None]:
    """Raise what Alembic raises in the block as a `MigrationError` that names the history.

    So is what SQLAlchemy raises for an expression that is no SQL.
    """
    try:
        yield
    except MultipleHeads as error:
        message = (
            f"{history_name}: {' and '.join(error.heads)} are both the newest revision; merge them "
            f"with pegboard db merge {history_name}"
        )
        raise MigrationError(message) from error
    except ResolutionError as error:
        message = f"{history_name}: there is no revision {error.argument}"
        raise MigrationError(message) from error
    except CompileError as error:
        message = f"{history_name}: an SQL expression of the models cannot be written: {error}"
        raise MigrationError(message) from error
    except (CommandError, RevisionError) as error:
        message = f"{history_name}: {error}"
        raise MigrationError(message) from error


def line_in(error: BaseException, folder: Path) -> str:
    """Return which line of the files in a folder an error came from, as in `/a/b.py, line 12`.

    It is empty if no line of these was run.
    """
    lines = [
        f"{frame.f_code.co_filename}, line {line}"
        for frame, line in walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).parent == folder
    ]
    return lines[-1] if lines else ""

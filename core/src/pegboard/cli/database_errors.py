"""The messages of commands that need the database and cannot query it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from flask import Flask
from sqlalchemy.exc import DBAPIError

from pegboard.database import availability_hint, is_of_statement
from pegboard.migrations import as_schema_error
from pegboard.problems import Code, Problem, StartupError
from pegboard.redaction import reason_of


@contextmanager
def explain_errors_of_start() -> Iterator[None]:
    """Turn an error of the database driver into a `StartupError` with a hint."""
    try:
        yield
    except DBAPIError as error:
        raise StartupError([_unavailable(error)]) from error


@contextmanager
def explain_errors_of_command(find_app: Callable[[], Flask | None]) -> Iterator[None]:
    """End a command with a hint where the database is unavailable or not at head.

    A statement that is wrong is a mistake in the command, whose author needs the traceback.
    """
    try:
        yield
    except DBAPIError as error:
        app = find_app()
        if app is not None and (explained := as_schema_error(error, app)):
            raise explained from error
        if is_of_statement(error):
            raise
        raise click.ClickException(str(_unavailable(error))) from error


def _unavailable(error: DBAPIError) -> Problem:
    summary = f"the database cannot be queried: {reason_of(error)}"
    return Problem(Code.DATABASE_UNAVAILABLE, summary, availability_hint(error))

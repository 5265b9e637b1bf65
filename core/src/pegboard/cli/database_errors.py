"""The message of a command that needs the database and cannot query it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from pegboard.database import availability_hint
from pegboard.problems import Code, Problem, StartupError
from pegboard.redaction import reason_of


@contextmanager
def explain_database_errors() -> Iterator[None]:
    """Turn an error of the database driver into a `StartupError` with a hint."""
    try:
        yield
    except DBAPIError as error:
        summary = f"the database cannot be queried: {reason_of(error)}"
        problem = Problem(Code.DATABASE_UNAVAILABLE, summary, availability_hint(error))
        raise StartupError([problem]) from error

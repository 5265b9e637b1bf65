"""The message of a command that needs the database and cannot query it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from pegboard.database import availability_hint
from pegboard.problems import Code, Problem, StartupError


@contextmanager
def explain_database_errors() -> Iterator[None]:
    """Turn an error of the database driver into a `StartupError` with a hint."""
    try:
        yield
    except DBAPIError as error:
        cause = " ".join(str(error.orig).split())
        summary = f"the database cannot be queried: {cause}"
        problem = Problem(Code.DATABASE_UNAVAILABLE, summary, availability_hint(error))
        raise StartupError([problem]) from error

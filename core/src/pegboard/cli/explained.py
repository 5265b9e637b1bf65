"""What an operator is told when a command cannot ask the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from pegboard.problems import Problem, StartupError


@contextmanager
def explained() -> Iterator[None]:
    """Turn the failure to ask the database into a problem with a hint."""
    try:
        yield
    except DBAPIError as error:
        cause = " ".join(str(error.orig).split())
        hint = "Start the database, or correct DATABASE_URL."
        raise StartupError([Problem(f"the database cannot be asked: {cause}", hint)]) from error

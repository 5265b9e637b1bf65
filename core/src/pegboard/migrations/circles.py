"""Tables that refer to each other, of which SQLAlchemy warns when it puts tables in an order."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from alembic.autogenerate.api import AutogenContext
from alembic.util import PriorityDispatchResult
from sqlalchemy.exc import SAWarning

_WARNINGS = "Cannot correctly sort tables|Can't sort tables for DROP"


@contextmanager
def circles_allowed() -> Iterator[None]:
    """Let tables be sorted without a warning: the author need not change what it tells of.

    Of tables that refer to each other `operations` adds the keys once all are there; when they are
    dropped, PostgreSQL drops the keys first, and SQLite, in a migration, does not check them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _WARNINGS, SAWarning)
        yield


def sort_tables(context: AutogenContext, *_: object) -> PriorityDispatchResult:
    """Sort the tables of the models before Alembic asks, as the context keeps their order."""
    with circles_allowed():
        assert context.sorted_tables is not None  # computed once, here
    return PriorityDispatchResult.CONTINUE

"""The health check of items."""

from sqlalchemy import select
from sqlalchemy.exc import ProgrammingError

import pegboard
from pegboard_items.models import table


def table_is_readable() -> None:
    """Raise `NotReadyError` unless the database role of the service may read the table."""
    try:
        pegboard.db.session.execute(select(table.columns.id).limit(1))
    except ProgrammingError as error:
        message = "the table items is missing, or the database role may not read it"
        raise pegboard.NotReadyError(message) from error

"""The database: the session, the base model, transactions, and the bounds of every statement."""

from pegboard.database.models import (
    DatabaseOptions,
    Model,
    db,
    init_database,
    is_in_memory,
    utcnow,
)
from pegboard.database.sqlite import WRITES
from pegboard.database.transactions import transactional
from pegboard.database.watchdog import no_time_limit

__all__ = [
    "WRITES",
    "DatabaseOptions",
    "Model",
    "db",
    "init_database",
    "is_in_memory",
    "no_time_limit",
    "transactional",
    "utcnow",
]

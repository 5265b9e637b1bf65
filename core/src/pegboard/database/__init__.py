"""The database: engine, session, base model, transactions, and the time limits of statements."""

from pegboard.database.async_pool import AllBusyError, AsyncPool
from pegboard.database.connection import WatchedConnection
from pegboard.database.engine import DatabaseOptions, db, init_database
from pegboard.database.failover import ReadOnlyServerError, check_server
from pegboard.database.listeners import count_listeners
from pegboard.database.models import Model
from pegboard.database.platform_statements import IS_OF_PLATFORM, of_platform
from pegboard.database.postgresql import is_unavailable
from pegboard.database.session_statement import Statement, ignores, only_reads
from pegboard.database.sqlite import BEGIN_IMMEDIATE_OPTION, SQLITE_LOWER
from pegboard.database.statements import (
    CompiledStatement,
    NotCompilableError,
    UnreadableError,
    autocommit,
    execute_alone,
    row_maker,
)
from pegboard.database.timed_statements import time_statements
from pegboard.database.transactions import holds_writes, transactional, transactional_made_of
from pegboard.database.url import is_in_memory
from pegboard.database.violation import Kind, Violation
from pegboard.database.violations import (
    availability_hint,
    is_of_statement,
    is_undefined,
    violation_of,
)
from pegboard.database.watchdog import no_time_limit

__all__ = [
    "BEGIN_IMMEDIATE_OPTION",
    "IS_OF_PLATFORM",
    "SQLITE_LOWER",
    "AllBusyError",
    "AsyncPool",
    "CompiledStatement",
    "DatabaseOptions",
    "Kind",
    "Model",
    "NotCompilableError",
    "ReadOnlyServerError",
    "Statement",
    "UnreadableError",
    "Violation",
    "WatchedConnection",
    "autocommit",
    "availability_hint",
    "check_server",
    "count_listeners",
    "db",
    "execute_alone",
    "holds_writes",
    "ignores",
    "init_database",
    "is_in_memory",
    "is_of_statement",
    "is_unavailable",
    "is_undefined",
    "no_time_limit",
    "of_platform",
    "only_reads",
    "row_maker",
    "time_statements",
    "transactional",
    "transactional_made_of",
    "violation_of",
]

"""The index for `q` of a resource: trigrams, where PostgreSQL has the extension pg_trgm."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Dialect, Index, text
from sqlalchemy.exc import DBAPIError

logger = logging.getLogger(__name__)

REPORT_ATTRIBUTE = "report"
"""Key in the attributes of Alembic's configuration: a function called with lines for people."""

EXTENSION = "pg_trgm"
"""The extension of PostgreSQL with the operators of trigrams."""

_SUFFIX = "_trigrams"
_MAX_NAME = 63
_PENDING = 1024
"""KiB of what is written that wait to be put into the index. A write that finds as much puts it
there, which takes 30 ms, and with the default of 4 MiB twice that; less saves no more."""
_OPERATORS = "gin_trgm_ops"
_CANNOT_BE_HAD = {"0A000", "42501", "58P01"}
"""The errors of CREATE EXTENSION where it is not installed, or the role may not create it."""

_SCHEMA_OF_EXTENSION = text(
    "SELECT nspname FROM pg_catalog.pg_extension "
    "JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = :name"
)
_IS_INVALID = text(
    "SELECT 1 FROM pg_catalog.pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
)


def create_search_index(table: str, columns: Sequence[str], *, schema: str | None = None) -> None:
    """Create the index for `q` in a revision: `columns` are those of `Resource(search=...)`.

    On PostgreSQL it is a GIN index of trigrams, created concurrently. The extension pg_trgm is
    created, too; where the role may not do so, or the server has no such extension,
    `pegboard db upgrade` says so and goes on: `q` works without the index, in a time that grows
    with the table. On other databases nothing is done. `pegboard db check` ignores the index. A
    table has one; a revision that changes its columns drops it first, in another revision.
    """
    # Only revisions call this, and a process that only serves does without Alembic.
    from alembic import context, op  # noqa: PLC0415

    migration = op.get_context()
    if migration.dialect.name != "postgresql":
        return
    index = _SearchIndex(table, columns, schema, migration.dialect)
    operators = _OPERATORS
    if migration.as_sql:
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}")
    else:
        home, reason = _schema_of_extension(op.get_bind())
        if home is None:
            context.config.attributes.get(REPORT_ATTRIBUTE, logger.warning)(index.missing(reason))
            return
        operators = f"{migration.dialect.identifier_preparer.quote(home)}.{_OPERATORS}"
    with migration.autocommit_block():
        # What was created concurrently and failed is there, and not used.
        if not migration.as_sql and op.get_bind().scalar(_IS_INVALID, {"name": index.name}):
            op.execute(f"DROP INDEX CONCURRENTLY {index.name}")
        op.execute(index.statement(operators))
        # How often a text occurs in the expressions of an index is known only after this.
        op.execute(f"ANALYZE {index.place}")


def drop_search_index(table: str, *, schema: str | None = None) -> None:
    """Drop what `create_search_index` has created, in a revision, if it is there."""
    from alembic import op  # noqa: PLC0415 - as above

    dialect = op.get_context().dialect
    if dialect.name == "postgresql":
        op.execute(f"DROP INDEX IF EXISTS {_SearchIndex(table, (), schema, dialect).name}")


def is_search_index(index: Index) -> bool:
    """Return whether an index of the database is one that `create_search_index` makes."""
    is_gin = index.dialect_options["postgresql"]["using"] == "gin"
    return is_gin and (index.name or "").endswith(_SUFFIX)


@dataclass(frozen=True)
class _SearchIndex:
    table: str
    columns: Sequence[str]
    schema: str | None
    dialect: Dialect

    @property
    def place(self) -> str:
        """The quoted name of the table."""
        return self._quoted(self.schema, self.table)

    @property
    def name(self) -> str:
        """The quoted name, with the schema if there is one."""
        return self._quoted(self.schema, self._bare_name)

    def statement(self, operators: str = _OPERATORS) -> str:
        """Return the statement for the expressions that `resources.expressions` compares."""
        parts = ", ".join(f"lower({self._quoted(one)}) {operators}" for one in self.columns)
        return (
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {self._quoted(self._bare_name)} "
            f"ON {self.place} USING gin ({parts}) "
            f"WITH (gin_pending_list_limit = {_PENDING})"
        )

    def missing(self, reason: str) -> str:
        """Say that there is none, and how to get it."""
        return (
            f"{self.place}: searches (q) have no index and take longer as the table grows, "
            f"since PostgreSQL's extension {EXTENSION} cannot be had: {reason}. "
            f"To add it later: CREATE EXTENSION {EXTENSION}; {self.statement()};"
        )

    @property
    def _bare_name(self) -> str:
        return f"{f'ix_{self.table}'[: _MAX_NAME - len(_SUFFIX)]}{_SUFFIX}"

    def _quoted(self, *parts: str | None) -> str:
        return ".".join(self.dialect.identifier_preparer.quote(part) for part in parts if part)


def _schema_of_extension(connection: Connection) -> tuple[str | None, str]:
    """Return the schema of pg_trgm, which is created if it is not there, or why it cannot be."""
    name = {"name": EXTENSION}
    if (home := connection.scalar(_SCHEMA_OF_EXTENSION, name)) is not None:
        return home, ""
    try:
        with connection.begin_nested():
            connection.execute(text(f"CREATE EXTENSION {EXTENSION}"))
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) not in _CANNOT_BE_HAD:
            raise
        return None, str(error.orig).strip().partition("\n")[0]
    return connection.scalar(_SCHEMA_OF_EXTENSION, name), ""

"""Dropping the tables of a history, with what belongs to nothing else once they are gone."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData
from sqlalchemy.dialects.postgresql import DOMAIN, ENUM
from sqlalchemy.exc import DBAPIError

from pegboard.migrations.enums import Enums, named_type
from pegboard.migrations.errors import MigrationError, reason_of
from pegboard.migrations.histories import History
from pegboard.migrations.ownership import existing_tables
from pegboard.migrations.table_names import TableName

_IS_USED = sa.text(
    "SELECT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_class'::regclass"
    " AND refobjid = to_regclass(:name) AND deptype = 'n')"
)


def drop_tables(connection: Connection, history: History, tables: Collection[TableName]) -> None:
    """Drop those of the tables that there are, and the version table, in one transaction.

    So are the types and sequences of the columns and the models which nothing else uses. Raises
    `MigrationError` where the database refuses.
    """
    mine = {*tables, TableName(None, history.version_table)}
    try:
        with connection.begin():
            left = existing_tables(connection, {table.schema for table in mine}) & mine
            _drop(connection, history.metadata or MetaData(), sorted(left, key=str))
    except DBAPIError as error:
        connection.rollback()
        message = (
            f"{history.name}: its tables cannot be dropped: {reason_of(error)}\n"
            "  hint: Drop or change what is in the way, and repeat the command."
        )
        raise MigrationError(message) from error


def _drop(connection: Connection, metadata: MetaData, tables: Collection[TableName]) -> None:
    quoted = [_quoted(connection, table) for table in tables]
    if connection.dialect.name != "postgresql":
        for one in quoted:
            connection.execute(sa.text(f"DROP TABLE {one}"))
        return
    enums = Enums(connection)
    types = {type_ for one in quoted for type_ in enums.of_column(one)}
    types |= _types_of_models(enums, metadata)
    # At once, as they may refer to each other.
    connection.execute(sa.text(f"DROP TABLE {', '.join(quoted)}"))
    if types:
        enums.drop_unused(types)
    _drop_unused_sequences(connection, metadata)


def _types_of_models(enums: Enums, metadata: MetaData) -> set[int]:
    """Return the types that the models need: one may be left though its column is gone."""
    columns = (column for table in metadata.tables.values() for column in table.columns)
    named = (named_type(column.type, enums.connection.dialect) for column in columns)
    return {
        number
        for type_ in named
        if isinstance(type_, DOMAIN | ENUM) and type_.name
        for number in enums.of_type(type_)
    }


def _drop_unused_sequences(connection: Connection, metadata: MetaData) -> None:
    preparer = connection.dialect.identifier_preparer
    for sequence in metadata._sequences.values():  # noqa: SLF001 - what `drop_all` goes by
        name = {"name": preparer.format_sequence(sequence)}
        if not connection.scalar(_IS_USED, name):
            sequence.drop(connection, checkfirst=True)


def _quoted(connection: Connection, table: TableName) -> str:
    preparer = connection.dialect.identifier_preparer
    name: str = preparer.format_table(sa.table(table.name, schema=table.schema))
    return name.replace(":", "\\:")

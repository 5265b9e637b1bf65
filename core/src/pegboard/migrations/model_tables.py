"""The tables of a history's models."""

from sqlalchemy import Table

from pegboard.migrations.histories import History
from pegboard.migrations.table_names import TableName


def model_tables(history: History) -> dict[TableName, Table]:
    """Return the tables of a history's models by their names."""
    tables = history.metadata.tables.values() if history.metadata is not None else ()
    return {TableName.of(table.schema, table.name): table for table in tables}

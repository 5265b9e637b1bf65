"""Names of tables, by which two tables of a database are told apart."""

from typing import NamedTuple

from pegboard.database import db


class TableName(NamedTuple):
    """What tells two tables of a database apart.

    `schema` is None for the schema that the database uses if a statement names none.
    """

    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @classmethod
    def of(cls, schema: str | None, name: str) -> "TableName":
        """Return the name of a table whose schema may be the default one, spelled out."""
        return cls(None if schema == db.engine.dialect.default_schema_name else schema, name)

"""Creating the table of a model once more, to see how the database describes it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, MetaData, StaticPool, Table, create_engine
from sqlalchemy.dialects.postgresql import ENUM, CreateEnumType
from sqlalchemy.schema import CreateIndex, CreateTable

from pegboard.migrations.enums import named_type
from pegboard.migrations.reflection import extend_reflection


@contextmanager
def scratch_connection(connection: Connection) -> Iterator[Connection]:
    """Yield a connection on which a table can be created that nobody sees."""
    if connection.dialect.name == "sqlite":
        engine = create_engine("sqlite://", poolclass=StaticPool)
        try:
            with engine.connect() as other:
                extend_reflection(other.dialect)
                yield other
        finally:
            engine.dispose()
    else:
        savepoint = connection.begin_nested()
        try:
            yield connection
        finally:
            savepoint.rollback()


def describe_model(table: Table, connection: Connection) -> Table:
    """Create a table as that of the model, and return it as the database describes it."""
    copy = table.to_metadata(MetaData(naming_convention=table.metadata.naming_convention))
    copy.schema = None
    if connection.dialect.name != "sqlite":
        copy._prefixes = ["TEMPORARY"]  # noqa: SLF001 - a table that is there has no public way
    if connection.dialect.name == "postgresql":
        # The type in the database may lack a value that a server default needs.
        types = [named_type(column.type, connection.dialect) for column in copy.columns]
        enums = {one.name: one for one in types if isinstance(one, ENUM) and not one.schema}
        for name, enum in enums.items():
            connection.execute(CreateEnumType(ENUM(*enum.enums, name=name, schema="pg_temp")))
    connection.execute(CreateTable(copy, include_foreign_key_constraints=[]))
    for index in copy.indexes:
        index.dialect_options["postgresql"]["concurrently"] = False
        connection.execute(CreateIndex(index))
    return Table(copy.name, MetaData(), autoload_with=connection, resolve_fks=False)

"""Alembic's support of PostgreSQL and SQLite, with what it lacks: types and indexes on expressions.

Alembic uses the class defined last for a dialect.
"""

import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic.ddl._autogen import ComparisonResult
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.types import TypeEngine

from pegboard.migrations.enums import Enums, named_type
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.record import with_record
from pegboard.migrations.reflection import has_kept_ids
from pegboard.migrations.rendering import compile_expression, literal_text, render_expression
from pegboard.migrations.sql_texts import sql_of

_NOT_PRINTED = (
    "{} is not printed: which columns have the enumerated type, and which defaults, only the "
    "database knows\n  hint: Run pegboard db upgrade or downgrade. For --sql, write what it takes "
    "by op.execute, where op.get_context().as_sql is true."
)


class PostgreSQL(PostgresqlImpl):
    """Creates an enumerated type with the first column that needs it, drops it after the last."""

    __dialect__ = "postgresql"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._released: set[int] = set()
        self._printed: dict[tuple[str | None, str], list[str] | None] = {}
        """The values of the types that are created, by their schemas and names."""

    def version_table_impl(self, **kwargs: Any) -> sa.Table:
        """Return the version table, with what the core records in it."""
        return with_record(super().version_table_impl(**kwargs))

    def render_ddl_sql_expr(self, expr: Any, *_: Any, is_index: bool = False, **__: Any) -> str:
        """Return the text of an expression, for every database."""
        return render_expression(expr, is_index=is_index)

    def create_table(self, table: sa.Table, **kwargs: Any) -> None:
        """Create the types that the columns need, and the table."""
        if self._enums:
            self._create_types(table.columns)
        super().create_table(table, **kwargs)

    def add_column(self, table_name: str, column: sa.Column[Any], **kwargs: Any) -> None:
        """Create the type that the column needs, and the column."""
        self._create_types([column])
        super().add_column(table_name, column, **kwargs)

    def drop_table(self, table: sa.Table, **kwargs: Any) -> None:
        """Drop the table; its types are dropped at the end of the revision."""
        self._release(table.name, table.schema)
        super().drop_table(table, **kwargs)

    def drop_column(
        self, table_name: str, column: sa.Column[Any], *, schema: str | None = None, **kwargs: Any
    ) -> None:
        """Drop the column; its type is dropped at the end of the revision."""
        self._release(table_name, schema, column.name)
        super().drop_column(table_name, column, schema=schema, **kwargs)

    def alter_column(
        self,
        table_name: str,
        column_name: str,
        *,
        type_: TypeEngine[Any] | None = None,
        schema: str | None = None,
        server_default: Any = False,
        **kwargs: Any,
    ) -> None:
        """Change the column, with the values of its enumerated type, or from or to such a type."""
        enums = self._enums
        if type_ is not None and enums and not kwargs.get("postgresql_using"):
            before = self._release(table_name, schema, column_name)
            named = named_type(type_, self.dialect)
            if server_default is not False:  # the old one may not be a value of the new type
                super().alter_column(table_name, column_name, schema=schema, server_default=None)
            # Neither exists when the first column of a new type was one of texts.
            if named is not None and (not before or before != enums.of_type(named)):
                enums.ensure(named)
            elif isinstance(named, ENUM):
                enums.change(named, in_place=server_default is False)
            if before != (enums.of_type(named) if named is not None else set()):
                enums.convert(self._quoted(table_name, schema), column_name, type_)
                type_ = None
        elif type_ is not None and self.as_sql and not kwargs.get("postgresql_using"):
            self._refuse_to_print(f"{table_name}.{column_name}", type_, kwargs.get("existing_type"))
        super().alter_column(
            table_name,
            column_name,
            type_=type_,
            schema=schema,
            server_default=server_default,
            **kwargs,
        )

    def _refuse_to_print(
        self, column: str, type_: TypeEngine[Any], existing: TypeEngine[Any] | None
    ) -> None:
        """Raise `MigrationError` if a column changes from or to an enumerated type, or its values.

        What that takes depends on which columns have the type, and on their defaults.
        """

        def identity(kind: TypeEngine[Any] | None) -> tuple[str | None, ...] | None:
            named = named_type(kind, self.dialect) if kind is not None else None
            return (named.schema, named.name, *named.enums) if isinstance(named, ENUM) else None

        if identity(existing) != identity(type_):
            raise MigrationError(_NOT_PRINTED.format(f"the change of {column}"))

    def drop_unused_types(self) -> None:
        """Drop the types of what was dropped, unless they are used elsewhere."""
        if self._enums:
            self._enums.drop_unused(self._released)
            self._released.clear()

    @property
    def _enums(self) -> Enums | None:
        """The types in the database; None if it cannot be asked, as SQL is only printed."""
        if self.as_sql or self.connection is None:
            return None
        return Enums(self.connection)

    def _create_types(self, columns: Iterable[sa.Column[Any]]) -> None:
        for column in columns:
            type_: Any = named_type(column.type, self.dialect)
            if type_ is None:
                continue
            # SQLAlchemy asks there whether this run has created the type already.
            created = self.memo.setdefault(f"pg_{type_.__visit_name__}", set())
            name, values = (type_.schema, type_.name), getattr(type_, "enums", None)
            if self._enums:
                self._enums.ensure(type_)
            elif name not in created:
                type_.create(self.connection, checkfirst=False)
            elif self._printed.get(name, values) != values:
                raise MigrationError(_NOT_PRINTED.format(f"another type {type_.name}"))
            self._printed[name] = values
            created.add(name)

    def _release(self, table: str, schema: str | None, column: str = "") -> set[int]:
        if (enums := self._enums) is None:
            return set()
        found = enums.of_column(self._quoted(table, schema), column)
        self._released |= found
        return found

    def _quoted(self, table: str, schema: str | None) -> str:
        return self.dialect.identifier_preparer.format_table(sa.table(table, schema=schema))


class SQLite(SQLiteImpl):
    """Keeps, when a table is rebuilt, what `extend_reflection` lets SQLAlchemy see."""

    __dialect__ = "sqlite"

    def render_ddl_sql_expr(self, expr: Any, *_: Any, is_index: bool = False, **__: Any) -> str:
        """Return the text of an expression, for every database."""
        return render_expression(expr, is_index=is_index)

    def version_table_impl(self, **kwargs: Any) -> sa.Table:
        """Return the version table, with what the core records in it."""
        return with_record(super().version_table_impl(**kwargs))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_ids: dict[str, int] = {}

    def drop_table(self, table: sa.Table, **kwargs: Any) -> None:
        """Drop the table; remember its last id for another that takes its place."""
        if not self.as_sql and (last := self._last_id(table.name)):
            self._last_ids[table.name] = last
        super().drop_table(table, **kwargs)

    def rename_table(
        self, old_table_name: str, new_table_name: str, schema: str | None = None
    ) -> None:
        """Rename the table; one that was rebuilt goes on counting where it was."""
        super().rename_table(old_table_name, new_table_name, schema)
        last = self._last_ids.pop(new_table_name, 0)
        if last and self.connection is not None and has_kept_ids(self.connection, new_table_name):
            counter = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
            self.connection.execute(sa.delete(counter).where(counter.c.name == new_table_name))
            values = {"name": new_table_name, "seq": last}
            self.connection.execute(sa.insert(counter).values(values))

    def _last_id(self, table: str) -> int:
        if self.connection is None or not has_kept_ids(self.connection, table):
            return 0
        last = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        return self.connection.scalar(last, {"table": table}) or 0

    def prep_table_for_batch(self, batch_impl: Any, table: sa.Table) -> None:
        """Leave generated columns out when a table is rebuilt, and keep the text of each CHECK."""
        for check in batch_impl.new_table.constraints:
            # Read from the database, a colon in it is taken for the beginning of a parameter.
            if isinstance(getattr(check, "sqltext", None), sa.TextClause):
                check.sqltext = literal_text(str(check.sqltext))
        for column in table.columns:
            if column.computed is not None:
                batch_impl.column_transfers[column.name].pop("expr", None)
        for column in batch_impl.new_table.columns:
            if column.computed is not None:
                column.computed.sqltext = literal_text(sql_of(column.computed))

    def correct_for_autogen_constraints(self, *_: Any, **__: Any) -> None:
        """Leave out nothing."""

    def compare_indexes(self, metadata_index: sa.Index, reflected_index: sa.Index) -> Any:
        """Compare the texts of two indexes."""
        unique = self._compare_index_unique(metadata_index, reflected_index)
        wanted, found = (
            [_comparable(part) for part in index.expressions]
            for index in (metadata_index, reflected_index)
        )
        if unique or wanted != found:
            return ComparisonResult.Different(
                [*([unique] if unique else []), f"{found} to {wanted}"]
            )
        return ComparisonResult.Equal()


def _comparable(expression: Any) -> str:
    text = compile_expression(expression, "sqlite")
    return re.sub(r'[\s"()]', "", text).lower()

"""Alembic's support of PostgreSQL and SQLite, with what it lacks: types and indexes on expressions.

Alembic uses the class defined last for a dialect.
"""

import re
import warnings
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic.ddl._autogen import ComparisonResult
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

from pegboard.migrations.enums import Enums, named_type
from pegboard.migrations.rendering import compile_expression, render_expression


class PostgreSQL(PostgresqlImpl):
    """Creates an enumerated type with the first column that needs it, drops it after the last."""

    __dialect__ = "postgresql"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._released: set[int] = set()

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
            if named is not None and before != enums.of_type(named):
                enums.ensure(named)
            elif isinstance(named, ENUM):
                enums.change(named, in_place=server_default is False)
            if before != (enums.of_type(named) if named is not None else set()):
                enums.convert(self._quoted(table_name, schema), column_name, type_)
                type_ = None
        super().alter_column(
            table_name,
            column_name,
            type_=type_,
            schema=schema,
            server_default=server_default,
            **kwargs,
        )

    def drop_unused_types(self) -> None:
        """Drop the types of what was dropped, unless they are used elsewhere."""
        if self._released and self._enums:
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
            if self._enums:
                self._enums.ensure(type_)
            elif (type_.schema, type_.name) not in created:
                type_.create(self.connection, checkfirst=False)
            created.add((type_.schema, type_.name))

    def _release(self, table: str, schema: str | None, column: str = "") -> set[int]:
        if (enums := self._enums) is None:
            return set()
        found = enums.of_column(self._quoted(table, schema), column)
        self._released |= found
        return found

    def _quoted(self, table: str, schema: str | None) -> str:
        return self.dialect.identifier_preparer.format_table(sa.table(table, schema=schema))


class SQLite(SQLiteImpl):
    """Compares indexes on expressions, which `reflect_expressions` lets SQLAlchemy see."""

    __dialect__ = "sqlite"

    def render_ddl_sql_expr(self, expr: Any, *_: Any, is_index: bool = False, **__: Any) -> str:
        """Return the text of an expression, for every database."""
        return render_expression(expr, is_index=is_index)

    def prep_table_for_batch(self, batch_impl: Any, table: sa.Table) -> None:
        """Leave out what cannot be copied when a table is rebuilt: generated columns."""
        for column in table.columns:
            if column.computed is not None:
                batch_impl.column_transfers[column.name].pop("expr", None)

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


def reflect_expressions(dialect: Dialect) -> None:
    """Let the dialect of SQLite read indexes on expressions, which it leaves out otherwise.

    A table that is rebuilt would lose them.
    """
    if getattr(dialect, "_pegboard_reflects_expressions", False):
        return
    usual: Any = dialect.get_indexes

    def get_indexes(
        connection: sa.Connection, table_name: str, schema: str | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
            found = {
                index["name"]: index for index in usual(connection, table_name, schema, **kwargs)
            }
        prefix = f"{dialect.identifier_preparer.quote(schema)}." if schema else ""
        rows = connection.exec_driver_sql(
            f"SELECT name, sql FROM {prefix}sqlite_master"  # noqa: S608 - the schema is quoted
            " WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
            (table_name,),
        )
        for name, sql in rows.all():
            parts, condition = _parse_index(sql)
            plain = [part.strip('"[]`') for part in parts]
            if name not in found or plain != found[name]["column_names"]:
                found[name] = {
                    "name": name,
                    "column_names": [None] * len(parts),
                    "expressions": parts,
                    "unique": bool(re.match(r"CREATE\s+UNIQUE", sql, re.IGNORECASE)),
                    "dialect_options": {"sqlite_where": sa.text(condition)} if condition else {},
                }
        return list(found.values())

    dialect.get_indexes = get_indexes  # type: ignore[method-assign, assignment]
    dialect._pegboard_reflects_expressions = True  # type: ignore[attr-defined]  # noqa: SLF001


def _parse_index(sql: str) -> tuple[list[str], str]:
    """Return what a statement that creates an index says in parentheses, and its condition."""
    start = re.search(
        r"""\sON\s+("[^"]+"|\[[^\]]+\]|`[^`]+`|'[^']+'|\w+)\s*\(""", sql, re.IGNORECASE
    )
    assert start is not None
    parts, depth = [""], 1
    tokens = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|.""", re.DOTALL)
    for token in tokens.finditer(sql, start.end()):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            condition = re.sub(r"^\s*WHERE\s+", "", sql[token.end() :], flags=re.IGNORECASE)
            return [part.strip() for part in parts], condition.strip()
        if token[0] == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += token[0]
    raise ValueError(sql)

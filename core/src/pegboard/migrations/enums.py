"""Enumerated types of PostgreSQL: created when a column needs them, dropped with the last one."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import ENUM, DropDomainType, DropEnumType
from sqlalchemy.dialects.postgresql.named_types import NamedType
from sqlalchemy.types import TypeDecorator, TypeEngine

from pegboard.migrations.errors import MigrationError

_TYPES_OF = sa.text(
    "SELECT DISTINCT t.oid::bigint FROM pg_attribute a JOIN pg_type t"
    " ON a.atttypid IN (t.oid, t.typarray) WHERE t.typtype = 'e' AND NOT a.attisdropped"
    " AND a.attrelid = to_regclass(:table) AND (a.attname = :column OR :column = '')"
)
_UNUSED = sa.text(
    "SELECT t.oid::regtype::text FROM pg_type t WHERE t.oid IN :oids"
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass"
    " AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n')"
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass"
    " AND d.objid = t.oid AND d.deptype = 'e')"
).bindparams(sa.bindparam("oids", expanding=True))
_LABELS = sa.text(
    "SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype(:type) ORDER BY enumsortorder"
)
_COLUMNS = sa.text(
    "SELECT a.attrelid::regclass::text, a.attname, pg_get_expr(d.adbin, d.adrelid)"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE NOT a.attisdropped AND (a.atttypid = to_regtype(:type) OR :type = '')"
    " AND (a.attrelid = to_regclass(:table) AND a.attname = :column OR :table = '')"
)


def named_type(type_: TypeEngine[Any], dialect: sa.Dialect) -> NamedType | None:
    """Return the enumerated type or domain by which PostgreSQL stores a column, if it is one."""
    found: Any = type_.dialect_impl(dialect)
    while isinstance(found, TypeDecorator | sa.ARRAY):
        found = found.impl_instance if isinstance(found, TypeDecorator) else found.item_type
        found = found.dialect_impl(dialect)
    return found if isinstance(found, NamedType) and found.create_type else None


@dataclass(frozen=True)
class Enums:
    """The enumerated types of a database."""

    connection: Connection

    def of_column(self, table: str, column: str = "") -> set[int]:
        """Return the types of a column, or of all columns of the table, which is quoted."""
        return set(self.connection.scalars(_TYPES_OF, {"table": table, "column": column}))

    def of_type(self, type_: NamedType) -> set[int]:
        """Return the number by which PostgreSQL knows a type; none if it does not exist."""
        number = sa.text("SELECT to_regtype(:type)::oid::bigint")
        return {*self.connection.scalars(number, {"type": self._name(type_)})} - {None}

    def drop_unused(self, oids: Iterable[int]) -> None:
        """Drop those of the types that nothing uses any more."""
        if numbers := list(oids):
            for name in self.connection.scalars(_UNUSED, {"oids": numbers}).all():
                self._execute(f"DROP TYPE {name}")

    @contextmanager
    def dropped_when_unused(self) -> Iterator[None]:
        """Have the types that `MetaData.drop_all` drops within it dropped at its end, if unused.

        PostgreSQL refuses to drop a type that another plugin's table uses, too.
        """
        dropped: set[int] = set()

        def postpone(_: object, statement: Any, *rest: Any) -> tuple[Any, ...]:
            if isinstance(statement, DropEnumType | DropDomainType):
                dropped.update(self.of_type(statement.element))
                statement = sa.DDL("SELECT 1")  # type: ignore[no-untyped-call]
            return statement, *rest[:2]

        sa.event.listen(self.connection, "before_execute", postpone, retval=True)
        try:
            yield
        finally:
            sa.event.remove(self.connection, "before_execute", postpone)
        self.drop_unused(dropped)

    def ensure(self, type_: NamedType) -> None:
        """Create a type unless it exists; add values that an enumerated type lacks.

        Raises `MigrationError` if another type has its name.
        """
        type_.create(self.connection, checkfirst=True)
        if isinstance(type_, ENUM):
            labels = self._labels(type_)
            if not (set(labels) <= set(type_.enums) or set(type_.enums) <= set(labels)):
                message = (
                    f"the type {self._name(type_)} exists, with the values {', '.join(labels)}; "
                    "give the Enum another name"
                )
                raise MigrationError(message)
            if set(labels) < set(type_.enums):
                self.change(type_)

    def change(self, enum: ENUM, *, in_place: bool = True) -> None:
        """Give an existing type the values of `enum`; `in_place` only adds, if that is enough.

        A value added in place cannot be used before the transaction has ended.
        """
        place = {"type": self._name(enum), "table": "", "column": ""}
        columns = [EnumColumn(*row) for row in self.connection.execute(_COLUMNS, place)]
        labels, dialect = self._labels(enum), self.connection.dialect
        for statement in change_of_values(enum, labels, columns, dialect, in_place=in_place):
            self._execute(statement)

    def convert(self, table: str, column: str, type_: TypeEngine[Any]) -> None:
        """Change the type of a column from or to an enumerated one; the table is quoted."""
        place = {"type": "", "table": table, "column": column}
        dialect = self.connection.dialect
        for row in self.connection.execute(_COLUMNS, place).all():
            for statement in change_of_type(EnumColumn(*row), type_.compile(dialect), dialect):
                self._execute(statement)

    def _labels(self, enum: ENUM) -> list[str]:
        return [*self.connection.scalars(_LABELS, {"type": self._name(enum)})]

    def _name(self, type_: NamedType) -> str:
        return _name_of(type_, self.connection.dialect)

    def _execute(self, statement: str) -> None:
        self.connection.execute(as_ddl(statement))


class EnumColumn(NamedTuple):
    """A column of an enumerated type."""

    table: str
    """As it is quoted."""
    name: str
    default: str | None
    """The SQL of its server default; None without one."""


def change_of_values(
    enum: ENUM,
    labels: Sequence[str],
    columns: Iterable[EnumColumn],
    dialect: sa.Dialect,
    *,
    in_place: bool = True,
) -> Iterator[str]:
    """Yield the statements that give a type with the values `labels` those of `enum`.

    `columns` are those of that type. `in_place` only adds values, if that is enough.
    """
    name, preparer = _name_of(enum, dialect), dialect.identifier_preparer
    if labels == enum.enums:
        return
    if in_place and labels == [label for label in enum.enums if label in labels]:
        for before, label in zip([None, *enum.enums], enum.enums, strict=False):
            if label not in labels:
                place = f"AFTER {_quote(before)}" if before else f"BEFORE {_quote(labels[0])}"
                yield f"ALTER TYPE {name} ADD VALUE {_quote(label)} {place}"
        return
    old = preparer.quote(f"{enum.name}_old")
    yield f"ALTER TYPE {name} RENAME TO {old}"
    yield f"CREATE TYPE {name} AS ENUM ({', '.join(map(_quote, enum.enums))})"
    for column in columns:
        yield from change_of_type(column, name, dialect)
    schema = f"{preparer.quote(enum.schema)}." if enum.schema else ""
    yield f"DROP TYPE {schema}{old}"


def change_of_type(column: EnumColumn, type_: str, dialect: sa.Dialect) -> Iterator[str]:
    """Yield the statements that change a column from or to an enumerated type."""
    quoted = dialect.identifier_preparer.quote(column.name)
    alter = f"ALTER TABLE {column.table} ALTER COLUMN {quoted}"
    if column.default is not None:
        yield f"{alter} DROP DEFAULT"
    yield f"{alter} TYPE {type_} USING {quoted}::text::{type_}"
    if column.default is not None:
        literal = re.sub(r"^('(?:[^']|'')*')::.*$", r"\1", column.default)
        yield f"{alter} SET DEFAULT {literal}"


def as_ddl(statement: str) -> sa.DDL:
    """Return a statement that is executed as it is."""
    return sa.DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]


def _name_of(type_: NamedType, dialect: sa.Dialect) -> str:
    preparer: Any = dialect.identifier_preparer
    name: str = preparer.format_type(type_)
    return name


def _quote(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"

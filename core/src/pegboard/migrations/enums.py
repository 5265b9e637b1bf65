"""Enumerated types of PostgreSQL: created when a column needs them, dropped with the last one."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
        labels, name = self._labels(enum), self._name(enum)
        if labels == enum.enums:
            return
        if in_place and labels == [label for label in enum.enums if label in labels]:
            for before, label in zip([None, *enum.enums], enum.enums, strict=False):
                if label not in labels:
                    place = f"AFTER {_quote(before)}" if before else f"BEFORE {_quote(labels[0])}"
                    self._execute(f"ALTER TYPE {name} ADD VALUE {_quote(label)} {place}")
            return
        columns = self.connection.execute(_COLUMNS, {"type": name, "table": "", "column": ""}).all()
        old = self._preparer.quote(f"{enum.name}_old")
        self._execute(f"ALTER TYPE {name} RENAME TO {old}")
        enum.create(self.connection, checkfirst=False)
        for table, column, default in columns:
            self._convert(table, column, name, default)
        schema = f"{self._preparer.quote(enum.schema)}." if enum.schema else ""
        self._execute(f"DROP TYPE {schema}{old}")

    def convert(self, table: str, column: str, type_: TypeEngine[Any]) -> None:
        """Change the type of a column from or to an enumerated one; the table is quoted."""
        place = {"type": "", "table": table, "column": column}
        for *_, default in self.connection.execute(_COLUMNS, place).all():
            self._convert(table, column, type_.compile(self.connection.dialect), default)

    def _convert(self, table: str, column: str, type_: str, default: str | None) -> None:
        quoted = self._preparer.quote(column)
        alter = f"ALTER TABLE {table} ALTER COLUMN {quoted}"
        if default is not None:
            self._execute(f"{alter} DROP DEFAULT")
        self._execute(f"{alter} TYPE {type_} USING {quoted}::text::{type_}")
        if default is not None:
            literal = re.sub(r"^('(?:[^']|'')*')::.*$", r"\1", default)
            self._execute(f"{alter} SET DEFAULT {literal}")

    def _labels(self, enum: ENUM) -> list[str]:
        return [*self.connection.scalars(_LABELS, {"type": self._name(enum)})]

    def _name(self, type_: NamedType) -> str:
        name: str = self._preparer.format_type(type_)
        return name

    @property
    def _preparer(self) -> Any:
        return self.connection.dialect.identifier_preparer

    def _execute(self, statement: str) -> None:
        self.connection.execute(sa.DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]


def _quote(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"

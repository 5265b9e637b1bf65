"""What can be wrong with the data of a statement, and which of its columns are at fault."""

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Enum, Numeric, String, Table
from sqlalchemy.types import TypeDecorator, TypeEngine


class Kind(enum.Enum):
    """What is wrong with the data of a statement."""

    DUPLICATE = enum.auto()
    """Another row has the same unique key."""
    MISSING = enum.auto()
    """A reference to a row that does not exist."""
    REFERENCED = enum.auto()
    """Other rows refer to what would be deleted or changed."""
    BROKEN_REFERENCE = enum.auto()
    """One of these two; the database does not say which."""
    EXCLUDED = enum.auto()
    """An exclusion constraint or a trigger refuses it."""
    NULL = enum.auto()
    """A value is missing."""
    CHECK = enum.auto()
    """A check constraint does not hold."""
    TOO_LONG = enum.auto()
    """A text is longer than its column."""
    OUT_OF_RANGE = enum.auto()
    """A number is larger than its column can hold."""
    UNSTORABLE = enum.auto()
    """A text has a character that the database cannot store."""
    MALFORMED = enum.auto()
    """A text is not of the column's type."""


@dataclass(frozen=True)
class Violation:
    """What is wrong with the data of a statement, and where."""

    kind: Kind
    columns: tuple[str, ...] = ()
    """The names of the columns at fault, where they are known."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The values at fault, or of the rows among which they are: by the column's name."""
    bound: int | None = None
    """For `OUT_OF_RANGE` the largest number, where it is known."""
    cuts_reference: bool = False
    """For `NULL`, whether an update has emptied a reference, as the ORM does in the rows that refer
    to one that it deletes."""


@dataclass(frozen=True)
class Statement:
    """The statement that an error is about."""

    verb: str
    """The first word, in capital letters; empty for a commit."""
    table: Table | None
    rows: Sequence[Mapping[str, Any]] = ()
    """The parameters of each row, by the column's name where they belong to one."""
    labels: frozenset[str] = frozenset()
    """The values that the models allow for parameters of a type `Enum`."""


def is_allowed_by_models(violation: Violation, constraint: str | None, stated: Statement) -> bool:
    """Return whether the models allow what the database refuses, as it is behind them.

    That is a value of an `Enum` that the type or the check in the database lacks, and null for a
    column that only the database demands. Such a violation is not the fault of the data.
    """
    table, kind, rows = stated.table, violation.kind, violation.rows
    if kind == Kind.MALFORMED:
        return any(value in stated.labels for row in rows for value in row.values())
    if table is None or not violation.columns or violation.cuts_reference:
        return False
    columns = [table.columns[name] for name in violation.columns if name in table.columns]
    if kind == Kind.NULL:
        return bool(columns) and all(column.nullable for column in columns)
    if kind == Kind.CHECK and not _is_declared(constraint, table):
        return all(
            row.get(column.name) in (None, *enum_values(column.type))
            for column in columns
            for row in rows
        )
    return False


def enum_values(kind: TypeEngine[Any]) -> tuple[Any, ...]:
    """Return what a column of a type `Enum`, or a list of such, may hold; nothing for others."""
    while not isinstance(kind, Enum):
        inner = kind.impl_instance if isinstance(kind, TypeDecorator) else None
        inner = getattr(kind, "item_type", inner)
        if inner is None:
            return ()
        kind = inner
    return (*kind.enums, *(kind.enum_class or ()))


def _is_declared(constraint: str | None, table: Table) -> bool:
    """Return whether a check is one that the table declares, other than that of an `Enum`."""
    return any(
        one.name == constraint and not getattr(one, "_type_bound", False)
        for one in _checks_of(table)
    )


def _checks_of(table: Table) -> Iterator[CheckConstraint]:
    """Yield the checks of a table, also those that are declared in a column."""
    for owner in (table, *table.columns):
        yield from (one for one in owner.constraints if isinstance(one, CheckConstraint))


def cuts_reference(columns: Sequence[str], statement: Statement) -> bool:
    """Return whether a statement empties a column that refers to another row."""
    table = statement.table
    return (
        statement.verb == "UPDATE"
        and table is not None
        and any(name in table.columns and table.columns[name].foreign_keys for name in columns)
    )


def too_large(statement: Statement) -> Iterator[Mapping[str, Any]]:
    """Yield the columns, and their values, of texts and decimals beyond what their types hold."""
    columns = () if statement.table is None else statement.table.columns
    for row in statement.rows:
        for column in columns:
            value, kind = row.get(column.name), column.type
            if isinstance(value, str) and isinstance(kind, String):
                is_too_large = kind.length is not None and len(value) > kind.length
            elif isinstance(value, (int, float, Decimal)) and isinstance(kind, Numeric):
                digits = None if kind.precision is None else kind.precision - (kind.scale or 0)
                is_too_large = digits is not None and abs(value) >= 10**digits
            else:
                continue
            if is_too_large:
                yield {column.name: value}


def check_columns(name: str | None, table: Table | None) -> tuple[str, ...]:
    """Return the columns that a check is about, by its name or, where it has none, its text."""
    texts = [
        str(check.sqltext)
        for check in (() if table is None else _checks_of(table))
        if name is not None and check.name == name
    ]
    return _mentioned(texts or [name or ""], table)


def index_columns(name: str | None, table: Table | None) -> tuple[str, ...]:
    """Return the columns that the expressions of an index are about."""
    indexes = () if table is None else table.indexes
    texts = [str(one) for index in indexes if index.name == name for one in index.expressions]
    return _mentioned(texts, table)


def _mentioned(texts: Sequence[str], table: Table | None) -> tuple[str, ...]:
    """Return the columns of the table whose names are words of a text."""
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return tuple(
        column.name
        for column in (table.columns if table is not None else ())
        if column.name in words
    )

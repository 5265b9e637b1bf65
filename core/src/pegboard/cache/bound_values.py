"""The values to which a statement binds columns: in its condition, or in rows that it inserts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, product, takewhile
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Column, TableClause, TypeDecorator
from sqlalchemy.sql import Delete, Insert, Update, operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnElement,
)
from sqlalchemy.types import TypeEngine

Values = tuple[Any, ...]
"""One value for each column that was asked for."""

_bound: WeakKeyDictionary[Any, dict[str, dict[str, BindParameter[Any]]]] = WeakKeyDictionary()
"""What the condition of a compiled statement binds, by the names of table and column."""


def values_in_condition(
    columns: Sequence[Column[Any]], statement: Update | Delete, compiled: Any, parameters: Any
) -> Iterator[Values] | None:
    """Return what the columns of one table are in the rows that a statement writes.

    Returns None if the statement may write rows in which they are something else.
    """
    # SQLAlchemy compiles a statement once, with one condition, and executes it with many values.
    known = _bound.setdefault(compiled, {})
    table = columns[0].table.name
    bound = known.get(table)
    if bound is None:
        bound = known[table] = dict(_bound_in(statement.whereclause, table))
    if any(column.name not in bound for column in columns):
        return None
    return (
        row
        for values in parameters
        for row in product(*(_values(bound[column.name], compiled, values) for column in columns))
    )


def _bound_in(
    condition: ColumnElement[Any] | None, table: str
) -> Iterator[tuple[str, BindParameter[Any]]]:
    """Yield the columns of a table that a condition binds to a parameter."""
    for clause in _conjuncts(condition):
        if (
            isinstance(clause, BinaryExpression)
            and clause.operator in {operators.eq, operators.in_op}
            and isinstance(clause.right, BindParameter)
            and _name(getattr(clause.left, "table", None)) == table
            and _is_sent_unchanged(clause.right.type, clause.left.type)
        ):
            yield clause.left.name, clause.right


def values_inserted(
    columns: Sequence[Column[Any]], statement: Insert, compiled: Any, parameters: Any
) -> Iterator[Values] | None:
    """Return what the columns are in the rows that a statement inserts; None if it does not say."""
    names: list[str | None] = []
    for column in columns:
        if not _is_mentioned(column, compiled):
            if not _is_null_by_default(column):
                return None
            names.append(None)
        elif (name := _parameter_of(column, statement, compiled)) is None:
            return None
        else:
            names.append(name)
    return (tuple(name and values[name] for name in names) for values in parameters)


def _is_mentioned(column: Column[Any], compiled: Any) -> bool:
    pattern = rf"(?<!\w){re.escape(column.name)}(?!\w)"
    return re.search(pattern, compiled.string, re.IGNORECASE) is not None


def _is_null_by_default(column: Column[Any]) -> bool:
    return not column.primary_key and column.default is None and column.server_default is None


def _parameter_of(column: Column[Any], statement: Insert, compiled: Any) -> str | None:
    """Return the name of the parameter that a column's value is sent as, if it is sent as it is."""
    # Statements for several rows at once name those of the first row otherwise.
    if statement._multi_values or statement.select is not None:  # noqa: SLF001 - there is no public way
        return None
    written = (one.key for one in statement.table.columns if one.name == column.name)
    if (key := next(written, None)) is None:
        return None
    for bind, name in compiled.bind_names.items():
        # Other parameters may have the name of a column, too.
        if name == key and getattr(bind, "_is_crud", False):
            return key if _is_sent_unchanged(bind.type, column.type) else None
    return None


def _is_sent_unchanged(given: TypeEngine[Any], column: TypeEngine[Any]) -> bool:
    """Return whether a parameter's type converts a value as the column's does."""
    return not isinstance(given, TypeDecorator) or type(given) is type(column)


def _values(bind: BindParameter[Any], compiled: Any, values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the values of a parameter: one, or those of an expanded list."""
    name = compiled.bind_names[bind]
    if not bind.expanding:
        return [values.get(name)]
    names = (f"{name}_{number}" for number in count(1))
    return [values[one] for one in takewhile(values.__contains__, names)]


def _name(table: Any) -> str | None:
    """Return the name of a table; None for an alias, which may stand for another row."""
    return table.name if isinstance(table, TableClause) else None


def _conjuncts(clause: ColumnElement[Any] | None) -> list[Any]:
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        return [part for inner in clause.clauses for part in _conjuncts(cast("Any", inner))]
    return [] if clause is None else [clause]

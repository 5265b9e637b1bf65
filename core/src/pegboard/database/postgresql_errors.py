"""Tells what an error of PostgreSQL says of the data: constraint, columns and values."""

import re
from typing import Any

from pegboard.database.violation import (
    Kind,
    Statement,
    Violation,
    check_columns,
    cuts_reference,
    index_columns,
    is_allowed_by_models,
    too_large,
)

_FOREIGN_KEY = "23503"
_KINDS = {
    "23505": Kind.DUPLICATE,
    "23001": Kind.REFERENCED,
    "23502": Kind.NULL,
    "23514": Kind.CHECK,
    "23P01": Kind.EXCLUDED,
    "23000": Kind.EXCLUDED,
    "22001": Kind.TOO_LONG,
    "22003": Kind.OUT_OF_RANGE,
    "22021": Kind.UNSTORABLE,
    "22P05": Kind.UNSTORABLE,
    "22P02": Kind.MALFORMED,
    "22007": Kind.MALFORMED,
    "22008": Kind.MALFORMED,
}
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
# "Key (a, b)=(1, 2) is not present in table "notes"", in any language.
_KEY = re.compile(r"\((?P<columns>.*?)\)=\((?P<values>.*)\)(?P<rest>[^)]*)", re.DOTALL)
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)


def postgresql_violation(state: str, cause: Any, statement: Statement) -> Violation | None:
    """Return what an error says by its SQLSTATE and its diagnostics; None for other errors.

    None, too, for what the models allow: then the database is behind them.
    """
    found = cause.diag
    names, values, rest = _key(found.message_detail or "")
    if state == _FOREIGN_KEY:
        kind = _reference_kind(found.table_name, rest, statement)
        if kind != Kind.MISSING:
            return Violation(kind)
        return Violation(kind, names, [dict(zip(names, values, strict=False))])
    match _KINDS.get(state):
        case None:
            return None
        case Kind.DUPLICATE as kind if any("(" in name for name in names):  # of an expression
            columns = index_columns(found.constraint_name, statement.table)
            return Violation(kind, columns, statement.rows)
        case Kind.DUPLICATE as kind:
            return Violation(kind, names, [dict(zip(names, values, strict=False))])
        case kind:
            violation = _of_values(kind, found, statement)
            is_allowed = is_allowed_by_models(violation, found.constraint_name, statement)
            return None if is_allowed else violation


def _of_values(kind: Kind, found: Any, statement: Statement) -> Violation:
    """Return what is wrong with the values of the statement itself."""
    rows, message = statement.rows, found.message_primary or ""
    bounds = [largest for name, largest in _LARGEST.items() if name in message]
    match kind:
        case Kind.NULL:
            columns = (found.column_name,)
            is_cut = cuts_reference(columns, statement)
            return Violation(kind, columns, rows, cuts_reference=is_cut)
        case Kind.CHECK:
            return Violation(kind, check_columns(found.constraint_name, statement.table), rows)
        case Kind.OUT_OF_RANGE if bounds:
            return Violation(kind, rows=rows, bound=max(bounds))
        case Kind.TOO_LONG | Kind.OUT_OF_RANGE:
            rows = list(too_large(statement))
            return Violation(kind, tuple(name for row in rows for name in row), rows)
        case Kind.MALFORMED:
            quoted = _QUOTED.search(message)
            return Violation(kind, rows=[{"": quoted[1]}] if quoted else ())
        case _:
            return Violation(kind, rows=rows)


def _key(detail: str) -> tuple[tuple[str, ...], list[str], str]:
    """Return the columns and the values of the key that a detail quotes, and what follows."""
    key = _KEY.search(detail)
    if key is None:
        return (), [], ""
    if "(" in key["columns"]:
        return (key["columns"],), [key["values"]], key["rest"]
    names = tuple(name.strip('" ') for name in key["columns"].split(","))
    values = [key["values"]] if len(names) == 1 else key["values"].split(", ")
    return names, values if len(values) == len(names) else [], key["rest"]


def _reference_kind(child: str | None, rest: str, statement: Statement) -> Kind:
    """Tell the two violations of a foreign key apart; `rest` names the other of the two tables."""
    if statement.verb == "INSERT":
        return Kind.MISSING
    if statement.verb == "DELETE":
        return Kind.REFERENCED
    quoted = _QUOTED.search(rest)
    if quoted is None or child is None:
        return Kind.BROKEN_REFERENCE
    if "still referenced" in rest:
        return Kind.REFERENCED
    return Kind.REFERENCED if quoted[1] == child and "not present" not in rest else Kind.MISSING

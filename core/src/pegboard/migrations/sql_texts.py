"""The SQL of server defaults, generated columns and CHECK constraints, as it is compared."""

import re
from typing import TypeAlias

from sqlalchemy import CheckConstraint, Computed, DefaultClause, FetchedValue

HasSQL: TypeAlias = CheckConstraint | FetchedValue | None
"""A CHECK constraint, or what the database assigns to a column; None: nothing."""


def comparable(item: HasSQL) -> str:
    """Return the SQL of such an item as it is compared; empty for nothing."""
    return "" if item is None else normalized_sql(sql_of(item))


def sql_of(item: HasSQL) -> str:
    """Return the SQL of such an item as the database has it."""
    match item:
        case None:
            return "none"
        case Computed():
            return _closed(str(item.sqltext))
        case CheckConstraint():
            return str(item.sqltext)
        case DefaultClause():
            return str(item.arg)
    return type(item).__name__.lower()  # an Identity, or what a trigger assigns


def _closed(sql: str) -> str:
    """Return SQL up to the parenthesis that closes it.

    SQLAlchemy reads generated columns, on SQLite, to the last parenthesis of the table.
    """
    depth = 0
    for position, character in enumerate(sql):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return sql[:position]
    return sql


_CAST_NUMBER = re.compile(
    r"\(?'?(-?\d+(?:\.\d+)?)'?\)?::(?:smallint|integer|bigint|numeric|real|double precision)"
    r"(?:\(\d+(?:,\s*\d+)?\))?"
)
_TOKEN = re.compile(r"'(?:[^']|'')*'|[^']+")


def normalized_sql(sql: str) -> str:
    """Return SQL without what two descriptions of the same may differ in: space, case, quotes."""
    # A type in the schema of temporary tables stands for one of the same name elsewhere.
    sql = re.sub(r"\bpg_temp(?:_\d+)?\.", "", sql)
    parts = []
    for token in _TOKEN.findall(_CAST_NUMBER.sub(r"\1", sql)):
        if token.startswith("'"):
            number = token[1:-1]
            parts.append(number if re.fullmatch(r"-?\d+(\.\d+)?", number) else token)
        else:
            parts.append(re.sub(r'[\s"`\[\]]', "", token).lower())
    found = "".join(parts).replace("now()", "current_timestamp")
    while _is_wrapped(found):
        found = found[1:-1]
    return found


def _is_wrapped(sql: str) -> bool:
    """Return whether one pair of parentheses is around all of the SQL."""
    if not (sql.startswith("(") and sql.endswith(")")):
        return False
    depth = 0
    for character in re.sub(r"'(?:[^']|'')*'", "''", sql)[:-1]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if not depth:
            return False
    return True

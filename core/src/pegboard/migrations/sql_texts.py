"""The SQL of server defaults, generated columns and CHECK constraints, as it is compared."""

import re
from typing import Any

from sqlalchemy import CheckConstraint, Computed


def comparable(item: Any) -> str:
    """Return the SQL of a server default, a generated column or a CHECK, as it is compared."""
    if item is None:
        return ""
    return normalized(sql_of(item))


def sql_of(item: Any) -> str:
    """Return the SQL of such an item as the database has it."""
    if item is None:
        return "none"
    if not isinstance(item, Computed):
        return str(item.sqltext if isinstance(item, CheckConstraint) else item.arg)
    # SQLAlchemy reads on, on SQLite, to the last parenthesis of the table.
    depth, found = 0, str(item.sqltext)
    for position, character in enumerate(found):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return found[:position]
    return found


_CAST_NUMBER = re.compile(
    r"\(?'?(-?\d+(?:\.\d+)?)'?\)?::(?:smallint|integer|bigint|numeric|real|double precision)"
    r"(?:\(\d+(?:,\s*\d+)?\))?"
)
_TOKEN = re.compile(r"'(?:[^']|'')*'|[^']+")


def normalized(sql: str) -> str:
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

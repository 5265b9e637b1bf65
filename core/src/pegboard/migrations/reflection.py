"""What SQLAlchemy does not read of a database of SQLite by itself."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SAWarning


def extend_reflection(dialect: Dialect) -> None:
    """Let the dialect of SQLite read indexes on expressions and `AUTOINCREMENT`.

    It leaves them out otherwise, and a table that is rebuilt would lose them.
    """
    if "get_indexes" in vars(dialect):
        return
    usual: Any = dialect.get_indexes
    usual_options: Any = dialect.get_table_options

    def get_table_options(
        connection: sa.Connection, table_name: str, schema: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        try:
            options = {**usual_options(connection, table_name, schema, **kwargs)}
        except NotImplementedError:  # a version of SQLAlchemy that knows none
            options = {}
        if has_kept_ids(connection, table_name, schema):
            options["sqlite_autoincrement"] = True
        return options

    def get_indexes(
        connection: sa.Connection, table_name: str, schema: str | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
            found = {
                index["name"]: index for index in usual(connection, table_name, schema, **kwargs)
            }
        for name, sql in _definitions(connection, table_name, schema, "index"):
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
    dialect.get_table_options = get_table_options  # type: ignore[method-assign]


def has_kept_ids(connection: sa.Connection, table: str, schema: str | None = None) -> bool:
    """Return whether a table of SQLite is made so that ids of deleted rows are not used again."""
    definitions = _definitions(connection, table, schema, "table")
    return any(re.search(r"\bAUTOINCREMENT\b", sql, re.IGNORECASE) for _, sql in definitions)


def _definitions(
    connection: sa.Connection, table: str, schema: str | None, kind: str
) -> Sequence[Any]:
    prefix = f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""
    query = (
        f"SELECT name, sql FROM {prefix}sqlite_master"  # noqa: S608 - the schema is quoted
        " WHERE type = ? AND tbl_name = ? AND sql IS NOT NULL"
    )
    return connection.exec_driver_sql(query, (kind, table)).all()


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

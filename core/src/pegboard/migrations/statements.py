"""Reading from the text of a PostgreSQL statement which tables it changes.

That is all there is to go by before a statement is executed. A name that only a function or a
procedural block computes is not seen.
"""

import re
from collections.abc import Iterator

from pegboard.migrations.table_names import TableName

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_QUALIFIED_NAME = rf"{_NAME}(?:\s*\.\s*{_NAME})*"

# An ellipsis is for anything but a semicolon.
_CHANGES = """
    ALTER FOREIGN TABLE | ALTER INDEX | ALTER MATERIALIZED VIEW | ALTER SEQUENCE | ALTER TABLE
    ALTER VIEW
    ALTER POLICY … ON | ALTER TRIGGER … ON | ALTER RULE … ON
    CLUSTER | COPY
    COMMENT ON COLUMN | COMMENT ON FOREIGN TABLE | COMMENT ON INDEX | COMMENT ON MATERIALIZED VIEW
    COMMENT ON SEQUENCE | COMMENT ON TABLE | COMMENT ON VIEW
    COMMENT ON CONSTRAINT … ON | COMMENT ON POLICY … ON | COMMENT ON RULE … ON
    COMMENT ON TRIGGER … ON
    CREATE INDEX … ON | CREATE UNIQUE INDEX … ON | CREATE POLICY … ON
    CREATE … TRIGGER … ON | CREATE … RULE … TO
    DELETE FROM | DROP FOREIGN TABLE | DROP INDEX | DROP MATERIALIZED VIEW | DROP SEQUENCE
    DROP TABLE | DROP VIEW
    DROP POLICY … ON | DROP RULE … ON | DROP TRIGGER … ON
    GRANT … ON | REVOKE … ON
    INHERITS ( | PARTITION OF
    INSERT INTO | MERGE INTO | UPDATE
    REFRESH MATERIALIZED VIEW | REINDEX … INDEX | REINDEX … TABLE
    TRUNCATE | VACUUM
"""
"""What stands in a statement before the names of the tables, indexes, sequences it changes."""

_OPTIONS = (
    r"(?:\s*(?:\([^)]*\)|\b(?:ANALYZE|CONCURRENTLY|FREEZE|FULL|IF\s+EXISTS|ONLY|SEQUENCE|"
    r"TABLE|VERBOSE)\b))*"
)
"""What may stand between that and the names."""


def _as_expression(words: str) -> str:
    """Return the expression for some words of `_CHANGES`."""
    expression = r"\s+".join(map(re.escape, words.split()))
    return expression.replace(r"\s+…\s+", r"\b[^;]*?\b")


_CHANGE = re.compile(
    r"\b(?P<change>"
    + "|".join(map(_as_expression, re.split(r"[|\n]", _CHANGES.strip())))
    + rf"){_OPTIONS}\s*(?P<names>{_QUALIFIED_NAME}(?:\s*,\s*{_QUALIFIED_NAME})*)",
    re.IGNORECASE,
)

_OF_SCHEMAS = re.compile(
    r"\b(?:(?:GRANT|REVOKE)\b[^;]*?\bON\s+ALL\s+(?:TABLES|SEQUENCES)\s+IN\s+SCHEMA"
    rf"|DROP\s+SCHEMA(?:\s+IF\s+EXISTS)?)\s+(?P<schemas>{_NAME}(?:\s*,\s*{_NAME})*)",
    re.IGNORECASE,
)
_OF_ROLES = re.compile(r"\b(?:REASSIGN|DROP)\s+OWNED\b", re.IGNORECASE)

_SETVAL = re.compile(rf"\bsetval\s*\(\s*'(?P<names>{_QUALIFIED_NAME})'", re.IGNORECASE)

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<name> "(?:[^"]|"")*" )
    | (?P<string> \bE'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' )
    | (?P<body> \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""What may have words in it that are not SQL; a body is that of a function, as in `$$…$$`."""

_COMMIT = re.compile(r"(?:^|;)\s*(?:COMMIT|END|PREPARE\s+TRANSACTION)\b", re.IGNORECASE)


def tables_changed_by(statement: str) -> Iterator[TableName]:
    """Yield the tables, indexes and sequences that a statement changes, as its text has them."""
    text = _without_comments(statement)
    for match in (*_CHANGE.finditer(text), *_SETVAL.finditer(text)):
        for qualified in re.findall(_QUALIFIED_NAME, match["names"]):
            parts = [_unquoted(part) for part in re.findall(_NAME, qualified)]
            if match[1].upper().endswith("COLUMN"):
                parts.pop()
            if parts:
                yield TableName.of(parts[-2] if len(parts) > 1 else None, parts[-1])


def may_change_unnamed(statement: str, table: TableName) -> bool:
    """Return whether a statement concerns all tables of the table's schema, or of a role."""
    text = _without_comments(statement)
    if _OF_ROLES.search(text):
        return True
    schemas = (
        _unquoted(name)
        for match in _OF_SCHEMAS.finditer(text)
        for name in re.findall(_NAME, match["schemas"])
    )
    return any(TableName.of(schema, table.name) == table for schema in schemas)


def sets_sequence(statement: str) -> bool:
    """Return whether a statement sets a sequence, which no rollback undoes."""
    return _SETVAL.search(_without_comments(statement)) is not None


def commits(statement: str) -> bool:
    """Return whether a statement ends a transaction."""
    return _COMMIT.search(_TOKEN.sub(" ", statement)) is not None


def _without_comments(statement: str) -> str:
    """Return a statement with a space for each comment, also in the bodies of functions."""

    def replaced(token: re.Match[str]) -> str:
        if token["body"]:
            mark = f"${token['tag']}$"
            return mark + _without_comments(token[0].removeprefix(mark).removesuffix(mark)) + mark
        return " " if token["comment"] else token[0]

    return _TOKEN.sub(replaced, statement)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()

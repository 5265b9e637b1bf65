"""Views and other objects of PostgreSQL on the tables of a history, which keep these from going."""

import re
from collections.abc import Collection

from sqlalchemy import Connection, Row, text

from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import History
from pegboard.migrations.revision_faults import package_of
from pegboard.migrations.table_names import TableName

_DEPENDENTS = text("""
    WITH RECURSIVE going (class, id, of) AS (
        SELECT CAST(CAST('pg_class' AS regclass) AS oid), pg_class.oid, pg_class.oid
        FROM pg_catalog.pg_class
        JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind IN ('r', 'p') AND (nspname, relname) IN (
            SELECT * FROM unnest(CAST(:schemas AS text[]), CAST(:names AS text[]))
        )
        UNION
        SELECT classid, objid, of FROM pg_catalog.pg_depend
        JOIN going ON refclassid = class AND refobjid = id
        WHERE deptype IN ('a', 'i', 'P', 'S')
    ), dependents (class, id, part, of) AS (
        -- A view depends on a table by its rule.
        SELECT
            CASE WHEN ev_class IS NULL THEN classid
            ELSE CAST(CAST('pg_class' AS regclass) AS oid) END,
            coalesce(ev_class, objid), CASE WHEN ev_class IS NULL THEN objsubid ELSE 0 END, of
        FROM pg_catalog.pg_depend
        JOIN going ON refclassid = class AND refobjid = id
        LEFT JOIN pg_catalog.pg_rewrite
        ON classid = CAST('pg_rewrite' AS regclass) AND pg_rewrite.oid = objid
        WHERE deptype = 'n'
    )
    SELECT DISTINCT pg_describe_object(class, id, part) AS dependent,
        (pg_identify_object_as_address(class, id, part)).object_names AS names,
        CAST(CAST(of AS regclass) AS text) AS of
    FROM dependents WHERE (class, id) NOT IN (SELECT class, id FROM going)
    ORDER BY dependent, of
""")
"""What is not dropped with a table, and so keeps it: see PostgreSQL's `pg_depend`."""


def reject_dependents(
    tables: Collection[TableName], history: History, connection: Connection
) -> None:
    """Raise `MigrationError` if PostgreSQL would not drop the tables, as something depends on them.

    What the history's own files name is left to its downgrades. SQLite drops a table all the same.
    """
    if connection.dialect.name != "postgresql":
        return
    default = connection.dialect.default_schema_name
    values = {
        "schemas": [table.schema or default for table in tables],
        "names": [table.name for table in tables],
    }
    found = connection.execute(_DEPENDENTS, values).all()
    connection.rollback()
    if not found:
        return
    source = _source_of(history)
    if foreign := [one for one in found if not _is_named(one, source)]:
        listed = "; ".join(f"{one.dependent} depends on its table {one.of}" for one in foreign)
        message = (
            f"{history.name}: {listed}; drop that first, as Pegboard does not know whose it is"
        )
        raise MigrationError(message)


def _is_named(dependent: Row[tuple[str, list[str], str]], source: str) -> bool:
    names = dependent.names[1:] or dependent.names  # the first is the schema
    return all(re.search(rf"\b{re.escape(name)}\b", source, re.IGNORECASE) for name in names)


def _source_of(history: History) -> str:
    """Return all Python and SQL of a plugin: a revision may take its SQL from elsewhere there."""
    package = package_of(history)
    folder = package if (package / "__init__.py").is_file() else history.versions
    files = [path for path in folder.rglob("*") if path.suffix in {".py", ".sql"}]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)

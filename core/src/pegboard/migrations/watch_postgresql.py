"""Watching which tables the transactions on a PostgreSQL connection touch.

A transaction holds the locks of all it did until it ends, in whatever form it was told to. So
before each commit, also one in SQL, the locks on the watched tables are read. Locks of readers and
of rows that a foreign key points to say that nothing was touched, a lock of writers says that rows
were, and for all others the definition of the table is compared with what it was.

What cannot run in a transaction, such as CREATE INDEX CONCURRENTLY, leaves no locks and cannot be
rolled back: there the table is read from the text of each statement before it is executed.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, event, text

from pegboard.migrations.ownership import TableName

_OIDS = text("""
    SELECT tables.oid, namespaces.nspname, tables.relname
    FROM pg_catalog.pg_class AS tables
    JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = tables.relnamespace
    WHERE tables.relname = ANY (:names) AND tables.relkind IN ('r', 'p', 'v', 'm', 'f')
""")

_LOCKS = text("""
    SELECT relation, bool_or(mode = 'RowExclusiveLock') AS is_written
    FROM pg_catalog.pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND mode NOT IN ('AccessShareLock', 'RowShareLock')
    GROUP BY relation
""")

# The rows of another table were perhaps written by a foreign key that points from it, or by a
# trigger: neither is what the revision asked for.
_WRITES_ON = text("""
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_trigger
        WHERE tgrelid = ANY (:written) AND tgrelid <> :table AND NOT tgisinternal
        UNION ALL
        SELECT FROM pg_catalog.pg_constraint
        WHERE conrelid = :table AND confrelid = ANY (:written) AND contype = 'f'
        AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
    )
""")

_DEFINITIONS = text("""
    SELECT tables.oid, CAST(ROW(
        relname, relnamespace, relowner, relfilenode, reloptions, relpersistence, relrowsecurity,
        relforcerowsecurity, relreplident,
        ARRAY(SELECT CAST(ROW(
                attnum, attname, atttypid, atttypmod, attnotnull, attidentity, attgenerated,
                attcollation, attisdropped, attstorage, pg_get_expr(adbin, adrelid)
            ) AS text)
            FROM pg_catalog.pg_attribute
            LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attrelid = tables.oid AND attnum > 0 ORDER BY attnum),
        ARRAY(SELECT CAST(ROW(
                conname, contype, conkey, convalidated, condeferrable, condeferred, confrelid,
                confkey, confupdtype, confdeltype, pg_get_expr(conbin, conrelid)
            ) AS text)
            FROM pg_catalog.pg_constraint WHERE conrelid = tables.oid ORDER BY oid),
        ARRAY(SELECT pg_get_indexdef(indexrelid)
            FROM pg_catalog.pg_index WHERE indrelid = tables.oid ORDER BY indexrelid),
        ARRAY(SELECT CAST(ROW(tgname, tgenabled, pg_get_triggerdef(oid)) AS text)
            FROM pg_catalog.pg_trigger
            WHERE tgrelid = tables.oid AND NOT tgisinternal ORDER BY oid),
        ARRAY(SELECT pg_get_ruledef(oid)
            FROM pg_catalog.pg_rewrite WHERE ev_class = tables.oid ORDER BY oid),
        ARRAY(SELECT CAST(ROW(polname, polcmd, polroles, pg_get_expr(polqual, polrelid)) AS text)
            FROM pg_catalog.pg_policy WHERE polrelid = tables.oid ORDER BY oid),
        ARRAY(SELECT CAST(ROW(objsubid, description) AS text)
            FROM pg_catalog.pg_description
            WHERE objoid = tables.oid AND classoid = CAST('pg_class' AS regclass)
            ORDER BY objsubid)
    ) AS text) AS definition
    FROM pg_catalog.pg_class AS tables WHERE tables.oid = ANY (:oids)
""")

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_STATEMENT = re.compile(
    rf"""(?isx) \b (?:
        (?: alter\s+table | cluster | copy | delete\s+from
          | drop\s+(?:materialized\s+view|table|view)
          | insert\s+into | merge\s+into | (?:alter|drop|reindex)\s+index | reindex\s+table
          | truncate (?:\s+table)? | update
          | vacuum (?:\s*\([^)]*\)|\s+(?:full|freeze|verbose|analyze)\b)* )
        | create\s+(?:or\s+replace\s+)? (?:unique\s+index|index|\w*\s*trigger|rule) \b .*? \b on
    )
    (?: \s+ (?:concurrently|if\s+exists|only|verbose) \b )* \s*
    (?P<tables> {_NAME}(?:\s*\.\s*{_NAME})? (?:\s*,\s*{_NAME}(?:\s*\.\s*{_NAME})?)* )
    """
)
"""A statement that touches tables, or indexes, which are named in its group."""

_COMMIT = re.compile(r"(?is) ^\W*(?:commit|end)\b | ;\s*commit\b", re.VERBOSE)
"""SQL that ends a transaction, which no event of SQLAlchemy tells."""

_QUALIFIED = re.compile(rf"(?:({_NAME})\s*\.\s*)?({_NAME})")


@contextmanager
def watch_postgresql(
    connection: Connection,
    tables: Collection[TableName],
    refuse: Callable[[TableName], Exception],
) -> Iterator[None]:
    """Raise what `refuse` returns for a table if the block touches one of `tables`.

    It is raised before the transaction that did it is committed, and nothing can be committed
    afterwards. The connection must not be in a transaction yet.
    """
    watched = _find(connection, tables)
    before = _definitions(connection, watched)
    indexes = _indexes(connection, watched)
    connection.rollback()
    named: set[TableName] = set()

    def note_statement(
        connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        _context: object,
        _executemany: object,
    ) -> None:
        found = {indexes.get(name, name) for name in _named(statement)} & {*watched.values()}
        named.update(found)
        options = connection.get_execution_options()
        is_commit = _COMMIT.search(statement) is not None
        if is_commit or options.get("isolation_level") == "AUTOCOMMIT":
            for table in found:
                raise refuse(table)
        if is_commit:
            refuse_commit(connection)

    def refuse_commit(connection: Connection) -> None:
        if table := _touched(connection, watched, before, named):
            # SQLAlchemy does not roll back what it has begun to commit.
            connection.dialect.do_rollback(connection.connection)
            raise refuse(table)

    event.listen(connection, "before_cursor_execute", note_statement)
    event.listen(connection, "commit", refuse_commit)
    try:
        yield
    finally:
        event.remove(connection, "commit", refuse_commit)
        event.remove(connection, "before_cursor_execute", note_statement)


def _touched(
    connection: Connection,
    watched: Mapping[int, TableName],
    before: Mapping[int, str],
    named: Collection[TableName],
) -> TableName | None:
    """Return a watched table that the transaction has touched, by its locks; None without one.

    `before` are the definitions of the tables before it, `named` the tables that the text of a
    statement has named.
    """
    locks = {row.relation: row.is_written for row in connection.execute(_LOCKS)}
    held = {oid: watched[oid] for oid in watched.keys() & locks}
    after = _definitions(connection, held) if held else {}
    written = [oid for oid, is_written in locks.items() if is_written]
    for oid, table in held.items():
        if before[oid] != after.get(oid):
            return table
        if locks[oid]:
            parameters = {"written": written, "table": oid}
            if table in named or not connection.scalar(_WRITES_ON, parameters):
                return table
    return None


def _find(connection: Connection, tables: Collection[TableName]) -> dict[int, TableName]:
    """Return the tables by their ids in PostgreSQL's catalog."""
    rows = connection.execute(_OIDS, {"names": [table.name for table in tables]})
    found = {row.oid: TableName.of(row.nspname, row.relname) for row in rows}
    return {oid: table for oid, table in found.items() if table in tables}


def _definitions(connection: Connection, oids: Collection[int]) -> dict[int, str]:
    rows = connection.execute(_DEFINITIONS, {"oids": [*oids]})
    return {row.oid: row.definition for row in rows}


def _indexes(connection: Connection, tables: dict[int, TableName]) -> dict[TableName, TableName]:
    """Return the table of each index of the tables."""
    query = text("""
        SELECT nspname, relname, indrelid
        FROM pg_catalog.pg_index
        JOIN pg_catalog.pg_class AS indexes ON indexes.oid = indexrelid
        JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = relnamespace
        WHERE indrelid = ANY (:oids)
    """)
    rows = connection.execute(query, {"oids": [*tables]})
    return {TableName.of(row.nspname, row.relname): tables[row.indrelid] for row in rows}


def _named(statement: str) -> Iterator[TableName]:
    """Yield the tables and indexes that a statement changes, as its text has them."""
    for match in _STATEMENT.finditer(statement):
        for schema, name in _QUALIFIED.findall(match["tables"]):
            yield TableName.of(_unquoted(schema) if schema else None, _unquoted(name))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()

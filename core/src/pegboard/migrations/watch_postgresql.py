"""Watching which tables the transactions on a PostgreSQL connection touch.

A transaction holds the locks of all it did until it ends, in whatever form it was told to. So
before each commit, also one in SQL, the locks on the watched tables are read. Locks of readers and
of rows that a foreign key points to say that nothing was touched, a lock of writers says that rows
were, and for all others the definition of the table is compared with what it was. The sequences
that belong to a table count as the table.

What cannot run in a transaction, such as CREATE INDEX CONCURRENTLY, leaves no locks and cannot be
rolled back: there the table is read from the text of each statement before it is executed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, event, text

from pegboard.database import WatchedConnection
from pegboard.migrations.statements import (
    commits,
    may_change_unnamed,
    sets_sequence,
    tables_changed_by,
)
from pegboard.migrations.table_names import TableName
from pegboard.migrations.taken_connections import visit_taken_connections

_OIDS = text("""
    SELECT tables.oid, namespaces.nspname, tables.relname
    FROM pg_catalog.pg_class AS tables
    JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = tables.relnamespace
    WHERE tables.relname = ANY (:names) AND tables.relkind IN ('r', 'p', 'v', 'm', 'f')
""")

_PARTS = text("""
    SELECT parts.oid, nspname, relname, relkind, owners.owner
    FROM (
        SELECT indexrelid AS oid, indrelid AS owner FROM pg_catalog.pg_index
        UNION
        SELECT objid, refobjid FROM pg_catalog.pg_depend
        WHERE classid = CAST('pg_class' AS regclass) AND refclassid = CAST('pg_class' AS regclass)
        AND deptype IN ('a', 'i') AND refobjsubid > 0
    ) AS owners
    JOIN pg_catalog.pg_class AS parts ON parts.oid = owners.oid AND relkind IN ('i', 'I', 'S')
    JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = relnamespace
    WHERE owner = ANY (:oids)
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
            ORDER BY objsubid),
        ARRAY(SELECT CAST(ROW(inhrelid, inhparent) AS text)
            FROM pg_catalog.pg_inherits
            WHERE tables.oid IN (inhrelid, inhparent) ORDER BY inhrelid, inhparent),
        ARRAY(SELECT CAST(sequences AS text)
            FROM pg_catalog.pg_sequence AS sequences WHERE seqrelid = tables.oid),
        ARRAY(SELECT CAST(ROW(refobjid, refobjsubid) AS text)
            FROM pg_catalog.pg_depend
            WHERE classid = CAST('pg_class' AS regclass) AND objid = tables.oid
            AND refclassid = CAST('pg_class' AS regclass) AND relkind = 'S'
            ORDER BY refobjid, refobjsubid)
    ) AS text) AS definition
    FROM pg_catalog.pg_class AS tables WHERE tables.oid = ANY (:oids)
""")

# GRANT and REVOKE take no lock.
_PRIVILEGES = text("""
    SELECT tables.oid, CAST(ROW(
        relacl,
        ARRAY(SELECT CAST(ROW(attnum, attacl) AS text)
            FROM pg_catalog.pg_attribute
            WHERE attrelid = tables.oid AND attacl IS NOT NULL ORDER BY attnum)
    ) AS text) AS privileges
    FROM pg_catalog.pg_class AS tables WHERE tables.oid = ANY (:oids)
""")


@contextmanager
def watch_postgresql(
    connection: Connection,
    tables: Collection[TableName],
    refuse: Callable[[TableName], Exception],
) -> Iterator[None]:
    """Raise what `refuse` returns for a table if the block touches one of `tables`.

    It is raised before the transaction that did it is committed, and nothing can be committed
    afterwards. Where the text of a statement names the table, `refuse` is called before it is
    executed, so that it can tell where. The connection must not be in a transaction yet. On other
    connections of the engine, whose transactions are not known, each statement is refused by its
    text.
    """
    found = _find(connection, tables)
    parts = _parts(connection, found)
    watched = found | {part.oid: part.table for part in parts if part.is_sequence}
    before = _state(connection, watched)
    table_of = {part.name: part.table for part in parts}
    connection.rollback()
    refusals: dict[TableName, Exception] = {}

    def changed_by(statement: str) -> set[TableName]:
        return {table_of.get(name, name) for name in tables_changed_by(statement)} & {
            *watched.values()
        }

    def refuse_statement(statement: str) -> None:
        unnamed = {one for one in found.values() if may_change_unnamed(statement, one)}
        if tables := changed_by(statement) | unnamed:
            raise refuse(min(tables, key=str))

    def note_statement(statement: str) -> None:
        for table in changed_by(statement) - refusals.keys():
            refusals[table] = refuse(table)
        driver: Any = connection.connection.driver_connection
        is_commit = commits(statement)
        if is_commit or driver.autocommit or sets_sequence(statement):
            refuse_statement(statement)
        if is_commit:
            refuse_commit()

    def refuse_commit() -> None:
        if table := _touched(connection, watched, before, refusals):
            # SQLAlchemy does not roll back what it has begun to commit.
            connection.dialect.do_rollback(connection.connection)
            raise refusals.get(table) or refuse(table)

    with _watch_driver(connection, note_statement, refuse_commit, refuse_statement):
        yield


@contextmanager
def _watch_driver(
    connection: Connection,
    note_statement: Callable[[str], None],
    refuse_commit: Callable[[], None],
    refuse_statement: Callable[[str], None],
) -> Iterator[None]:
    """Call the functions before each statement and commit of the connection, in the block.

    `refuse_statement` is called before each statement on another connection that this thread takes
    from the engine meanwhile. With another driver than psycopg2 only what passes SQLAlchemy counts.
    """
    drivers: list[WatchedConnection] = []

    def watch_other(driver: object) -> None:
        if isinstance(driver, WatchedConnection):
            driver.on_statement = refuse_statement
            drivers.append(driver)

    def on_statement(
        _connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        _context: object,
        _executemany: object,
    ) -> None:
        note_statement(statement)

    def on_commit(_connection: Connection) -> None:
        refuse_commit()

    driver: Any = connection.connection.driver_connection
    if isinstance(driver, WatchedConnection):
        driver.on_statement, driver.on_commit = note_statement, refuse_commit
        drivers.append(driver)
        try:
            with visit_taken_connections(connection.engine, watch_other):
                yield
        finally:
            for one in drivers:
                one.on_statement = one.on_commit = None
    else:
        event.listen(connection, "before_cursor_execute", on_statement)
        event.listen(connection, "commit", on_commit)
        try:
            yield
        finally:
            event.remove(connection, "commit", on_commit)
            event.remove(connection, "before_cursor_execute", on_statement)


def _touched(
    connection: Connection,
    watched: Mapping[int, TableName],
    before: Mapping[int, "_State"],
    named: Collection[TableName],
) -> TableName | None:
    """Return a watched table that the transaction has touched, by its locks; None without one.

    `before` are the states of the tables before it, `named` the tables that the text of a statement
    has named.
    """
    locks = {row.relation: row.is_written for row in connection.execute(_LOCKS)}
    after = _state(connection, watched)
    written = [oid for oid, is_written in locks.items() if is_written]
    for oid, table in watched.items():
        if oid in after and before[oid].privileges != after[oid].privileges:
            return table
        if oid not in locks:
            continue
        if before[oid] != after.get(oid):
            return table
        if locks[oid]:
            parameters = {"written": written, "table": oid}
            if table in named or not connection.scalar(_WRITES_ON, parameters):
                return table
    return None


class _State(NamedTuple):
    """What a table is, as texts that can be compared."""

    definition: str
    privileges: str


def _find(connection: Connection, tables: Collection[TableName]) -> dict[int, TableName]:
    """Return the tables by their ids in PostgreSQL's catalog, in the order of their names."""
    rows = connection.execute(_OIDS, {"names": [table.name for table in tables]})
    found = {row.oid: TableName.of(row.nspname, row.relname) for row in rows}
    ordered = sorted(found.items(), key=lambda one: str(one[1]))
    return {oid: table for oid, table in ordered if table in tables}


def _state(connection: Connection, oids: Collection[int]) -> dict[int, _State]:
    parameters = {"oids": [*oids]}
    privileges = {row.oid: row.privileges for row in connection.execute(_PRIVILEGES, parameters)}
    definitions = connection.execute(_DEFINITIONS, parameters)
    return {row.oid: _State(row.definition, privileges[row.oid]) for row in definitions}


class _Part(NamedTuple):
    """An index or a sequence of a table."""

    oid: int
    name: TableName
    table: TableName
    is_sequence: bool


def _parts(connection: Connection, tables: Mapping[int, TableName]) -> list[_Part]:
    """Return the indexes of the tables, and the sequences that belong to their columns."""
    rows = connection.execute(_PARTS, {"oids": [*tables]})
    return [
        _Part(
            row.oid, TableName.of(row.nspname, row.relname), tables[row.owner], row.relkind == "S"
        )
        for row in rows
    ]

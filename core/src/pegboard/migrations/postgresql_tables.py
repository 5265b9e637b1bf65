"""What PostgreSQL's catalog says of tables, and of what belongs to them."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, text

from pegboard.migrations.table_names import TableName

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


class TableState(NamedTuple):
    """What a table is, as texts that can be compared."""

    definition: str
    privileges: str


class TablePart(NamedTuple):
    """An index or a sequence of a table."""

    oid: int
    name: TableName
    table: TableName
    is_sequence: bool


def find_tables(connection: Connection, tables: Collection[TableName]) -> dict[int, TableName]:
    """Return the tables by their ids in the catalog, in the order of their names."""
    rows = connection.execute(_OIDS, {"names": [table.name for table in tables]})
    found = {row.oid: TableName.of(row.nspname, row.relname) for row in rows}
    ordered = sorted(found.items(), key=lambda one: str(one[1]))
    return {oid: table for oid, table in ordered if table in tables}


def find_parts(connection: Connection, tables: Mapping[int, TableName]) -> list[TablePart]:
    """Return the indexes of the tables, and the sequences that belong to their columns."""
    rows = connection.execute(_PARTS, {"oids": [*tables]})
    return [
        TablePart(
            row.oid, TableName.of(row.nspname, row.relname), tables[row.owner], row.relkind == "S"
        )
        for row in rows
    ]


def read_states(connection: Connection, oids: Collection[int]) -> dict[int, TableState]:
    """Return what tables are, by their ids; one that is gone is not in it."""
    parameters = {"oids": [*oids]}
    privileges = {row.oid: row.privileges for row in connection.execute(_PRIVILEGES, parameters)}
    definitions = connection.execute(_DEFINITIONS, parameters)
    return {row.oid: TableState(row.definition, privileges[row.oid]) for row in definitions}

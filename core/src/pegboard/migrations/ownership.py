"""Which tables belong to which history."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, inspect

from pegboard.migrations.histories import History, Migrate
from pegboard.migrations.model_tables import model_tables
from pegboard.migrations.revision_source import table_operations
from pegboard.migrations.script_directory import read_script_directory
from pegboard.migrations.table_names import TableName


def existing_tables(
    connection: Connection, schemas: Iterable[str | None] | None = None
) -> set[TableName]:
    """Return the tables that the database has in these schemas, by default in all."""
    inspector = inspect(connection)
    existing = [one for one in inspector.get_schema_names() if one != "information_schema"]
    wanted = {TableName.of(schema, "").schema for schema in existing}
    if schemas is not None:
        wanted &= {*schemas}
    return {
        TableName(schema, name)
        for schema in wanted
        for name in inspector.get_table_names(schema=schema)
    }


def owned_tables(
    history: History, migrate: Migrate, applied: Iterable[str] = ("heads",)
) -> set[TableName]:
    """Return the tables of the history's models, and those its revisions created and did not drop.

    The latter let autogenerate notice that a model was removed. All other tables of the database
    are left alone. `applied` are the newest revisions that count; a revision that is not applied
    has created nothing.
    """
    of_others = {
        name
        for other in migrate.histories
        if other.name != history.name
        for name in model_tables(other)
    }
    return {*model_tables(history)} | (created_tables(history, migrate, applied) - of_others)


def created_tables(
    history: History,
    migrate: Migrate,
    applied: Iterable[str] = ("heads",),
    without: Collection[str] = (),
) -> set[TableName]:
    """Return the tables that the revisions up to these created and did not drop.

    `without` are ids of revisions that do not count.
    """
    tables: set[TableName] = set()
    directory = read_script_directory(migrate.configuration(history))
    newest = tuple(applied)
    scripts = directory.iterate_revisions(newest, "base") if newest else ()
    for script in reversed(list(scripts)):
        if script.revision in without:
            continue
        for operation in table_operations(script):
            tables = operation.apply_to(tables)
    return tables


def downgraded_tables(
    history: History, migrate: Migrate, current: Iterable[str], surplus: Collection[str]
) -> set[TableName]:
    """Return the tables that are gone once the revisions of `surplus` have been downgraded.

    `current` are the newest applied revisions. With all of them the tables of the models are gone,
    too, also those that no revision creates by a constant name.
    """
    applied = tuple(current)
    scripts = read_script_directory(migrate.configuration(history)).iterate_revisions(
        applied, "base"
    )
    if {script.revision for script in scripts} <= {*surplus}:
        return owned_tables(history, migrate, applied)
    before = created_tables(history, migrate, applied)
    return before - created_tables(history, migrate, applied, without=surplus)


def ever_created_tables(history: History, migrate: Migrate) -> set[TableName]:
    """Return the tables that any revision of the history creates, also if a later one drops it."""
    scripts = read_script_directory(migrate.configuration(history)).walk_revisions()
    tables: set[TableName] = set()
    for script in scripts:
        for operation in table_operations(script):
            tables |= operation.apply_to(set())
    return tables

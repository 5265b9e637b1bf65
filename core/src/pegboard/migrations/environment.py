"""What a deployment's `env.py` calls: it configures Alembic for one history and runs it."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from flask import current_app
from sqlalchemy import Connection, Index, text
from sqlalchemy.schema import SchemaItem

from pegboard.database import BEGIN_IMMEDIATE_OPTION, db
from pegboard.migrations.comparators import PLUGIN as COMPARISONS
from pegboard.migrations.dialects import PostgreSQL
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.foreign_tables import refuse_foreign_tables
from pegboard.migrations.histories import SITE_HISTORY, History, get_migrate
from pegboard.migrations.ids import COMPARATORS
from pegboard.migrations.kept_transaction import keep_transaction
from pegboard.migrations.lock import migration_lock
from pegboard.migrations.ownership import owned_tables
from pegboard.migrations.reflection import extend_reflection
from pegboard.migrations.rendering import render_item
from pegboard.migrations.search_index import is_search_index
from pegboard.migrations.table_names import TableName

logger = logging.getLogger(__name__)

READ_ONLY_ATTRIBUTE = "read_only"
"""Key in the attributes of Alembic's configuration: SQLite's write lock is not needed."""

SITE_PREFIX = f"{SITE_HISTORY}_"
"""Objects on a plugin's table whose names begin so are the deployment's, and are not compared."""


def run_environment(**options: Any) -> None:
    """Run the Alembic command at hand for its history; called by `env.py`.

    `options` are passed to Alembic's `context.configure` and win over Pegboard's own.
    """
    config = context.config
    if context.is_offline_mode():
        # With the driver's own style each percent sign would be printed twice.
        printed = {"dialect_opts": {"paramstyle": "named"}, "literal_binds": True, **options}
        _configure(dialect_name=db.engine.dialect.name, **printed)
        with context.begin_transaction():
            context.run_migrations()
    elif (connection := config.attributes.get("connection")) is not None:
        _run_on(connection, options)
    else:
        with migration_lock(logger.info) as connection:
            _run_on(connection, options)


def _run_on(connection: Connection, options: dict[str, Any]) -> None:
    if context.config.attributes.get(READ_ONLY_ATTRIBUTE):
        _run(connection, options)
    else:
        with (
            refuse_foreign_tables(connection, context.config),
            keep_transaction(connection, context.config.attributes["history"]),
        ):
            _run(connection, options)


def _run(connection: Connection, options: dict[str, Any]) -> None:
    before = Counter[tuple[str, str]]()

    def drop_unused_types(ctx: MigrationContext, **_: Any) -> None:
        if isinstance(ctx.impl, PostgreSQL):
            ctx.impl.drop_unused_types()

    def check_foreign_keys(ctx: MigrationContext, **_: Any) -> None:
        if broken := _foreign_key_violations(ctx.connection) - before:
            pairs = ", ".join(f"{table} to {parent}" for table, parent in sorted(broken))
            message = f"rows refer to others that do not exist: {pairs}"
            raise MigrationError(message)

    is_read_only = context.config.attributes.get(READ_ONLY_ATTRIBUTE, False)
    is_sqlite = connection.dialect.name == "sqlite"
    if connection.dialect.name == "postgresql":
        options = {"on_version_apply": drop_unused_types, **options}
    if is_sqlite:
        extend_reflection(connection.dialect)
        options = {"on_version_apply": check_foreign_keys, "transactional_ddl": True, **options}
        # The transaction that reads the current revision also applies the next one.
        connection.execution_options(**{BEGIN_IMMEDIATE_OPTION: not is_read_only})
    try:
        # Before the first statement: it begins a transaction, and Alembic leaves a transaction that
        # is already open to its caller.
        _configure(connection=connection, **options)
        if is_sqlite:
            before.update(_foreign_key_violations(connection))
        with context.begin_transaction():
            context.run_migrations()
    finally:
        if is_sqlite:
            connection.execution_options(**{BEGIN_IMMEDIATE_OPTION: False})


def _configure(**options: Any) -> None:
    history: History = context.config.attributes["history"]
    tables = owned_tables(history, get_migrate())
    metadata = history.metadata
    schemas = {None, *(table.schema for table in tables)}

    def include_name(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        if kind == "schema":
            return name in schemas
        return kind != "table" or TableName(parents["schema_name"], name or "") in tables

    context.configure(
        **{
            "target_metadata": metadata,
            "autogenerate_plugins": ["alembic.autogenerate.*", COMPARISONS, COMPARATORS],
            "compare_server_default": True,
            "version_table": history.version_table,
            "transaction_per_migration": True,
            "include_schemas": schemas != {None},
            "include_name": include_name,
            "include_object": _include_object,
            "render_item": render_item,
            **current_app.extensions["migrate"].configure_args,
            **options,
        }
    )


def _include_object(
    item: SchemaItem,
    name: str | None,
    _kind: str,
    reflected: bool,  # noqa: FBT001 - Alembic calls it like this
    counterpart: object,
) -> bool:
    if not reflected or counterpart is not None:
        return True
    is_of_site = (name or "").startswith(SITE_PREFIX)
    return not is_of_site and not (isinstance(item, Index) and is_search_index(item))


def _foreign_key_violations(connection: Connection | None) -> Counter[tuple[str, str]]:
    assert connection is not None
    rows = connection.execute(text("PRAGMA foreign_key_check"))
    return Counter((row.table, row.parent) for row in rows)

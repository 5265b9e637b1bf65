"""Giving tables of SQLite, by a revision, ids that are not used again after a deletion."""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import PriorityDispatchResult

COMPARATORS = "pegboard.ids"
"""The name by which Alembic's option `autogenerate_plugins` knows the comparison."""


class KeepIdsOp(ops.MigrateOperation):
    """Rebuild a table so that ids are used once, or again as they were before."""

    def __init__(self, table: str, column: str, *, once: bool) -> None:
        self.table_name = table
        self.column = column
        self.once = once

    def reverse(self) -> "KeepIdsOp":
        """Return the operation that undoes this one."""
        return KeepIdsOp(self.table_name, self.column, once=not self.once)

    def to_diff_tuple(self) -> Any:
        """Return it as a difference of Alembic's, to be put into words."""
        verb = "use_ids_once_in_table" if self.once else "use_ids_again_in_table"
        return (verb, sa.table(self.table_name))


def _compare(
    _context: AutogenContext,
    changes: ops.ModifyTableOps,
    _schema: str | None,
    _name: str,
    in_database: sa.Table | None,
    in_models: sa.Table | None,
) -> PriorityDispatchResult:
    if in_database is not None and in_models is not None:
        wanted = _uses_ids_once(in_models)
        if wanted != _uses_ids_once(in_database):
            (column,) = in_models.primary_key.columns
            changes.ops.append(KeepIdsOp(in_models.name, column.name, once=wanted))
    return PriorityDispatchResult.CONTINUE


def _uses_ids_once(table: sa.Table) -> bool:
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def _render(_context: AutogenContext, operation: KeepIdsOp) -> list[str]:
    # The alteration makes SQLite rebuild the table, and changes nothing on other databases.
    options = {"sqlite_autoincrement": operation.once}
    table = f"{operation.table_name!r}, table_kwargs={options}"
    column = f"{operation.column!r}, existing_type=sa.Integer(), nullable=False"
    return [
        f"with op.batch_alter_table({table}) as batch_op:",
        f"batch_op.alter_column({column})",
        "",
    ]


def _register() -> None:
    plugin = Plugin(COMPARATORS)
    plugin.add_autogenerate_comparator(_compare, "table", "ids", qualifier="sqlite")
    renderers.dispatch_for(KeepIdsOp)(_render)


_register()

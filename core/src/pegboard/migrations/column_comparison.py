"""Comparing server defaults, generated columns and the values of enumerated types."""

from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import PriorityDispatchResult
from sqlalchemy import Column, Computed, DefaultClause, FetchedValue, Identity
from sqlalchemy.dialects.postgresql import ENUM

from pegboard.migrations.comparison import comparison_of, described_model
from pegboard.migrations.enums import named_type
from pegboard.migrations.sql_texts import comparable, sql_of

_NEXT_OF_SEQUENCE = "nextval("


def compare_default(
    context: AutogenContext,
    operation: ops.AlterColumnOp,
    _schema: str | None,
    table_name: str,
    column_name: str,
    in_database: Column[Any],
    in_models: Column[Any],
) -> PriorityDispatchResult:
    """Compare what the database assigns to a column: a generated value, a number, a default."""
    assert context.migration_context is not None
    if context.migration_context._user_compare_server_default is False:  # noqa: SLF001 - Alembic's comparisons read it as well
        return PriorityDispatchResult.STOP
    old, new = in_database.server_default, in_models.server_default
    if old is None and new is None:
        return PriorityDispatchResult.CONTINUE
    table = described_model(context, in_models.table)
    described = None if table is None else table.columns[column_name]
    if isinstance(old, Computed) or isinstance(new, Computed):
        difference = _computed_difference(old, new, described)
        if difference:
            comparison_of(context.migration_context).unwritten.append(
                f"modify generated column {table_name}.{column_name} {difference}"
            )
        return PriorityDispatchResult.STOP
    if isinstance(old, Identity) or isinstance(new, Identity):
        # SQLite has no such columns, so that what a revision writes there changes nothing.
        has_them = context.migration_context.dialect.supports_identity_columns
        return PriorityDispatchResult.CONTINUE if has_them else PriorityDispatchResult.STOP
    if not isinstance(old, DefaultClause | None) or not isinstance(new, DefaultClause | None):
        return PriorityDispatchResult.CONTINUE
    operation.existing_server_default = old
    if _default_differs(old, in_models, described):
        operation.modify_server_default = new
    return PriorityDispatchResult.STOP


def _computed_difference(
    old: FetchedValue | None, new: FetchedValue | None, described: Column[Any] | None
) -> str | None:
    """Return how a generated column is to change; None if it is not, or if that is not known."""
    if described is None and type(old) is type(new):
        return None
    wanted = new if described is None else described.server_default
    if comparable(old) == comparable(wanted):
        return None
    return f"from {sql_of(old)} to {sql_of(wanted)}"


def _default_differs(
    old: DefaultClause | None, in_models: Column[Any], described: Column[Any] | None
) -> bool:
    """Return whether the default of a model is another than that in the database."""
    if described is None:
        return (old is None) != (in_models.server_default is None)
    if in_models is in_models.table.autoincrement_column:
        return False
    found, wanted = comparable(old), comparable(described.server_default)
    # The sequence of a number that the database assigns has a name of its own in each table.
    are_numbers = found.startswith(_NEXT_OF_SEQUENCE) and wanted.startswith(_NEXT_OF_SEQUENCE)
    return found != wanted and not are_numbers


def compare_enum(
    context: AutogenContext,
    operation: ops.AlterColumnOp,
    _schema: str | None,
    _table_name: str,
    _column_name: str,
    in_database: Column[Any],
    in_models: Column[Any],
) -> PriorityDispatchResult:
    """Compare the values of PostgreSQL's enumerated types; not their order."""
    assert context.dialect is not None
    old, new = (named_type(column.type, context.dialect) for column in (in_database, in_models))
    if isinstance(old, ENUM) and isinstance(new, ENUM) and {*old.enums} != {*new.enums}:
        operation.existing_type = in_database.type
        operation.modify_type = in_models.type
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE

"""What a run of autogenerate finds besides the operations that Alembic has.

A database stores an expression in a form of its own, so the text of a model cannot be compared
with it. Instead the table of the model is created once more, as a temporary table that is rolled
back, or for SQLite in a database in memory, and what the database says of the two is compared.
"""

from dataclasses import dataclass, field

from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError

from pegboard.migrations.scratch_tables import describe_model, scratch_connection
from pegboard.redaction import reason_of

_MEMO = "pegboard_comparison"


@dataclass
class Comparison:
    """What a run of autogenerate has found that Alembic has no operation for."""

    models: dict[Table, Table | None] = field(default_factory=dict)
    """The tables of the models as the database describes them; None if it cannot create one."""
    unwritten: list[str] = field(default_factory=list)
    """Differences for which no revision can be written, one sentence each."""
    not_compared: list[str] = field(default_factory=list)
    """What could not be compared and why, one sentence each."""


def comparison_of(context: MigrationContext) -> Comparison:
    """Return what the run of autogenerate in this context has found besides its operations."""
    found: Comparison = context.impl.memo.setdefault(_MEMO, Comparison())
    return found


def described_model(context: AutogenContext, table: Table) -> Table | None:
    """Return the table of a model as the database would describe it; None if it cannot."""
    assert context.migration_context is not None
    assert context.connection is not None
    comparison = comparison_of(context.migration_context)
    if table not in comparison.models:
        try:
            with scratch_connection(context.connection) as connection:
                comparison.models[table] = describe_model(table, connection)
        except SQLAlchemyError as error:
            reason = reason_of(error)
            comparison.models[table] = None
            comparison.not_compared.append(
                f"server defaults, CHECK constraints and conditions of indexes of {table.fullname}"
                f": the database cannot create the table of the model: {reason}"
            )
    return comparison.models[table]

"""Comparing what Alembic leaves out: server defaults, CHECK constraints, enumerated types and more.

A database stores an expression in a form of its own, so the text of a model cannot be compared
with it. Instead the table of the model is created once more, as a temporary table that is rolled
back, or for SQLite in a database in memory, and what the database says of the two is compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    DefaultClause,
    Dialect,
    Enum,
    Identity,
    Index,
    Sequence,
    Table,
    UniqueConstraint,
    column,
    text,
)
from sqlalchemy.dialects.postgresql import ENUM, ExcludeConstraint
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.visitors import replacement_traverse

from pegboard.migrations.enums import named_type
from pegboard.migrations.rendering import literal_text
from pegboard.migrations.scratch_tables import describe_model, scratch_connection
from pegboard.migrations.sql_texts import comparable, normalized, sql_of

PLUGIN = "pegboard.migrations"
"""The name under which Alembic's option `autogenerate_plugins` knows these comparisons."""

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


def _describe_model(context: AutogenContext, table: Table) -> Table | None:
    """Return the table of a model as the database would describe it; None if it cannot."""
    assert context.migration_context is not None
    assert context.connection is not None
    comparison = comparison_of(context.migration_context)
    if table not in comparison.models:
        try:
            with scratch_connection(context.connection) as connection:
                comparison.models[table] = describe_model(table, connection)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            comparison.models[table] = None
            comparison.not_compared.append(
                f"server defaults, CHECK constraints and conditions of indexes of {table.fullname}"
                f": the database cannot create the table of the model: {reason}"
            )
    return comparison.models[table]


def _compare_default(
    context: AutogenContext,
    operation: ops.AlterColumnOp,
    _schema: str | None,
    table_name: str,
    column_name: str,
    in_database: Column[Any],
    in_models: Column[Any],
) -> PriorityDispatchResult:
    migration_context = context.migration_context
    assert migration_context is not None
    old: Any
    new: Any
    old, new = in_database.server_default, in_models.server_default
    if migration_context._user_compare_server_default is False:  # noqa: SLF001 - Alembic's comparisons read it as well
        return PriorityDispatchResult.STOP
    if old is None and new is None:
        return PriorityDispatchResult.CONTINUE
    described = _describe_model(context, in_models.table)
    wanted: Any = described.columns[column_name].server_default if described is not None else new
    if isinstance(old, Computed) or isinstance(new, Computed):
        is_known = described is not None or type(old) is not type(new)
        if is_known and comparable(old) != comparable(wanted):
            comparison_of(migration_context).unwritten.append(
                f"modify generated column {table_name}.{column_name} from {sql_of(old)} to "
                f"{sql_of(wanted)}"
            )
        return PriorityDispatchResult.STOP
    if isinstance(old, Identity) or isinstance(new, Identity):
        # SQLite has no such columns, so that what a revision writes there changes nothing.
        has_them = migration_context.dialect.supports_identity_columns
        return PriorityDispatchResult.CONTINUE if has_them else PriorityDispatchResult.STOP
    if not isinstance(old, DefaultClause | None) or not isinstance(new, DefaultClause | None):
        return PriorityDispatchResult.CONTINUE
    operation.existing_server_default = old
    if described is None:
        differs = (old is None) != (new is None)
    else:
        # The sequence of a number that the database assigns has a name of its own in each table.
        texts = {comparable(default) for default in (old, wanted)}
        differs = len(texts) > 1 and not all(one.startswith("nextval(") for one in texts)
        differs = differs and in_models is not in_models.table.autoincrement_column
    if differs:
        operation.modify_server_default = new
    return PriorityDispatchResult.STOP


def _compare_enum(
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


def _compare_table(
    context: AutogenContext,
    changes: ops.ModifyTableOps,
    _schema: str | None,
    _name: str,
    in_database: Table | None,
    in_models: Table | None,
) -> PriorityDispatchResult:
    """Compare the CHECK constraints, and what Alembic leaves out of the indexes."""
    if in_database is None or in_models is None:
        return PriorityDispatchResult.CONTINUE
    assert context.migration_context is not None
    assert context.dialect is not None
    comparison_of(context.migration_context).not_compared += _not_compared(
        in_models, context.dialect
    )
    described = _describe_model(context, in_models)
    if described is not None:
        _compare_checks(context, changes, in_database, in_models, described)
        _compare_indexes(context, changes, in_database, in_models, described)
    return PriorityDispatchResult.CONTINUE


def _not_compared(table: Table, dialect: Dialect) -> Iterator[str]:
    """Say what a model has that the database does not, or no reflection of SQLAlchemy tells."""
    for one in table.columns:
        if (
            isinstance(one.type, Enum)
            and not one.type.create_constraint
            and not isinstance(named_type(one.type, dialect), ENUM)
        ):
            yield f"the values of the Enum {table.fullname}.{one.name}, a text in this database"
        types = (one.type, *one.type._variant_mapping.values())  # noqa: SLF001 - it has no public name
        if any(getattr(kind, "collation", None) is not None for kind in types):
            yield f"the collation of {table.fullname}.{one.name}"
        if one.identity is not None and not dialect.supports_identity_columns:
            yield f"the Identity of {table.fullname}.{one.name}, which this database does not have"
        if isinstance(one.default, Sequence):
            yield f"the sequence {one.default.name} of {table.fullname}.{one.name}"
    for constraint in table.constraints:
        if isinstance(constraint, ExcludeConstraint):
            yield f"the EXCLUDE constraint {constraint.name} of {table.fullname}"
        if isinstance(constraint, UniqueConstraint) and constraint.deferrable:
            yield f"whether {constraint.name} of {table.fullname} is deferrable"


def _compare_checks(
    context: AutogenContext,
    changes: ops.ModifyTableOps,
    in_database: Table,
    in_models: Table,
    described: Table,
) -> None:
    old, new = _checks(in_database), _checks(described)
    same = {name for name in old.keys() & new if comparable(old[name]) == comparable(new[name])}
    surplus = {name: comparable(check) for name, check in old.items() if name not in same}
    lacking = {name: comparable(check) for name, check in new.items() if name not in same}
    # One of another name that says the same, as PostgreSQL gave it, does the same.
    for name, condition in [*surplus.items()]:
        twin = next((other for other, wanted in lacking.items() if wanted == condition), None)
        if twin is not None:
            del surplus[name], lacking[twin]
    models = {
        str(name): check
        for check, name in ((one, _name_of(one, context)) for one in _all_checks(in_models))
    }
    for name in surplus:
        if context.run_object_filters(
            old[name], name, "check_constraint", reflected=True, compare_to=new.get(name)
        ):
            changes.ops.append(ops.DropConstraintOp.from_constraint(old[name]))
    for name in lacking:
        check = models.get(name, new[name])
        if context.run_object_filters(
            check, name, "check_constraint", reflected=False, compare_to=old.get(name)
        ):
            changes.ops.append(
                ops.CreateCheckConstraintOp(
                    check.name, in_models.name, _detached(check.sqltext), schema=in_models.schema
                )
            )


def _detached(expression: Any) -> Any:
    """Return an expression without the model's columns, whose table would take the CHECK on."""

    def detach(element: Any, **_: object) -> Any:
        return column(element.name, element.type) if isinstance(element, Column) else None

    return replacement_traverse(expression, {}, detach)


def _compare_indexes(
    context: AutogenContext,
    changes: ops.ModifyTableOps,
    in_database: Table,
    in_models: Table,
    described: Table,
) -> None:
    assert context.dialect is not None
    old, new, models = (
        {str(index.name): index for index in table.indexes}
        for table in (in_database, described, in_models)
    )
    known = {one.index_name for one in changes.ops if isinstance(one, ops.CreateIndexOp)}
    for name in (old.keys() & new.keys() & models.keys()) - known:
        if _details(old[name], context.dialect.name) != _details(new[name], context.dialect.name):
            reflected = old[name].dialect_kwargs
            if isinstance(condition := reflected.get(f"{context.dialect.name}_where"), str):
                reflected[f"{context.dialect.name}_where"] = text(condition)
            changes.ops.append(ops.DropIndexOp.from_index(old[name]))
            changes.ops.append(ops.CreateIndexOp.from_index(models[name]))


def _details(index: Index, dialect: str) -> tuple[object, ...]:
    """Return what Alembic does not compare: the condition, operator classes, included columns."""
    options = index.dialect_options[dialect]
    where = options["where"]
    condition = "" if where is None else normalized(str(where))
    return (condition, options.get("ops") or {}, options.get("include") or [])


def _all_checks(table: Table) -> list[CheckConstraint]:
    return [one for one in table.constraints if isinstance(one, CheckConstraint)]


def _checks(table: Table) -> dict[str, CheckConstraint]:
    """Return the CHECK constraints of a table that was read from a database, by their names."""
    checks = _all_checks(table)
    for check in checks:
        check.sqltext = literal_text(str(check.sqltext))
    return {str(check.name or comparable(check)): check for check in checks}


def _name_of(check: CheckConstraint, context: AutogenContext) -> str | None:
    assert context.dialect is not None
    return context.dialect.identifier_preparer.format_constraint(check, _alembic_quote=False)


def _register() -> None:
    plugin = Plugin(PLUGIN)
    first, last = DispatchPriority.FIRST, DispatchPriority.LAST
    plugin.add_autogenerate_comparator(_compare_enum, "column", "types", priority=first)
    plugin.add_autogenerate_comparator(_compare_default, "column", "server_default", priority=first)
    plugin.add_autogenerate_comparator(_compare_table, "table", "checks", priority=last)


_register()

"""Comparing CHECK constraints, and what Alembic leaves out of indexes."""

from collections.abc import Iterator, Mapping
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import PriorityDispatchResult
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnClause,
    ColumnElement,
    Dialect,
    Enum,
    Index,
    Sequence,
    Table,
    UniqueConstraint,
    column,
    text,
)
from sqlalchemy.dialects.postgresql import ENUM, ExcludeConstraint
from sqlalchemy.sql.visitors import ExternallyTraversible, replacement_traverse
from sqlalchemy.types import TypeEngine

from pegboard.migrations.comparison import comparison_of, described_model
from pegboard.migrations.enums import named_type
from pegboard.migrations.rendering import literal_text
from pegboard.migrations.sql_texts import comparable, normalized_sql


def compare_table(
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
    described = described_model(context, in_models)
    if described is not None:
        _compare_checks(context, changes, in_database, in_models, described)
        _compare_indexes(context, changes, in_database, in_models, described)
    return PriorityDispatchResult.CONTINUE


def _not_compared(table: Table, dialect: Dialect) -> Iterator[str]:
    """Say what a model has that the database does not, or no reflection of SQLAlchemy tells."""
    for one in table.columns:
        yield from _not_compared_of_column(one, f"{table.fullname}.{one.name}", dialect)
    for constraint in table.constraints:
        if isinstance(constraint, ExcludeConstraint):
            yield f"the EXCLUDE constraint {constraint.name} of {table.fullname}"
        if isinstance(constraint, UniqueConstraint) and constraint.deferrable:
            yield f"whether {constraint.name} of {table.fullname} is deferrable"


def _not_compared_of_column(one: Column[Any], name: str, dialect: Dialect) -> Iterator[str]:
    if _is_enum_as_text(one.type, dialect):
        yield f"the values of the Enum {name}, a text in this database"
    types = (one.type, *one.type._variant_mapping.values())  # noqa: SLF001 - it has no public name
    if any(getattr(kind, "collation", None) is not None for kind in types):
        yield f"the collation of {name}"
    if one.identity is not None and not dialect.supports_identity_columns:
        yield f"the Identity of {name}, which this database does not have"
    if isinstance(one.default, Sequence):
        yield f"the sequence {one.default.name} of {name}"


def _is_enum_as_text(type_: TypeEngine[Any], dialect: Dialect) -> bool:
    """Return whether the database knows nothing of the values of an enumerated type."""
    is_checked = not isinstance(type_, Enum) or type_.create_constraint
    return not is_checked and not isinstance(named_type(type_, dialect), ENUM)


def _compare_checks(
    context: AutogenContext,
    changes: ops.ModifyTableOps,
    in_database: Table,
    in_models: Table,
    described: Table,
) -> None:
    old, new = _checks(in_database), _checks(described)
    surplus, lacking = _differing(old, new)
    models = {str(_name_of(check, context)): check for check in _all_checks(in_models)}
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


def _differing(
    old: Mapping[str, CheckConstraint], new: Mapping[str, CheckConstraint]
) -> tuple[list[str], list[str]]:
    """Return the names of the CHECK constraints to drop, and of those to create."""
    before = {name: comparable(check) for name, check in old.items()}
    after = {name: comparable(check) for name, check in new.items()}
    surplus = [name for name, condition in before.items() if after.get(name) != condition]
    lacking = [name for name, condition in after.items() if before.get(name) != condition]
    # One of another name that says the same, as PostgreSQL gave it, does the same.
    for name in [*surplus]:
        twin = next((other for other in lacking if after[other] == before[name]), None)
        if twin is not None:
            surplus.remove(name)
            lacking.remove(twin)
    return surplus, lacking


def _detached(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an expression without the model's columns, whose table would take the CHECK on."""

    def detach(element: ExternallyTraversible, **_: object) -> ColumnClause[Any] | None:
        return column(element.name, element.type) if isinstance(element, Column) else None

    detached: ColumnElement[Any] = replacement_traverse(expression, {}, detach)
    return detached


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
    condition = "" if where is None else normalized_sql(str(where))
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

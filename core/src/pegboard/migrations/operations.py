"""What autogenerate has found, arranged so that the revision fits every database."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError, UnsupportedCompilationError
from sqlalchemy.types import TypeEngine

from pegboard.migrations.ids import KeepIdsOp
from pegboard.migrations.rendering import DIALECTS, compile_expression
from pegboard.migrations.table_names import TableName

_CAST = r"::[a-z_]+(?: varying| precision| with(?:out)? time zone)?(?:\(\d+\))?(?:\[\])?"
_QUOTED = re.compile(rf"'((?:[^']|'')*)'(?:{_CAST})?", re.IGNORECASE)
_NOW = {"now()": sa.func.now, "current_timestamp": sa.func.current_timestamp}
_BOOLEANS = {"true": sa.true, "1": sa.true, "false": sa.false, "0": sa.false}


def make_portable(script: ops.MigrationScript, dialect: Dialect) -> None:
    """Change the operations of a revision written on `dialect` so that they fit every database.

    What the upgrade adds comes from the models; what the downgrade adds was read from the database,
    and is brought into a form that the other databases know too.
    """
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    _add_checks_of_new_columns(script.upgrade_ops, script.downgrade_ops)
    for container in (script.upgrade_ops, script.downgrade_ops):
        container.ops = [
            *_drops_of_keys(container.ops),
            *container.ops,
            *_taken_out_keys(container.ops),
        ]
    for container, is_reflected in ((script.upgrade_ops, False), (script.downgrade_ops, True)):
        container.ops = list(_flattened_batches(container.ops))
        for operation in _flatten(container.ops):
            _make_portable(operation, dialect, is_reflected=is_reflected)


def columns_without_values(script: ops.MigrationScript) -> Iterator[str]:
    """Yield the columns that the upgrade makes NOT NULL, and that rows may have no value for."""
    assert script.upgrade_ops is not None
    for operation in _flatten(script.upgrade_ops.ops):
        match operation:
            case ops.AddColumnOp(column=column) if not (column.nullable or column.server_default):
                yield f"{operation.table_name}.{column.name}"
            case ops.AlterColumnOp(modify_nullable=False, modify_server_default=default):
                if not default:
                    yield f"{operation.table_name}.{operation.column_name}"


def columns_with_fewer_values(script: ops.MigrationScript) -> Iterator[str]:
    """Yield the columns whose enumerated type loses values, in the upgrade or in the downgrade."""
    for function, found in (("upgrade", script.upgrade_ops), ("downgrade", script.downgrade_ops)):
        assert found is not None
        for operation in _flatten(found.ops):
            if not isinstance(operation, ops.AlterColumnOp):
                continue
            old, new = operation.existing_type, operation.modify_type
            if not (isinstance(old, sa.Enum) and isinstance(new, sa.Enum)):
                continue
            if gone := [value for value in old.enums if value not in new.enums]:
                column = f"{operation.table_name}.{operation.column_name}"
                yield f"{column} loses {', '.join(gone)} in {function}()"


def _flatten(operations: Iterable[ops.MigrateOperation]) -> Iterable[ops.MigrateOperation]:
    for operation in operations:
        if isinstance(operation, ops.OpContainer):
            yield from _flatten(operation.ops)
        else:
            yield operation


def _flattened_batches(
    operations: Iterable[ops.MigrateOperation],
) -> Iterable[ops.MigrateOperation]:
    """Move out of batches what has one of its own, and indexes.

    A batch that rebuilds a table makes indexes of columns only, not of expressions.
    """
    for operation in operations:
        if not isinstance(operation, ops.ModifyTableOps):
            yield operation
            continue
        dropped = [one for one in operation.ops if isinstance(one, ops.DropIndexOp)]
        created = [one for one in operation.ops if isinstance(one, ops.CreateIndexOp)]
        rebuilt = [one for one in operation.ops if isinstance(one, KeepIdsOp)]
        alone = [*dropped, *created, *rebuilt]
        operation.ops = [one for one in operation.ops if one not in alone]
        yield from dropped
        yield from rebuilt
        if operation.ops:
            yield operation
        yield from created


def _make_portable(
    operation: ops.MigrateOperation, dialect: Dialect, *, is_reflected: bool
) -> None:
    match operation:
        case ops.DropIndexOp():
            for name in DIALECTS:
                operation.kw.pop(f"{name}_where", None)
        case ops.CreateIndexOp():
            _adapt_conditions(operation.kw, is_reflected=is_reflected)
            if is_reflected:
                operation.columns = [
                    part if isinstance(part, str | sa.Column) else _plain_text(part, dialect)
                    for part in operation.columns
                ]
        case ops.AlterColumnOp():
            _make_alteration_portable(operation, dialect, is_reflected=is_reflected)
        case ops.CreateTableOp():
            operation.columns = [
                portable
                for part in operation.columns
                for portable in _portable_parts(part, dialect, is_reflected=is_reflected)
            ]
            if is_reflected and dialect.name != "sqlite" and _counts(operation):
                operation.kw["sqlite_autoincrement"] = True  # as the other databases do
        case ops.CreateCheckConstraintOp() if is_reflected:
            operation.condition = _plain_text(operation.condition, dialect)
        case ops.AddColumnOp() if is_reflected:
            _make_column_generic(operation.column, dialect)


def _counts(operation: ops.CreateTableOp) -> bool:
    """Return whether the primary key is a number that the database assigns."""
    key = [*operation.to_table().primary_key.columns]
    return [type(column.type) for column in key] == [sa.Integer] and not key[0].foreign_keys


def _make_alteration_portable(
    operation: ops.AlterColumnOp, dialect: Dialect, *, is_reflected: bool
) -> None:
    if is_reflected and operation.modify_type is not None:
        operation.modify_type = _generic_type(operation.modify_type, dialect)
    elif operation.existing_type is not None:
        operation.existing_type = _generic_type(operation.existing_type, dialect)
    if is_reflected:
        type_ = operation.modify_type or operation.existing_type
        operation.modify_server_default = _generic_default(operation.modify_server_default, type_)
    if not isinstance(operation.existing_server_default, sa.Computed | sa.Identity):
        operation.existing_server_default = False  # only MySQL asks for it


def _portable_parts(part: Any, dialect: Dialect, *, is_reflected: bool) -> Iterable[Any]:
    """Yield a column or constraint of a table, and with a column its CHECK constraints.

    Alembic leaves out those that belong to a column.
    """
    yield part
    if isinstance(part, sa.Column):
        yield from map(_copy_check, _checks_of(part))
        if is_reflected:
            _make_column_generic(part, dialect)
    elif isinstance(part, sa.CheckConstraint) and is_reflected:
        part.sqltext = _plain_text(part.sqltext, dialect)


def _add_checks_of_new_columns(upgrade: ops.UpgradeOps, downgrade: ops.DowngradeOps) -> None:
    undone = {one.table_name: one for one in downgrade.ops if isinstance(one, ops.ModifyTableOps)}
    for changes in [one for one in upgrade.ops if isinstance(one, ops.ModifyTableOps)]:
        names = {getattr(one, "constraint_name", None) for one in changes.ops}
        for added in [one for one in changes.ops if isinstance(one, ops.AddColumnOp)]:
            for check in _checks_of(added.column):
                if check.name not in names:
                    operation = ops.CreateCheckConstraintOp(
                        check.name, changes.table_name, check.sqltext, schema=changes.schema
                    )
                    changes.ops.append(operation)
                    undone[changes.table_name].ops.insert(0, operation.reverse())


def _taken_out_keys(operations: Iterable[ops.MigrateOperation]) -> list[ops.ModifyTableOps]:
    """Take out of new tables the foreign keys to tables that come later; return what adds them.

    Neither of two tables that refer to each other can be created whole before the other. SQLAlchemy
    creates those with `use_alter` afterwards, and for SQLite with the table.
    """
    created = [one for one in operations if isinstance(one, ops.CreateTableOp)]
    changes = []
    for index, operation in enumerate(created):
        later = {_full_name(one) for one in created[index + 1 :]}
        late = [
            key
            for key in _keys_of(operation.columns)
            if key.use_alter or _refers(operation, key, later)
        ]
        operation.columns = [part for part in operation.columns if part not in {*late}]
        adds = [ops.CreateForeignKeyOp.from_constraint(key) for key in late]
        for add in adds:
            add.kw.pop("use_alter", None)
        changes.append(ops.ModifyTableOps(operation.table_name, adds, schema=operation.schema))
    return [one for one in changes if one.ops]


def _drops_of_keys(operations: Iterable[ops.MigrateOperation]) -> list[ops.ModifyTableOps]:
    """Return what drops the foreign keys to tables that are dropped before those that refer."""
    dropped = [one for one in operations if isinstance(one, ops.DropTableOp)]
    changes = []
    for index, operation in enumerate(dropped):
        before = {_full_name(one) for one in dropped[:index]}
        keys = _keys_of(operation.to_table().constraints)
        drops = [
            ops.DropConstraintOp.from_constraint(key)
            for key in keys
            if _refers(operation, key, before)
        ]
        changes.append(ops.ModifyTableOps(operation.table_name, drops, schema=operation.schema))
    return [one for one in changes if one.ops]


def _keys_of(parts: Iterable[Any]) -> list[sa.ForeignKeyConstraint]:
    """Return the foreign keys that can be added and dropped, as they have a name."""
    return [one for one in parts if isinstance(one, sa.ForeignKeyConstraint) and one.name]


def _refers(
    operation: ops.CreateTableOp | ops.DropTableOp, key: sa.ForeignKeyConstraint, tables: set[str]
) -> bool:
    target = key.elements[0].target_fullname.rpartition(".")[0]
    # Where the models have a schema for all tables, the target is told without it.
    return not tables.isdisjoint({target, str(TableName(operation.schema, target))})


def _full_name(operation: ops.CreateTableOp | ops.DropTableOp) -> str:
    return str(TableName(operation.schema, operation.table_name))


def _checks_of(column: sa.Column[Any]) -> list[sa.CheckConstraint]:
    return [check for check in column.constraints if isinstance(check, sa.CheckConstraint)]


def _copy_check(check: sa.CheckConstraint) -> sa.CheckConstraint:
    return sa.CheckConstraint(check.sqltext, name=check.name)


def _adapt_conditions(options: dict[str, Any], *, is_reflected: bool) -> None:
    """Write the condition of a partial index for the database whose option it is."""
    for name in DIALECTS:
        key = f"{name}_where"
        if options.get(key) is not None:
            options[key] = sa.text(compile_expression(options[key], name))
            if is_reflected:  # a database knows its own only
                text = sa.text(_without_casts(str(options[key])))
                options.update({f"{other}_where": text for other in DIALECTS})
                return


def _plain_text(expression: Any, dialect: Dialect) -> sa.TextClause:
    return sa.text(_without_casts(compile_expression(expression, dialect.name, is_index=True)))


def _make_column_generic(column: sa.Column[Any], dialect: Dialect) -> None:
    column.type = _generic_type(column.type, dialect)
    column.server_default = _generic_default(column.server_default, column.type)


def _generic_type(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the generic type, with the database's own as a variant if they are not the same."""
    try:
        generic = type_.as_generic()
        if generic.compile(dialect) == type_.compile(dialect):
            return generic
        return generic.with_variant(type_, dialect.name)
    except (NotImplementedError, CompileError, UnsupportedCompilationError):
        return type_


def _generic_default(default: Any, type_: TypeEngine[Any] | None) -> Any:
    """Return a server default of the database in a form that other databases know too."""
    if not isinstance(default, sa.DefaultClause):
        return default
    text = re.sub(r"^\((.*)\)$", r"\1", str(default.arg))
    if isinstance(type_, sa.Boolean) and text.lower() in _BOOLEANS:
        return sa.DefaultClause(_BOOLEANS[text.lower()]())
    if text.lower() in _NOW:
        return sa.DefaultClause(_NOW[text.lower()]())
    if quoted := _QUOTED.fullmatch(text):
        return sa.DefaultClause(quoted[1].replace("''", "'"))
    return sa.DefaultClause(sa.text(_without_casts(text)))


def _without_casts(text: str) -> str:
    """Remove the casts that PostgreSQL adds to an expression, and its form of `IN`."""

    def clean(part: str) -> str:
        part = re.sub(rf"\((\w+)\){_CAST}", r"\1", part, flags=re.IGNORECASE)
        part = re.sub(_CAST, "", part, flags=re.IGNORECASE)
        return re.sub(r"= ANY \(\(?ARRAY\[", "IN (", part)

    pieces = re.split(r"('(?:[^']|'')*')", text)
    joined = "".join(piece if piece.startswith("'") else clean(piece) for piece in pieces)
    return re.sub(r"(IN \([^\]]*)\]\)?\)", r"\1)", joined)

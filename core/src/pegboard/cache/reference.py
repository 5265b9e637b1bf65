"""Foreign keys by which other rows refer to the row of a look-up, and so are part of its answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Column, ForeignKeyConstraint, Table
from sqlalchemy.orm import ColumnProperty, DeclarativeBase, QueryableAttribute

from pegboard.cache.key_encoding import Kind, kind_of

Attribute = QueryableAttribute[Any] | Column[Any]
"""A column of a foreign key: of a model, or of a table."""


@dataclass(frozen=True)
class Reference:
    """A foreign key to the primary key of a look-up's table."""

    constraint: ForeignKeyConstraint
    """The foreign key."""
    columns: tuple[Column[Any], ...]
    """Its columns, in the order of those of the primary key."""
    model: type[DeclarativeBase] | None
    """The model whose attribute named it, if any."""

    @property
    def table(self) -> Table:
        """The table whose rows refer to others."""
        return self.constraint.table

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """How its columns compare their values."""
        return tuple(map(kind_of, self.columns))


def references(target: Table, attribute: Attribute) -> list[Reference]:
    """Return the foreign keys to the primary key of a table that a column is a part of."""
    model: Any = getattr(attribute, "class_", None)
    return [
        Reference(constraint, columns, model)
        for column in _columns(attribute)
        for key in column.foreign_keys
        if (constraint := key.constraint) is not None
        and (columns := _columns_to_key(constraint, target))
    ]


def _columns(attribute: Attribute) -> Iterator[Column[Any]]:
    """Yield the columns of tables that an attribute stands for."""
    columns: Sequence[Any] = [attribute]
    if isinstance(attribute, QueryableAttribute):
        found = attribute.prop
        columns = found.columns if isinstance(found, ColumnProperty) else []
    for column in columns:
        if isinstance(column, Column) and isinstance(column.table, Table):
            yield column


def _columns_to_key(
    constraint: ForeignKeyConstraint, target: Table
) -> tuple[Column[Any], ...] | None:
    """Return the columns of a foreign key in the order of the primary key; None if of others."""
    # The columns may be given as texts, and their table may be declared later.
    columns = {one.target_fullname: one.parent for one in constraint.elements}
    wanted = [f"{target.fullname}.{column.key}" for column in target.primary_key.columns]
    if sorted(wanted) != sorted(columns):
        return None
    return tuple(columns[name] for name in wanted)

"""What a row that a session writes was before, and copies of rows."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import ClauseElement, Column, inspect, select
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    RelationshipDirection,
    RelationshipProperty,
    Session,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.exc import ObjectDeletedError

Values = dict[str, Any]
"""Values by the names of attributes."""


@dataclass(frozen=True)
class Rows:
    """What there is to know about the rows of one model."""

    mapper: Mapper[Any]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the attributes that are columns."""
        return tuple(
            attribute.key
            for attribute in self.mapper.column_attrs
            if isinstance(attribute.columns[0], Column)
        )

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The names of the relationships that set a foreign key of the row."""
        return tuple(
            one.key
            for one in self.mapper.relationships
            if one.direction is RelationshipDirection.MANYTOONE and not one.viewonly
        )

    @cached_property
    def collections(self) -> tuple[RelationshipProperty[Any], ...]:
        """The relationships by which a flush of the row sets foreign keys of other rows."""
        return tuple(
            one
            for one in self.mapper.relationships
            if one.direction is RelationshipDirection.ONETOMANY and not one.viewonly
        )

    @cached_property
    def can_be_orphans(self) -> bool:
        """Whether a flush deletes a row whose parent gives it up (`delete-orphan`)."""
        # There is no public way to ask.
        return any(one._delete_orphans for one in self.mapper.iterate_to_root())  # noqa: SLF001

    def is_orphan(self, row: Any) -> bool:
        """Return whether a flush will delete the row because its parent has given it up."""
        return self.can_be_orphans and self.mapper._is_orphan(inspect(row))  # noqa: SLF001

    def changed(self, row: Any) -> list[str]:
        """Return the names of the attributes of columns that have another value than before."""
        state = inspect(row)
        return [key for key in self.columns if state.attrs[key].history.has_changes()]

    def is_changed(self, row: Any) -> bool:
        """Return whether a flush will write the row, when asked before it."""
        attributes = inspect(row).attrs
        keys = (*self.columns, *self.references)
        return any(attributes[key].history.has_changes() for key in keys)

    def old_values(self, row: Any, known: Mapping[str, Any]) -> Values:
        """Return the values of changed attributes before the change, as far as they are known."""
        attributes = inspect(row).attrs
        return {**known} | {
            key: history.deleted[0]
            for key in self.columns
            if (history := attributes[key].history).deleted
        }

    def computed(self, row: Any) -> Values:
        """Return the old values, None if not known, of what the database will compute.

        A flush forgets that an attribute was given an SQL expression.
        """
        state = inspect(row)
        return {
            key: next(iter(state.attrs[key].history.deleted or ()), None)
            for key in self.changed(row)
            if _is_expression(state.dict.get(key))
        }

    def load(self, session: Session, row: Any, known: Values) -> None:
        """Load what the row lacks before it is written, and add to `known` what it never had.

        Afterwards it would be too late: what is not loaded of a deleted row is gone, and so is the
        old value of an attribute that was set before it was loaded, or changed in place.
        """
        state = inspect(row)
        with suppress(ObjectDeletedError):  # by another transaction, about which the flush decides
            self.load_missing(row)
        unknown = [
            key
            for key in self.changed(row)
            if key not in known and not state.attrs[key].history.deleted
        ]
        if not unknown:
            return
        attributes: list[Any] = [getattr(self.mapper.class_, key) for key in unknown]
        own = zip(self.mapper.primary_key, state.identity or (), strict=True)
        statement = select(*attributes).where(*(column == value for column, value in own))
        found = session.execute(statement).first()
        if found is not None:
            known.update(zip(unknown, found, strict=True))

    def load_missing(self, row: Any) -> None:
        """Load the columns that are not loaded, such as those that the database has computed."""
        for key in self._missing(inspect(row)):
            getattr(row, key)

    def _missing(self, state: InstanceState[Any]) -> Iterator[str]:
        return (key for key in self.columns if key not in state.dict)

    def copy(self, row: Any) -> Any:
        """Return a copy of the loaded columns of a row, which belongs to no session."""
        values = inspect(row).dict
        return self.make({key: _copied(values.get(key)) for key in self.columns})

    def make(self, values: Mapping[Any, Any]) -> Any:
        """Return a row that belongs to no session, made without the constructor of its class."""
        row = self.mapper.class_manager.new_instance()
        for key, value in values.items():
            set_committed_value(row, key, value)
        return row


def given_up(row: Any, collections: Iterable[RelationshipProperty[Any]]) -> Iterator[Any]:
    """Yield the rows that were taken out of collections of a row."""
    attributes = inspect(row).attrs
    for one in collections:
        yield from filter(None, attributes[one.key].history.deleted)


def referring(
    row: Any, collections: Iterable[RelationshipProperty[Any]], *, is_deleted: bool
) -> Iterator[Any]:
    """Yield the rows whose foreign keys a flush sets as they come into collections, or leave."""
    attributes = inspect(row).attrs
    for one in collections:
        attribute = attributes[one.key]
        if not is_deleted:
            history = attribute.history
            yield from filter(None, (*history.added, *history.deleted))
        elif one.passive_deletes != "all" and not one.cascade.delete:
            history = attribute.history if one.passive_deletes else attribute.load_history()
            yield from filter(None, history.sum())


def _is_expression(value: Any) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def _copied(value: Any) -> Any:
    """Return a copy of a value that can be changed in place, as that of a JSON column."""
    return copy.deepcopy(value) if isinstance(value, dict | list | set) else value

"""A table whose rows refer to those of look-ups: which answers a write to it touches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Table
from sqlalchemy.sql import Delete, Insert, Update

from pegboard.cache.bound_values import Values, values_in_condition, values_inserted
from pegboard.cache.key_encoding import INVALID, Kind, canonical_text, kind_of
from pegboard.cache.lookup import Lookup
from pegboard.cache.reference import Reference
from pegboard.cache.row_reader import RowReader
from pegboard.cache.writes import MOST_KEYS, Writes


@dataclass(frozen=True)
class Dependence:
    """A look-up whose answer about a row holds what refers to that row by a foreign key."""

    lookup: Lookup
    reference: Reference

    @property
    def is_exact(self) -> bool:
        """Return whether equal values of the foreign key and the primary key are one text."""
        return Kind.LOOSE not in self.reference.kinds and self.reference.kinds == self.lookup.kinds

    def add(self, writes: Writes, rows: Iterable[Values]) -> None:
        """Add the answers about the rows that are referred to, by values of the foreign key."""
        for values in rows:
            if self.lookup.group in writes.groups:
                return
            if None in values:
                continue  # it refers to nothing
            key = self.lookup.key(values)
            if key is None:
                writes.add_group(self.lookup.group)
            else:
                writes.add([key])


class ReferringTable:
    """Finds what the rows of one table refer to, before and after a statement writes them.

    What a row refers to before is not in the statement, and what a session has loaded may be old.
    So the row is read and locked in the transaction that is about to write it: then no other
    transaction changes it between the reading and the writing.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.dependences: list[Dependence] = []
        self._key = tuple(table.primary_key.columns)

    @property
    def facts(self) -> Iterator[tuple[str, ...]]:
        """What makes a write to this table touch other answers than in another process."""
        for one in self.dependences:
            columns = (column.name for column in one.reference.columns)
            yield self.table.name, "->", one.lookup.group, *columns

    def note(
        self, writes: Writes, statement: Any, compiled: Any, parameters: Any, reader: RowReader
    ) -> Sequence[Callable[[], None]]:
        """Note what an INSERT, UPDATE or DELETE touches; returns what to call right after it."""
        unknown = []
        for one in self.dependences:
            if one.lookup.group in writes.groups:
                continue
            rows = _referred_to(one, statement, compiled, parameters)
            if rows is None:
                unknown.append(one)
            else:
                one.add(writes, rows)
        if not unknown:
            return []
        keys = self._keys(statement, compiled, parameters)
        columns = self._columns(unknown)
        rows = None if keys is None else reader.lock(statement, columns, keys)
        # A row that is not there yet may be there when the statement is executed.
        if keys is None or rows is None or not self._texts(keys) <= self._texts(rows):
            _add_groups(writes, unknown)
            return []
        _add_rows(writes, unknown, columns, rows)
        if isinstance(statement, Delete):
            return []
        return [partial(self._note_after, writes, statement, unknown, columns, rows, reader)]

    def _note_after(
        self,
        writes: Writes,
        statement: Update,
        dependences: Sequence[Dependence],
        columns: Sequence[Column[Any]],
        before: Sequence[Values],
        reader: RowReader,
    ) -> None:
        """Note what the rows refer to when they are written."""
        width = len(self._key)
        rows = reader.read(statement, columns, [row[:width] for row in before])
        if self._texts(rows) == self._texts(before):
            _add_rows(writes, dependences, columns, rows)
        else:
            _add_groups(writes, dependences)  # the key of a row has changed

    def _keys(self, statement: Any, compiled: Any, parameters: Any) -> list[Values] | None:
        """Return the primary keys of the rows that are written; None if unknown, or too many."""
        if isinstance(statement, Insert) or not self._key:
            return None
        rows = values_in_condition(self._key, statement, compiled, parameters)
        keys = list(rows or ())
        if not 0 < len(keys) <= MOST_KEYS or None in self._texts(keys):
            return None
        return keys

    def _texts(self, rows: Iterable[Values]) -> set[str | None]:
        """Return the primary keys, with which rows begin, as texts that are equal if these are."""
        kinds = [kind_of(column) for column in self._key]
        return {_text(kinds, row) for row in rows}

    def _columns(self, dependences: Iterable[Dependence]) -> tuple[Column[Any], ...]:
        referring = (column for one in dependences for column in one.reference.columns)
        return tuple(dict.fromkeys((*self._key, *referring)))


def _referred_to(
    dependence: Dependence, statement: Any, compiled: Any, parameters: Any
) -> Iterable[Values] | None:
    """Return what the written rows refer to, if the statement says so."""
    columns = dependence.reference.columns
    if not dependence.is_exact:
        return None
    if isinstance(statement, Insert):
        found = values_inserted(columns, statement, compiled, parameters)
        rows = list(found or ())
        kinds = dependence.reference.kinds
        return rows if found and all(_is_stored_as_sent(kinds, row) for row in rows) else None
    if isinstance(statement, Delete):
        return values_in_condition(columns, statement, compiled, parameters)
    return None


def _is_stored_as_sent(kinds: Iterable[Kind], values: Values) -> bool:
    """Return whether a database stores values as they are: it rounds numbers, and cuts spaces."""
    return all(
        value is None
        or (kind is Kind.NUMBER and type(value) is int)
        or (kind is Kind.UUID and isinstance(value, UUID | str))
        or (kind is Kind.TEXT and isinstance(value, str) and not value.endswith(" "))
        for kind, value in zip(kinds, values, strict=True)
    )


def _text(kinds: Iterable[Kind], row: Values) -> str | None:
    try:
        return "/".join(map(canonical_text, kinds, row))  # what follows the key is left out
    except INVALID:
        return None


def _add_rows(
    writes: Writes,
    dependences: Iterable[Dependence],
    columns: Sequence[Column[Any]],
    rows: Sequence[Values],
) -> None:
    for one in dependences:
        places = [columns.index(column) for column in one.reference.columns]
        one.add(writes, (tuple(row[place] for place in places) for row in rows))


def _add_groups(writes: Writes, dependences: Iterable[Dependence]) -> None:
    for one in dependences:
        writes.add_group(one.lookup.group)

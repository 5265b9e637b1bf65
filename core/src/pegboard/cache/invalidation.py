"""Which cached answers a statement may make stale."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ForeignKey, Table, TableClause
from sqlalchemy.sql import Delete, Insert, Update

from pegboard.cache.bound_values import values_in_condition
from pegboard.cache.collection import Collection
from pegboard.cache.key_encoding import Kind
from pegboard.cache.lookup import Lookup
from pegboard.cache.referring_table import Dependence, ReferringTable
from pegboard.cache.row_reader import RowReader
from pegboard.cache.strategy import Key, Touched
from pegboard.cache.writes import Writes

_CASCADES = ("CASCADE", "SET NULL", "SET DEFAULT")
_NAMELESS = re.compile(r"\s*(CALL|DO|EXECUTE|COMMIT\s+PREPARED)\b", re.IGNORECASE)
"""Statements that may write to tables which they do not name."""

_DEFINING = re.compile(r"\s*(ALTER|CREATE|DROP|SET|SHOW|PRAGMA|LOCK|COMMENT)\b", re.IGNORECASE)
"""Statements that write no rows of tables which they do not name."""

# TRUNCATE and DROP with CASCADE reach the tables that refer to a table.
_CASCADING = re.compile(r"\b(TRUNCATE|DROP)\b.*\bCASCADE\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class RowWrites:
    """What all writes of one kind touch that change one row of a table by its primary key."""

    lookups: Sequence[Lookup]
    groups: frozenset[str]

    def touched(self, row_id: object) -> Touched:
        """Return what is touched with the row of this primary key."""
        keys, groups = [], self.groups
        for lookup in self.lookups:
            key = None if Kind.LOOSE in lookup.kinds else lookup.key((row_id,))
            if key is None:
                groups |= {lookup.group}
            else:
                keys.append(key)
        return Touched(frozenset(keys), groups)


class Tables:
    """Which tables belong to what is cached; a table is known by its name without the schema."""

    def __init__(
        self,
        lookups: Iterable[Lookup],
        known: Iterable[Table],
        collections: Iterable[Collection] = (),
    ) -> None:
        """`known` are all tables whose foreign keys may cascade."""
        self._by_row: dict[str, list[Lookup]] = {}
        self._groups: dict[str, set[str]] = {}
        self._referring: dict[str, ReferringTable] = {}
        for lookup in lookups:
            self._by_row.setdefault(lookup.table.name, []).append(lookup)
            for table in lookup.others:
                self._groups.setdefault(table.name, set()).add(lookup.group)
            for reference in lookup.references:
                self._add_reference(Dependence(lookup, reference))
        for collection in collections:
            for table in collection.tables:
                self._groups.setdefault(table.name, set()).add(collection.group)
        self._cascades: dict[tuple[str, str], set[str]] = {}
        self._add_cascades(list(known))
        cascading = (name for _, name in self._cascades)
        self._names = {*self._by_row, *self._groups, *self._referring, *cascading}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._mentioned = re.compile(
            rf"(?<!\w)({'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)", re.IGNORECASE
        )

    @property
    def schema_fingerprint(self) -> str:
        """A digest of which writes invalidate which look-ups."""
        facts = [
            *((name, *sorted(one.group for one in found)) for name, found in self._by_row.items()),
            *((name, ">", *sorted(groups)) for name, groups in self._groups.items()),
            *((*place, ">", *sorted(groups)) for place, groups in self._cascades.items()),
            *(fact for table in self._referring.values() for fact in table.facts),
        ]
        return hashlib.blake2b(repr(sorted(facts)).encode(), digest_size=6).hexdigest()

    def row_writes(self, name: str, kind: str) -> RowWrites | None:
        """Return what an `insert`, `update` or `delete` of one row by its primary key touches.

        None if that depends on the values of its foreign keys.
        """
        if name in self._referring:
            return None
        groups = set(self._groups.get(name, ()))
        if kind == "insert":  # nothing is cached of a row that was not there
            return RowWrites((), frozenset(groups))
        groups |= self._cascades.get((kind, name), set())
        return RowWrites(tuple(self._by_row.get(name, ())), frozenset(groups))

    def _add_reference(self, dependence: Dependence) -> None:
        table = dependence.reference.table
        known = self._referring.setdefault(table.name, ReferringTable(table))
        if known.table is table:
            known.dependences.append(dependence)
        else:  # of two tables with one name in different schemas the second is treated as a whole
            self._groups.setdefault(table.name, set()).add(dependence.lookup.group)

    def _add_cascades(self, known: Sequence[Table]) -> None:
        """Find the tables that the database itself changes when another is written to."""
        changed = True
        while changed:
            changed = False
            for table in known:
                for key in table.foreign_keys:
                    for kind, action in (("delete", key.ondelete), ("update", key.onupdate)):
                        place = (kind, key.column.table.name)
                        found = self._cascades.get(place, set())
                        reached = self._reached_by(key, (action or "").upper())
                        if reached - found:
                            self._cascades[place] = found | reached
                            changed = True

    def _reached_by(self, key: ForeignKey, action: str) -> set[str]:
        """Return the groups whose answers change when a foreign key's rows follow another row."""
        if action not in _CASCADES:
            return set()
        table = key.parent.table
        # What depends on this very key is an answer about the other row, which is touched already.
        # By its default, a row comes to refer to one that is not.
        followed = None if action == "SET DEFAULT" else key.constraint
        return self._groups_of(table.name, except_by=followed) | self._cascades_of(table.name)

    def _cascades_of(self, name: str) -> set[str]:
        return set().union(*(self._cascades.get((kind, name), ()) for kind in ("delete", "update")))

    def _groups_of(self, name: str, except_by: object = None) -> set[str]:
        """Return the groups whose answers hold something of a table's rows."""
        own = {lookup.group for lookup in self._by_row.get(name, ())}
        referring = {
            one.lookup.group
            for one in (self._referring[name].dependences if name in self._referring else ())
            if one.reference.constraint is not except_by
        }
        return own | referring | self._groups.get(name, set())

    def note(
        self,
        writes: Writes,
        statement: Any,
        compiled: Any,
        parameters: Any,
        reader: RowReader,
    ) -> Sequence[Callable[[], None]]:
        """Note what an INSERT, UPDATE or DELETE touches; returns what to call right after it."""
        writes.is_elsewhere = True  # other processes may cache what this statement touches
        after: list[Callable[[], None]] = []
        for name in _targets(statement):
            for group in self._groups.get(name, ()):
                writes.add_group(group)
            if isinstance(statement, Insert):
                # Nothing is cached of a row that was not there.
                if _may_replace(statement):
                    self._add_all(writes, name)
            else:
                self._note_rows(name, writes, statement, compiled, parameters)
            if (table := self._referring.get(name)) is not None:
                after += table.note(writes, statement, compiled, parameters, reader)
        return after

    def _note_rows(
        self, name: str, writes: Writes, statement: Any, compiled: Any, parameters: Any
    ) -> None:
        """Note the rows of a table that a statement changes or deletes."""
        kind = "delete" if isinstance(statement, Delete) else "update"
        for group in self._cascades.get((kind, name), ()):
            writes.add_group(group)
        for lookup in self._by_row.get(name, ()):
            keys = _keys(lookup, statement, compiled, parameters)
            if keys is None:
                writes.add_group(lookup.group)
            else:
                writes.add(keys)

    def note_text(self, writes: Writes, text: str) -> None:
        """Note what a statement given as text may touch: every table that it mentions."""
        writes.is_elsewhere |= not _DEFINING.match(text)
        if _NAMELESS.match(text) or _CASCADING.search(text):
            self._add_all(writes, *self._names)
            return
        mentioned = {found.lower() for found in self._mentioned.findall(text)}
        self._add_all(writes, *(name for name in self._names if name.lower() in mentioned))

    def note_anything(self, writes: Writes) -> None:
        """Note that every table may be touched."""
        writes.is_elsewhere = True
        self._add_all(writes, *self._names)

    def _add_all(self, writes: Writes, *names: str) -> None:
        for name in names:
            for group in self._groups_of(name) | self._cascades_of(name):
                writes.add_group(group)


def _targets(statement: Any) -> list[str]:
    """Return the names of the tables that a statement writes to; of a join, all."""
    tables = [
        getattr(found, "element", found)
        for found in statement.table._from_objects  # noqa: SLF001 - there is no public way
    ]
    return [table.name for table in tables if isinstance(table, TableClause)]


def _may_replace(statement: Insert) -> bool:
    """Return whether an INSERT may change existing rows: ON CONFLICT, OR REPLACE."""
    clause = getattr(statement, "_post_values_clause", None)
    return clause is not None or bool(statement._prefixes)  # noqa: SLF001 - there is no public way


def _keys(
    lookup: Lookup, statement: Update | Delete, compiled: Any, parameters: Any
) -> list[Key] | None:
    """Return the keys of the rows that a statement writes, or None if it may write others."""
    if Kind.LOOSE in lookup.kinds:
        return None
    columns = tuple(lookup.table.primary_key.columns)
    rows = values_in_condition(columns, statement, compiled, parameters)
    if rows is None:
        return None
    keys = [lookup.key(row) for row in rows]
    found = [key for key in keys if key is not None]
    return found if found and len(found) == len(keys) else None

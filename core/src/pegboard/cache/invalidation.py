"""Which cached answers a statement may make stale."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, product, takewhile
from typing import Any, cast

from sqlalchemy import Table, TableClause, TypeDecorator
from sqlalchemy.sql import Delete, Insert, Update, operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnElement,
)
from sqlalchemy.types import TypeEngine

from pegboard.cache.key_encoding import Kind
from pegboard.cache.lookup import Lookup
from pegboard.cache.strategy import Key, Touched

_MOST_KEYS = 500
"""Keys of one group in a transaction above which the whole group is invalidated."""

_CASCADES = ("CASCADE", "SET NULL", "SET DEFAULT")
_NAMELESS = re.compile(r"\s*(CALL|DO|EXECUTE|COMMIT\s+PREPARED)\b", re.IGNORECASE)
"""Statements that may write to tables which they do not name."""

_DEFINING = re.compile(r"\s*(ALTER|CREATE|DROP|SET|SHOW|PRAGMA|LOCK|COMMENT)\b", re.IGNORECASE)
"""Statements that write no rows of tables which they do not name."""

# TRUNCATE and DROP with CASCADE reach the tables that refer to a table.
_CASCADING = re.compile(r"\b(TRUNCATE|DROP)\b.*\bCASCADE\b", re.IGNORECASE | re.DOTALL)


@dataclass
class Writes:
    """What a transaction has touched so far."""

    keys: dict[str, set[Key]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    is_elsewhere: bool = False
    """Whether tables were written of which this process knows no look-up."""

    def __bool__(self) -> bool:
        return bool(self.keys or self.groups)

    def add(self, keys: Iterable[Key]) -> None:
        """Add keys; if they are too many of one group, the group."""
        for key in keys:
            if key.group in self.groups:
                continue
            found = self.keys.setdefault(key.group, set())
            found.add(key)
            if len(found) > _MOST_KEYS:
                self.add_group(key.group)

    def add_group(self, group: str) -> None:
        """Add a whole group."""
        self.groups.add(group)
        self.keys.pop(group, None)

    def touched(self) -> Touched:
        """Return it in the form that a strategy is given."""
        return Touched(frozenset().union(*self.keys.values()), frozenset(self.groups))


class Tables:
    """Which tables belong to which look-ups; a table is known by its name without the schema."""

    def __init__(self, lookups: Iterable[Lookup], known: Iterable[Table]) -> None:
        """`known` are all tables whose foreign keys may cascade."""
        self._by_row: dict[str, list[Lookup]] = {}
        self._groups: dict[str, set[str]] = {}
        for lookup in lookups:
            self._by_row.setdefault(lookup.table.name, []).append(lookup)
            for table in lookup.others:
                self._groups.setdefault(table.name, set()).add(lookup.group)
        self._cascades: dict[tuple[str, str], set[str]] = {}
        self._add_cascades(list(known))
        self._names = {*self._by_row, *self._groups, *(name for _, name in self._cascades)}
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
        ]
        return hashlib.blake2b(repr(sorted(facts)).encode(), digest_size=6).hexdigest()

    def _add_cascades(self, known: Sequence[Table]) -> None:
        """Find the tables that the database itself changes when another is written to."""
        changed = True
        while changed:
            changed = False
            for table in known:
                reached = self._groups_of(table.name) | self._cascades_of(table.name)
                for key in table.foreign_keys:
                    for kind, action in (("delete", key.ondelete), ("update", key.onupdate)):
                        place = (kind, key.column.table.name)
                        found = self._cascades.get(place, set())
                        if (action or "").upper() in _CASCADES and reached - found:
                            self._cascades[place] = found | reached
                            changed = True

    def _cascades_of(self, name: str) -> set[str]:
        return set().union(*(self._cascades.get((kind, name), ()) for kind in ("delete", "update")))

    def _groups_of(self, name: str) -> set[str]:
        """Return the groups whose answers hold something of a table's rows."""
        own = {lookup.group for lookup in self._by_row.get(name, ())}
        return own | self._groups.get(name, set())

    def note(self, writes: Writes, statement: Any, compiled: Any, parameters: Any) -> None:
        """Note what an INSERT, UPDATE or DELETE touches."""
        for name in _targets(statement):
            writes.is_elsewhere |= name not in self._names
            for group in self._groups.get(name, ()):
                writes.add_group(group)
            if isinstance(statement, Insert):
                # Nothing is cached of a row that was not there.
                if _may_replace(statement):
                    self._add_all(writes, name)
                continue
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
    columns = lookup.table.primary_key.columns
    if Kind.LOOSE in lookup.kinds:
        return None
    bound: dict[str, BindParameter[Any]] = {}
    for clause in _conjuncts(statement.whereclause):
        if (
            isinstance(clause, BinaryExpression)
            and clause.operator in {operators.eq, operators.in_op}
            and isinstance(clause.right, BindParameter)
            and _name(getattr(clause.left, "table", None)) == lookup.table.name
            and _is_sent_unchanged(clause.right.type, clause.left.type)
        ):
            bound[clause.left.name] = clause.right
    if any(column.name not in bound for column in columns):
        return None
    keys = [
        lookup.key(row)
        for values in parameters
        for row in product(*(_values(bound[column.name], compiled, values) for column in columns))
    ]
    found = [key for key in keys if key is not None]
    return found if found and len(found) == len(keys) else None


def _is_sent_unchanged(given: TypeEngine[Any], column: TypeEngine[Any]) -> bool:
    """Return whether a parameter's type converts a value as the column's does."""
    return not isinstance(given, TypeDecorator) or type(given) is type(column)


def _values(bind: BindParameter[Any], compiled: Any, values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the values of a parameter: one, or those of an expanded list."""
    name = compiled.bind_names[bind]
    if not bind.expanding:
        return [values.get(name)]
    names = (f"{name}_{number}" for number in count(1))
    return [values[one] for one in takewhile(values.__contains__, names)]


def _name(table: Any) -> str | None:
    """Return the name of a table; None for an alias, which may stand for another row."""
    return table.name if isinstance(table, TableClause) else None


def _conjuncts(clause: ColumnElement[Any] | None) -> list[Any]:
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        return [part for inner in clause.clauses for part in _conjuncts(cast("Any", inner))]
    return [] if clause is None else [clause]

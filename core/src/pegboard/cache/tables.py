"""Which look-ups a statement touches."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.sql import Delete, Insert, Update, operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnElement,
)

from pegboard.cache.lookup import Lookup
from pegboard.cache.strategy import Key, Touched

_MOST_KEYS = 500
"""Keys of one group in a transaction above which the whole group is forgotten."""

_CASCADES = ("CASCADE", "SET NULL", "SET DEFAULT")


@dataclass
class Writes:
    """What a transaction has touched so far."""

    keys: dict[str, set[Key]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.keys or self.groups)

    def add(self, keys: Iterable[Key]) -> None:
        """Add keys; of too many in one group, the group."""
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
        """Return it as a strategy gets it."""
        return Touched(frozenset().union(*self.keys.values()), frozenset(self.groups))


class Tables:
    """Which tables matter to which look-ups."""

    def __init__(self, lookups: Iterable[Lookup], known: Iterable[Table]) -> None:
        """`known` are all tables that may refer to each other."""
        self._by_row: dict[str, list[Lookup]] = {}
        self._groups: dict[str, set[str]] = {}
        self._keys: dict[str, tuple[Any, ...]] = {}
        for lookup in lookups:
            table = lookup.table
            self._by_row.setdefault(table.fullname, []).append(lookup)
            self._keys[table.fullname] = tuple(table.primary_key.columns)
            for model in lookup.depends:
                name = cast("Table", model.__table__).fullname
                self._groups.setdefault(name, set()).add(table.fullname)
        self._cascades: dict[str, set[str]] = {}
        self._add_cascades(list(known))
        names = {*self._by_row, *self._groups, *self._cascades}
        bare = sorted({name.rpartition(".")[2] for name in names}, key=len, reverse=True)
        self._mentioned = re.compile(rf"\b({'|'.join(map(re.escape, bare))})\b", re.IGNORECASE)
        self._names = names

    def _add_cascades(self, known: Sequence[Table]) -> None:
        """Find the tables that the database itself changes when another is written."""
        changed = True
        while changed:
            changed = False
            for table in known:
                reached = self.groups_of(table.fullname) | self._cascades.get(table.fullname, set())
                for key in table.foreign_keys:
                    acts = {(key.ondelete or "").upper(), (key.onupdate or "").upper()}
                    parent = key.column.table.fullname
                    found = self._cascades.get(parent, set())
                    if reached - found and acts & set(_CASCADES):
                        self._cascades[parent] = found | reached
                        changed = True

    def groups_of(self, name: str) -> set[str]:
        """Return the groups that hold something of a table's rows."""
        own = {name} if name in self._by_row else set()
        return own | self._groups.get(name, set())

    def note(self, writes: Writes, statement: Any, compiled: Any, parameters: Any) -> None:
        """Note what an INSERT, UPDATE or DELETE touches."""
        for table in _targets(statement):
            name = table.fullname
            if name not in self._names:
                continue
            for group in self._groups.get(name, ()):
                writes.add_group(group)
            is_insert = isinstance(statement, Insert)
            if not is_insert:
                for group in self._cascades.get(name, ()):
                    writes.add_group(group)
            if name not in self._by_row:
                continue
            if is_insert and getattr(statement, "_post_values_clause", None) is None:
                continue  # nothing is cached of a row that was not there
            rows = None if is_insert else _rows(self._keys[name], statement, compiled, parameters)
            if rows is None:
                writes.add_group(name)
            else:
                lookups = self._by_row[name]
                writes.add(lookup.key(row) for row in rows for lookup in lookups)

    def note_text(self, writes: Writes, text: str) -> None:
        """Note what a statement that is only text may touch: every table that it mentions."""
        mentioned = {found.lower() for found in self._mentioned.findall(text)}
        for name in self._names:
            if name.rpartition(".")[2].lower() in mentioned:
                for group in self.groups_of(name) | self._cascades.get(name, set()):
                    writes.add_group(group)


def _targets(statement: Any) -> list[Table]:
    table = statement.table
    if isinstance(table, Table):
        return [table]
    return [found for found in table._from_objects if isinstance(found, Table)]  # noqa: SLF001 - a join


def _rows(
    columns: Sequence[Any], statement: Update | Delete, compiled: Any, parameters: Any
) -> list[tuple[Any, ...]] | None:
    """Return the primary keys that a statement is bound to, or None when it is to others too."""
    bound: dict[str, BindParameter[Any]] = {}
    for clause in _conjuncts(statement.whereclause):
        if (
            isinstance(clause, BinaryExpression)
            and clause.operator in {operators.eq, operators.in_op}
            and isinstance(clause.right, BindParameter)
            and getattr(clause.left, "table", None) is not None
            and clause.left.table.fullname == columns[0].table.fullname
            and (clause.operator is operators.eq or len(columns) == 1)
        ):
            bound[clause.left.name] = clause.right
    if any(column.name not in bound for column in columns):
        return None
    rows: list[tuple[Any, ...]] = []
    for values in parameters:
        row = [values.get(compiled.bind_names[bound[column.name]]) for column in columns]
        if len(row) == 1 and isinstance(row[0], list | tuple):
            rows += [(value,) for value in row[0]]
        else:
            rows.append(tuple(row))
    plain = [tuple(_plain(c, value) for c, value in zip(columns, row, strict=True)) for row in rows]
    return None if any(value is None for row in plain for value in row) else plain


def _plain(column: Any, value: Any) -> Any:
    """Return a value as a URL converter would have it: a number sent as text is that number."""
    try:
        wanted = column.type.python_type
    except NotImplementedError:
        return None
    if value is None or isinstance(value, wanted):
        return value
    try:
        return wanted(value)
    except (TypeError, ValueError):
        return None


def _conjuncts(clause: ColumnElement[Any] | None) -> list[Any]:
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        return [part for inner in clause.clauses for part in _conjuncts(cast("Any", inner))]
    return [] if clause is None else [clause]

"""A look-up: what a cached view declares about its answers, and their keys."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.visitors import iterate

from pegboard.cache.entry import form_of
from pegboard.cache.key_encoding import INVALID, Kind, canonical_text, kind_of
from pegboard.cache.reference import Attribute, Reference, references
from pegboard.cache.strategy import Key, MissReason

_LONGEST = 160
_EMPTY = "''"
"""The name of the key for an empty text, which no other text has, as quotes are encoded."""


@dataclass(frozen=True)
class Lookup:
    """A view whose answer depends on one row, and on nothing else of the request."""

    model: type[DeclarativeBase]
    """The model of the row."""
    ttl: int
    """How long an answer may be kept, in seconds."""
    depends: tuple[type[DeclarativeBase] | Table | Attribute, ...]
    """Other models, tables and foreign keys to the row on which the answer depends."""
    version: int
    """Changed by the plugin when the same row is answered otherwise."""
    may_precede: bool
    """Whether the answer may be given before code that plugins run for the request."""
    name: str
    """Tells it from other look-ups of the table; stays the same in all releases."""
    function: Callable[..., Any]
    """What the decorator has returned; a view around it may have to see the request first."""

    @property
    def view(self) -> str:
        """The view as messages name it."""
        return f"the cached view {self.function.__module__}.{self.function.__qualname__}"

    @property
    def table(self) -> Table:
        """The table of the row."""
        return cast("Table", self.model.__table__)

    @property
    def identity(self) -> tuple[str, str]:
        """The table and the name: unique in an app."""
        return self.table.fullname, self.name

    @property
    def group(self) -> str:
        """The group of its keys, which it shares with no other look-up."""
        return f"{self.table.fullname}:{self.name}"

    @cached_property
    def _plain_form(self) -> bytes:
        return form_of(self.version)

    def form(self, environ: Mapping[str, Any]) -> bytes:
        """Return the first bytes of its values for a request."""
        prefix: str = environ.get("SCRIPT_NAME", "")
        return form_of(self.version, prefix) if prefix else self._plain_form

    @property
    def others(self) -> Iterator[Table]:
        """The tables any write to which invalidates all answers; configures the mappers.

        These are the other tables of the row where models inherit, those that it depends on, and
        the `secondary` tables of both; but not those that it depends on by a foreign key alone.
        """
        yield from (table for table in tables_of_rows(self.model) if table is not self.table)
        yield from self._unless_referring(tables_between_rows(self.model))
        for one in self.depends:
            if isinstance(one, Table):
                yield one
            elif isinstance(one, type):
                yield from tables_of_rows(one)
                yield from tables_between_rows(one)
        for reference in self._declared:
            if reference.model is not None:
                yield from self._unless_referring(tables_of_rows(reference.model))
                yield from self._unless_referring(tables_between_rows(reference.model))

    def _unless_referring(self, tables: Iterable[Table]) -> Iterator[Table]:
        referring = {reference.table for reference in self._declared}
        yield from (table for table in tables if table not in referring)

    @cached_property
    def _declared(self) -> tuple[Reference, ...]:
        attributes = (one for one in self.depends if not isinstance(one, type | Table))
        return tuple(reference for one in attributes for reference in references(self.table, one))

    @property
    def references(self) -> Iterator[Reference]:
        """The foreign keys by which a write invalidates only the answers that it changes.

        Any write to their other tables, and to the `secondary` tables, invalidates all answers.
        """
        others = set(self.others)
        yield from (one for one in dict.fromkeys(self._declared) if one.table not in others)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """How the columns of the primary key compare their values."""
        return tuple(kind_of(column) for column in self.table.primary_key.columns)

    vary = frozenset[str]()
    """What its answers may vary by, beside what the platform adds."""

    def key_of(
        self, environ: Mapping[str, Any], arguments: Mapping[str, Any], _settings: str
    ) -> Key | MissReason:
        """Return the key of a request with these variables in its URL, or why it has none."""
        key = self.key(arguments.values())
        if key is None:
            return MissReason.NOT_CACHEABLE
        return MissReason.QUERY if environ.get("QUERY_STRING") else key

    def key(self, values: Iterable[Any]) -> Key | None:
        """Return the key for a row, by the values of its primary key in the columns' order.

        None for values that no row can have, or that other values may be equal to.
        """
        try:
            text = "/".join(
                [
                    canonical_text(kind, value)
                    for kind, value in zip(self.kinds, values, strict=True)
                ]
            )
        except INVALID:
            return None
        if len(text) > _LONGEST:
            text = "#" + hashlib.blake2b(text.encode(), digest_size=24).hexdigest()
        return Key(self.group, text or _EMPTY)


def tables_of_rows(model: type[DeclarativeBase]) -> Iterator[Table]:
    """Yield the tables in which rows of a model are, or of a model that inherits from it."""
    for mapper in sa_inspect(model).self_and_descendants:
        yield from (cast("Table", table) for table in mapper.tables)


def tables_between_rows(model: type[DeclarativeBase]) -> Iterator[Table]:
    """Yield the `secondary` tables of a model's relationships: a flush may write these alone."""
    for mapper in sa_inspect(model).self_and_descendants:
        for relationship in mapper.relationships:
            if relationship.secondary is not None:
                parts = iterate(relationship.secondary)
                yield from (part for part in parts if isinstance(part, Table))

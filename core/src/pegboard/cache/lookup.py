"""A cached look-up: what a view declares of its answer, and the key of a row's."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.visitors import iterate

from pegboard.cache.entry import form_of
from pegboard.cache.key_encoding import INVALID, Kind, kind_of, spell
from pegboard.cache.strategy import Key

_LOOKUP = "__pegboard_lookup__"
_ABOVE = "__pegboard_lookup_above__"
_LONGEST = 160


@dataclass(frozen=True)
class Lookup:
    """A view whose answer depends on one row, and on nothing else of the request."""

    model: type[DeclarativeBase]
    ttl: int
    depends: tuple[type[DeclarativeBase] | Table, ...]
    version: int
    may_precede: bool
    name: str
    """Tells it from other look-ups of the table; the same in every release."""
    function: Callable[..., Any]
    """What the decorator made; something else around it may want to see the request first."""

    @property
    def view(self) -> str:
        """What messages call it."""
        return f"the cached view {self.function.__module__}.{self.function.__qualname__}"

    @property
    def table(self) -> Table:
        """The table of the row."""
        return cast("Table", self.model.__table__)

    @property
    def identity(self) -> tuple[str, str]:
        """What no two look-ups of an app have in common: the table and the name."""
        return self.table.fullname, self.name

    @cached_property
    def form(self) -> bytes:
        """How its values begin."""
        return form_of(self.version)

    @property
    def others(self) -> Iterator[Table]:
        """The tables any write to which matters to all rows; mappers are configured by asking.

        They are of the row, if models inherit, of what it depends on, and between the rows of each.
        """
        yield from (table for table in _tables_of_rows(self.model) if table is not self.table)
        yield from _tables_between_rows(self.model)
        for one in self.depends:
            if isinstance(one, Table):
                yield one
            else:
                yield from _tables_of_rows(one)
                yield from _tables_between_rows(one)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """How the columns of the primary key compare their values."""
        return tuple(kind_of(column) for column in self.table.primary_key.columns)

    def key(self, values: Iterable[Any]) -> Key | None:
        """Return the key for a row, by the values of its primary key in the columns' order.

        None for values that are no key, or not certain to be the only spelling of one.
        """
        try:
            text = "/".join(
                [spell(kind, value) for kind, value in zip(self.kinds, values, strict=True)]
            )
        except INVALID:
            return None
        if len(text) > _LONGEST:
            text = "#" + hashlib.blake2b(text.encode(), digest_size=24).hexdigest()
        return Key(self.table.fullname, f"{self.name}:{text}")


def _tables_of_rows(model: type[DeclarativeBase]) -> Iterator[Table]:
    for mapper in sa_inspect(model).self_and_descendants:
        yield from (cast("Table", table) for table in mapper.tables)


def _tables_between_rows(model: type[DeclarativeBase]) -> Iterator[Table]:
    """Yield the `secondary` tables of a model's relationships: a flush may write these alone."""
    for mapper in sa_inspect(model).self_and_descendants:
        for relationship in mapper.relationships:
            if relationship.secondary is not None:
                parts = iterate(relationship.secondary)
                yield from (part for part in parts if isinstance(part, Table))


def declare(function: Callable[..., Any], lookup: Lookup) -> None:
    """Let a view say what it declares, and what is below it, what it goes without."""
    setattr(function, _LOOKUP, lookup)
    with suppress(AttributeError):  # as a method of an object, which can be told nothing
        setattr(_below(lookup), _ABOVE, lookup)


def lookup_of(function: Callable[..., Any]) -> Lookup | None:
    """Return the look-up that a view declares, also under other decorators."""
    return cast("Lookup | None", getattr(function, _LOOKUP, None))


def lookup_above(function: Callable[..., Any]) -> Lookup | None:
    """Return the look-up that was declared above a view, which itself knows nothing of it."""
    lookup = cast("Lookup | None", getattr(function, _ABOVE, None))
    # Decorators copy what a function says to what they make of it.
    return lookup if lookup is not None and _below(lookup) is function else None


def _below(lookup: Lookup) -> Any:
    return vars(lookup.function)["__wrapped__"]

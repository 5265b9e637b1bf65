"""What is cached of all rows of a model at once: the totals of its lists, and lists themselves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Column, Table
from sqlalchemy.orm import DeclarativeBase

from pegboard.cache.lookup import tables_between_rows, tables_of_rows
from pegboard.cache.reference import Attribute
from pegboard.cache.strategy import COLLECTION_MARK

_COLLECTION = "__pegboard_collection__"


@dataclass(frozen=True)
class Collection:
    """All rows of a model: any write to one of its tables invalidates what is cached of them."""

    model: type[DeclarativeBase]
    """The model of the rows."""
    name: str
    """Tells it from other collections of the table; stays the same in all releases."""
    ttl: int
    """How long a total may be kept, in seconds."""
    depends: tuple[type[DeclarativeBase] | Table | Attribute, ...] = ()
    """Models, tables and foreign keys that have a say in which rows there are, and in lists."""
    has_lists: bool = False
    """Whether lists are cached beside totals."""

    @property
    def table(self) -> Table:
        """The table of the rows."""
        return cast("Table", self.model.__table__)

    @property
    def group(self) -> str:
        """The group of its keys, which no look-up of a row has."""
        return f"{self.table.fullname}{COLLECTION_MARK}{self.name}"

    @property
    def tables(self) -> Iterator[Table]:
        """The tables any write to which invalidates everything; configures the mappers."""
        yield from tables_of_rows(self.model)
        if self.has_lists:
            yield from tables_between_rows(self.model)
        for one in self.depends:
            if isinstance(one, Table):
                yield one
            elif isinstance(one, type):
                yield from _tables_of(one)
            elif isinstance(one, Column):
                yield one.table
            else:
                yield from _tables_of(cast("type[DeclarativeBase]", one.class_))


def _tables_of(model: type[DeclarativeBase]) -> Iterator[Table]:
    yield from tables_of_rows(model)
    yield from tables_between_rows(model)


def declare_collection(function: Callable[..., Any], collection: Collection) -> None:
    """Note the collection at the view of its lists; decorators pass the note on."""
    setattr(function, _COLLECTION, collection)


def collection_of(function: Callable[..., Any]) -> Collection | None:
    """Return the collection that was noted at a view, also below other decorators; else None."""
    return cast("Collection | None", getattr(function, _COLLECTION, None))

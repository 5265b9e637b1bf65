"""The orders of a list of items, and the cursors that mark a place in it.

A cursor holds sort keys, not a row number, so that writes between two pages neither skip nor repeat
items, and every page costs the same ("seek method", M. Winand,
https://use-the-index-luke.com/no-offset).
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_

from pegboard_items.models import Item
from pegboard_items.representation import ItemLike
from pegboard_items.sql import AFTER_ALL, BEFORE_ALL, sortable

_MICROSECOND = timedelta(microseconds=1)


class Key(StrEnum):
    """The columns that items can be sorted by."""

    ID = "id"
    NAME = "name"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


@dataclass(frozen=True)
class Cursor:
    """The place of one item in a list.

    It holds the keys of all orders, so it is valid in any order, even after its item is deleted.
    """

    id: int
    created_at: datetime
    updated_at: datetime
    name: str

    @classmethod
    def of(cls, item: ItemLike) -> "Cursor":
        """Return the cursor of an item."""
        times = (item.created_at or BEFORE_ALL, item.updated_at or BEFORE_ALL)
        return cls(item.id, *times, item.name)

    def encode(self) -> str:
        """Return its text."""
        times = [(time - BEFORE_ALL) // _MICROSECOND for time in (self.created_at, self.updated_at)]
        name = base64.urlsafe_b64encode(self.name.encode()).decode().rstrip("=")
        return f"{self.id}.{times[0]}.{times[1]}.{name}"

    @classmethod
    def decode(cls, cursor: str) -> "Cursor":
        """Read a text that matches `CURSOR_PATTERN`; every such text is a cursor."""
        number, created, updated, name = cursor.split(".")
        text = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode(errors="replace")
        return cls(int(number), _time(created), _time(updated), text.replace("\0", "\ufffd"))


CURSOR_PATTERN = (
    r"^(?:[0-9]{1,10}\.[0-9]{1,18}\.[0-9]{1,18}\.(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?)?$"
)
"""The text of a cursor; the empty text is the beginning of the list."""

is_cursor = re.compile(CURSOR_PATTERN).fullmatch


def _time(microseconds: str) -> datetime:
    try:
        return BEFORE_ALL + int(microseconds) * _MICROSECOND
    except OverflowError:
        return AFTER_ALL


@dataclass(frozen=True)
class Order:
    """A sort key and a direction; items with equal keys are sorted by id."""

    key: Key
    is_descending: bool = False

    @classmethod
    def parse(cls, text: str) -> "Order":
        """Read a text such as `name` or `-name`, which `str` writes."""
        return cls(Key(text.removeprefix("-")), text.startswith("-"))

    def __str__(self) -> str:
        return f"-{self.key}" if self.is_descending else str(self.key)

    def clauses(self) -> list[ColumnElement[Any]]:
        """Return the expressions for ORDER BY."""
        return [column.desc() if self.is_descending else column.asc() for column in self._columns()]

    def after(self, cursor: Cursor) -> ColumnElement[bool]:
        """Return the condition that an item comes after the cursor."""
        columns = self._columns()
        values = [cursor.id] if self.key is Key.ID else [getattr(cursor, self.key), cursor.id]
        place = tuple_(
            *(literal(value, column.type) for value, column in zip(values, columns, strict=True))
        )
        keys = tuple_(*columns)
        return keys < place if self.is_descending else keys > place

    def _columns(self) -> list[ColumnElement[Any]]:
        match self.key:
            case Key.ID:
                return [Item.id.expression]
            case Key.NAME:
                return [Item.name.expression, Item.id.expression]
            case Key.CREATED_AT:
                return [sortable(Item.created_at), Item.id.expression]
            case Key.UPDATED_AT:
                return [sortable(Item.updated_at), Item.id.expression]


ORDERS = tuple(str(Order(key, is_descending)) for key in Key for is_descending in (False, True))

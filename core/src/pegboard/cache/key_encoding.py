"""The canonical text of a primary key's values in cache keys: one row, one key.

A reader has a value from a URL, a writer from a statement: where both mean one row to the database,
they must come to the same key.
"""

from enum import Enum, auto
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    Column,
    Integer,
    String,
    Text,
    Unicode,
    UnicodeText,
    Uuid,
)

INVALID = (AttributeError, OverflowError, TypeError, ValueError)
"""What `canonical_text` raises for a value that its column cannot hold."""

_EXACT_STRINGS = {String, VARCHAR, Text, TEXT, Unicode, UnicodeText}
"""Not `CHAR`, which ignores spaces at the end, nor types that ignore case."""


class Kind(Enum):
    """How a column compares its values."""

    NUMBER = auto()
    """As whole numbers: `7` and `07` mean one row."""
    TEXT = auto()
    """As text, letter by letter."""
    UUID = auto()
    """As UUIDs, in whatever form these are written."""
    LOOSE = auto()
    """Unknown: two different texts may mean one row."""


def kind_of(column: Column[Any]) -> Kind:
    """Return how the column compares its values."""
    if isinstance(column.type, Integer):
        return Kind.NUMBER
    if isinstance(column.type, Uuid):
        return Kind.UUID
    if type(column.type) in _EXACT_STRINGS and getattr(column.type, "collation", None) is None:
        return Kind.TEXT
    return Kind.LOOSE


def canonical_text(kind: Kind, value: Any) -> str:
    """Return a value as printable ASCII without spaces and slashes. Raises one of `INVALID`."""
    if value is None:
        raise ValueError(kind)
    if kind is Kind.NUMBER:
        return str(value) if type(value) is int else str(int(value))
    if kind is Kind.UUID:
        return str(value if isinstance(value, UUID) else UUID(value))
    if not isinstance(value, str):
        raise TypeError(kind)
    # A subclass, as of an enumeration, may have a `__str__` of its own; the database gets this one.
    return quote(str.__str__(value), safe="")

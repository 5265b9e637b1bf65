"""How the values of a primary key are spelled in keys: one value, one spelling.

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
"""What `spell` raises for a value that its column cannot hold."""

_EXACT_STRINGS = {String, VARCHAR, Text, TEXT, Unicode, UnicodeText}
"""Not `CHAR`, which ignores spaces at the end, nor types that ignore case."""


class Kind(Enum):
    """How a column compares its values."""

    NUMBER = auto()
    TEXT = auto()
    UUID = auto()
    LOOSE = auto()
    """Unknown: two spellings may mean one row."""


def kind_of(column: Column[Any]) -> Kind:
    """Return how the column compares."""
    if isinstance(column.type, Integer):
        return Kind.NUMBER
    if isinstance(column.type, Uuid):
        return Kind.UUID
    if type(column.type) in _EXACT_STRINGS and getattr(column.type, "collation", None) is None:
        return Kind.TEXT
    return Kind.LOOSE


def spell(kind: Kind, value: Any) -> str:
    """Return printable ASCII without spaces and slashes. Raises one of `INVALID`."""
    if value is None:
        raise ValueError(kind)
    if kind is Kind.NUMBER:
        return str(value) if type(value) is int else str(int(value))
    if kind is Kind.UUID:
        return str(value if isinstance(value, UUID) else UUID(value))
    if not isinstance(value, str):
        raise TypeError(kind)
    # That of the database, not what a subclass makes of itself.
    return quote(str.__str__(value), safe="")

"""The orders of a list, and the cursors that mark a place in it.

A cursor holds sort keys, not a row number, so that writes between two pages neither skip nor repeat
rows, and every page costs the same ("seek method", M. Winand,
https://use-the-index-luke.com/no-offset). It holds those of all orders, so it is valid in any
order, even after its row is deleted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from pegboard.resources.expressions import ordered
from pegboard.resources.kinds import Kind, kind_of

_NO_VALUE = "~"

Place = Mapping[str, Any]
"""The values of all sort keys of one row, by name."""


@dataclass(frozen=True)
class SortKey:
    """A column that lists can be sorted by."""

    name: str
    """The attribute of the model."""
    field: str
    """What clients call it."""
    column: Column[Any]
    kind: Kind
    is_nullable: bool
    is_indexed: bool
    """Whether an index begins with it: a page then costs the same however large the table is."""

    @property
    def expression(self) -> ColumnElement[Any]:
        """The column in a form whose order is that of its values."""
        return ordered(self.column)

    @property
    def pattern(self) -> str:
        """The expression for its value in a cursor."""
        pattern = self.kind.pattern
        if self.column.primary_key:
            return pattern.removeprefix("-?")
        return f"(?:{_NO_VALUE}|{pattern})" if self.is_nullable else pattern

    @classmethod
    def of(cls, attribute: InstrumentedAttribute[Any], field: str) -> "SortKey | None":
        """Return the key of an attribute; None if its values have no order."""
        column = attribute.property.columns[0]
        kind = kind_of(column.type)
        if kind is None:
            return None
        is_nullable, is_indexed = bool(column.nullable), _is_indexed(column)
        return cls(attribute.key, field, column, kind, is_nullable, is_indexed)


@dataclass(frozen=True)
class Term:
    """A sort key and its direction; a missing value is the lowest."""

    key: SortKey
    is_descending: bool

    def __str__(self) -> str:
        return f"-{self.key.field}" if self.is_descending else self.key.field

    def clause(self) -> ColumnElement[Any]:
        """Return the expression for ORDER BY."""
        expression = self.key.expression
        directed = expression.desc() if self.is_descending else expression.asc()
        if not self.key.is_nullable:
            return directed
        return directed.nulls_last() if self.is_descending else directed.nulls_first()


Order = tuple[Term, ...]
"""The sort keys of a list, the last of which is the primary key."""


class Orders:
    """The orders that clients may ask for, and the texts of the cursors in all of them."""

    def __init__(self, keys: Sequence[SortKey], primary: SortKey, max_keys: int) -> None:
        """`keys` are those that clients may name, of which the first is the default."""
        self.keys = {key.field: key for key in keys}
        """By what clients call them."""
        self.max_keys = max_keys
        self.primary = primary
        others = sorted(self.keys.values(), key=lambda key: key.column.type.python_type is str)
        # Texts come last, so that what is of one length comes first.
        self._all = {key.name: key for key in (primary, *others)}
        self._pattern = r"\.".join(key.pattern for key in self._all.values())
        self._is_cursor = re.compile(self._pattern).fullmatch
        self._parsed: dict[str, Order] = {}

    @property
    def default(self) -> str:
        """The order of a list whose request names none."""
        return next(iter(self.keys))

    @property
    def cursor_pattern(self) -> str:
        """The pattern of a cursor; the empty text is the beginning of the list."""
        return f"^(?:{self._pattern})?$"

    @property
    def columns(self) -> Iterator[ColumnElement[Any]]:
        """The columns that a cursor needs of a row."""
        return (key.column for key in self._all.values())

    def names(self) -> list[str]:
        """Return the keys in both directions, as a request may name them."""
        return [sign + name for name in self.keys for sign in ("", "-")]

    def parse(self, text: str) -> Order:
        """Read a text such as `-rating,name`. Raises `ValueError` that says what is wrong."""
        if text in self._parsed:
            return self._parsed[text]
        names = text.split(",")
        bare = [name.removeprefix("-") for name in names]
        if any(name not in self.keys for name in bare):
            message = f"Must be one of: {', '.join(self.names())}."
            raise ValueError(message)
        if len(set(bare)) != len(bare):
            message = "Each sort key may be named once."
            raise ValueError(message)
        if len(names) > self.max_keys:
            message = f"At most {self.max_keys} sort keys."
            raise ValueError(message)
        terms = [Term(self.keys[name.removeprefix("-")], name.startswith("-")) for name in names]
        if self.primary.field in bare:
            # No two rows have the same one, so what follows it decides nothing.
            del terms[bare.index(self.primary.field) + 1 :]
        else:
            terms.append(Term(self.primary, terms[-1].is_descending))
        order = tuple(terms)
        if len(self._parsed) < _MAX_PARSED:
            self._parsed[text] = order
        return order

    def encode(self, row: Any) -> str:
        """Return the cursor of a row."""
        return ".".join(self._encoded(row))

    def _encoded(self, row: Any) -> Iterator[str]:
        for name, key in self._all.items():
            value = getattr(row, name)
            yield _NO_VALUE if value is None else key.kind.encode(value)

    def is_cursor(self, text: str) -> bool:
        """Return whether a text is a cursor, or the beginning of the list."""
        return not text or self._is_cursor(text) is not None

    def decode(self, cursor: str) -> Place:
        """Return the place of a cursor."""
        texts = cursor.split(".")
        return {
            name: None if text == _NO_VALUE else key.kind.decode(text)
            for (name, key), text in zip(self._all.items(), texts, strict=True)
        }


def _is_indexed(column: Column[Any]) -> bool:
    """Return whether rows can be read in the order of a column, and of the primary key in it."""
    table = column.table
    primary = [*table.primary_key.columns.keys()]
    if [column.key] == primary:
        return True
    return any([*index.columns.keys()][:2] == [column.key, *primary] for index in table.indexes)


_MAX_PARSED = 1000

"""Values that a field of a marshmallow schema refuses, and what is wrong with them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from marshmallow import fields, validate

from pegboard.testing.field_values import (
    NoValueError,
    as_sent,
    has_rows,
    lengths_of,
    list_of,
    valid_values,
    validators_of,
    values_of,
)
from pegboard.testing.ordered_values import moved

_ANY: tuple[tuple[str, object], ...] = (
    ("an object", {"a": 1}),
    ("a list", [[]]),
    ("a number", 7.5),
    ("a text", "no such value"),
    ("an empty text", ""),
    ("a line break", "a\nb"),
    ("a NUL character", "a\0b"),
)
"""Values that may be wrong for a field, and what they are."""


def wrong_values(field: fields.Field[Any]) -> Iterator[tuple[str, object]]:
    """Yield what may be wrong with a value of the field, and the value, in every way known."""
    yield from _wrong_lengths(field)
    yield from _wrong_entries(field)
    yield from _out_of_range(field)
    yield from _not_a_choice(field)
    yield from _ANY


def _wrong_lengths(field: fields.Field[Any]) -> Iterator[tuple[str, object]]:
    least, most = lengths_of(field)
    with suppress(NoValueError):  # the author gives entries, of which none can be made here
        if most is not None:
            yield "too long", _of_length(field, most + 1)
        if least:
            yield "too short", _of_length(field, least - 1)


def _of_length(field: fields.Field[Any], length: int) -> object:
    if isinstance(field, fields.Nested) and has_rows(field):
        return list_of(values_of(field.schema, {}), length)
    if isinstance(field, fields.List):
        return list_of(next(valid_values(field.inner), "a"), length)
    return "a" * length


def _wrong_entries(field: fields.Field[Any]) -> Iterator[tuple[str, object]]:
    entries: Iterable[tuple[str, object]] = _ANY if has_rows(field) else ()
    if isinstance(field, fields.List):
        entries = wrong_values(field.inner)
    for reason, value in entries:
        yield f"an entry is {reason}", [value]


def _out_of_range(field: fields.Field[Any]) -> Iterator[tuple[str, object]]:
    for one in validators_of(field, validate.Range):
        for reason, bound, is_allowed, step in (
            ("too small", one.min, one.min_inclusive, -1),
            ("too large", one.max, one.max_inclusive, 1),
        ):
            beyond = moved(bound, step) if is_allowed else bound
            if beyond is not None:
                yield reason, as_sent(field, beyond)


def _not_a_choice(field: fields.Field[Any]) -> Iterator[tuple[str, object]]:
    if validators_of(field, validate.OneOf) or isinstance(field, fields.Enum):
        yield "not one of its choices", "no such choice"
    if isinstance(field, fields.List) and validators_of(field, validate.ContainsOnly):
        yield "an entry is not one of its choices", ["no such choice"]

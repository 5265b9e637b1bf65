"""Values that the fields of a marshmallow schema take, as clients send them."""

import copy
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, validate

from pegboard.testing.ordered_values import between, moved

_TEXTS = ("Example", "example", "a", "A", "1", "12345", "a1b2c3d4", "2024-01-01", "#ffffff")
_SPECIAL: tuple[tuple[type[fields.Field[Any]], tuple[object, ...]], ...] = (
    (fields.Email, ("ada@example.org",)),
    (fields.URL, ("https://example.org/",)),
    (fields.UUID, ("00000000-0000-4000-8000-000000000001",)),
    (fields.IPv4, ("192.0.2.1",)),
    (fields.IP, ("192.0.2.1", "2001:db8::1")),
    (fields.IPInterface, ("192.0.2.1/24", "2001:db8::1/64")),
    (fields.Boolean, (True,)),
)
_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_ORDERED: tuple[tuple[type[fields.Field[Any]], tuple[object, ...]], ...] = (
    (fields.Number, (1,)),
    (fields.Date, (_DAY.date(),)),
    (fields.Time, (time(12),)),
    (fields.DateTime, (_DAY.replace(tzinfo=None), _DAY)),
    (fields.TimeDelta, (timedelta(seconds=60),)),
)
"""Values of types that have an order, before they are sent."""


class NoValueError(LookupError):
    """Raised when no valid value of a field is known."""

    def __init__(self, *path: str) -> None:
        super().__init__(".".join(path))
        self.path = path
        """The names of the fields that it is in, the outermost first, and its own."""


def values_of(schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value of each field that clients may send; `given` are those of some of them.

    Raises `NoValueError` for a field of which none is known.
    """
    return {
        name: given[name] if name in given else _choose(name, field)
        for name, field in fields_of(schema).items()
    }


def fields_of(schema: Schema) -> dict[str, fields.Field[Any]]:
    """Return the fields that clients may send, by the names that they use."""
    return {key_of(field): field for field in schema.load_fields.values()}


def key_of(field: fields.Field[Any]) -> str:
    """Return the name of a field that clients use."""
    return field.data_key if field.data_key is not None else str(field.name)


def valid_values(field: fields.Field[Any]) -> Iterator[Any]:
    """Yield values that the field takes, the likeliest first."""
    for value in _candidates(field):
        try:
            field.deserialize(value)
        except (ValidationError, TypeError, ValueError):
            continue
        yield value


def validators_of(field: fields.Field[Any], kind: type[Any]) -> list[Any]:
    """Return the validators of a kind, those inside others included."""
    found = list(field.validators)
    for one in found:
        if isinstance(one, validate.And):
            found += one.validators
    return [one for one in found if isinstance(one, kind)]


def lengths_of(field: fields.Field[Any]) -> tuple[int, int | None]:
    """Return the least and the most characters or entries of a field, as its validators say."""
    bounds = validators_of(field, validate.Length)
    least = [one.equal or one.min or 0 for one in bounds]
    most = [one.equal or one.max for one in bounds if one.equal or one.max]
    own = getattr(field, "max_length", None)
    most += [own] if isinstance(own, int) else []
    return max(least, default=0), min(most, default=None)


def has_rows(field: fields.Field[Any]) -> bool:
    """Whether the field's value is a list of objects that have a schema."""
    return isinstance(field, fields.Nested) and bool(field.schema.many)


def list_of(entry: Any, length: int) -> list[Any]:
    """Return a list of copies of an entry."""
    return [copy.deepcopy(entry) for _ in range(length)]


def as_sent(field: fields.Field[Any], value: Any) -> Any:
    """Return a value of the field's type, such as a date, as the field would send it."""
    try:
        sent = field.serialize("", None, accessor=lambda *_: value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ValidationError):
        return value
    if sent is missing:
        return value
    return str(sent) if isinstance(sent, Decimal) else sent


def _choose(name: str, field: fields.Field[Any]) -> Any:
    """Return the first value that the field takes."""
    try:
        for value in valid_values(field):
            return value
    except NoValueError as error:
        raise NoValueError(name, *error.path) from None
    raise NoValueError(name)


def _candidates(field: fields.Field[Any]) -> Iterator[Any]:
    """Yield values that the field may take, the likeliest first."""
    if "example" in field.metadata:
        yield field.metadata["example"]
    for value in _named(field):
        yield from (as_sent(field, value), value)
    yield from _composed(field)
    for kind, values in _SPECIAL:
        if isinstance(field, kind):
            yield from values
    for value in _in_order(field):
        yield from (as_sent(field, value), value)
    if isinstance(field, fields.String):
        yield from _texts(field)
    if type(field) in {fields.Raw, fields.Field, fields.Method, fields.Function}:
        yield from ("Example", 1)
    yield from ("Example", 1, True, "1.00", "2024-01-01T00:00:00", [], {})
    if field.allow_none:
        yield None


def _named(field: fields.Field[Any]) -> Iterator[Any]:
    """Yield the values that the validators of a field name."""
    for one in validators_of(field, validate.OneOf):
        if not isinstance(one, validate.ContainsOnly):  # these are what is in a value
            yield from one.choices
    for one in validators_of(field, validate.Equal):
        yield one.comparable


def _composed(field: fields.Field[Any]) -> Iterator[Any]:
    """Yield values of a field that holds others, or that names members of an enumeration."""
    if isinstance(field, fields.Nested):
        row = values_of(field.schema, {})
        yield list_of(row, max(lengths_of(field)[0], 1)) if has_rows(field) else row
    elif isinstance(field, fields.List):
        named = (as_sent(field.inner, part) for part in _parts(field))
        for entry in chain(named, valid_values(field.inner)):
            yield list_of(entry, max(lengths_of(field)[0], 1))
        yield []
    elif isinstance(field, fields.Tuple):
        yield [next(valid_values(one), None) for one in field.tuple_fields]
    elif isinstance(field, fields.Dict | fields.Mapping):
        key = next(valid_values(field.key_field), "a") if field.key_field else "a"
        value = next(valid_values(field.value_field), 1) if field.value_field else 1
        least, _ = lengths_of(field)
        yield from ({key: value}, {str(number): value for number in range(least)}, {})
    elif isinstance(field, fields.Enum):
        members = field.enum.__members__
        yield from [*members, *(one.value for one in members.values())]


def _parts(field: fields.Field[Any]) -> list[Any]:
    """Return what a value of the field may consist of, if its validators say it."""
    return [part for one in validators_of(field, validate.ContainsOnly) for part in one.choices]


def _in_order(field: fields.Field[Any]) -> Iterator[Any]:
    """Yield values at the bounds of a field, between them, and usual ones of its type."""
    ranges = validators_of(field, validate.Range)
    starts = [(one.min, 1, one.min_inclusive) for one in ranges]
    starts += [(one.max, -1, one.max_inclusive) for one in ranges]
    for kind, values in _ORDERED:
        if isinstance(field, kind):
            starts += [(value, 1, True) for value in values]
    # So many values may be refused one by one; the next is not.
    refused = sum(len([*one.iterable]) for one in validators_of(field, validate.NoneOf))
    found = [
        moved(start, steps * direction)
        for start, direction, is_allowed in starts
        for steps in range(0 if is_allowed else 1, refused + 2)
    ]
    found += [between(one.min, other.max) for one in ranges for other in ranges]
    yield from (value for value in found if value is not None)


def _texts(field: fields.Field[Any]) -> Iterator[str]:
    least, most = lengths_of(field)
    for text in (*map(str, _parts(field)), *_TEXTS):
        padded = text if len(text) >= least else (text * least)[:least]
        yield padded if most is None else padded[:most]

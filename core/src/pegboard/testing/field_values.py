"""Values that the fields of a marshmallow schema take, as clients send them."""

import copy
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, validate

_TEXTS = ("Example", "example", "a", "A", "1", "12345", "a1b2c3d4", "2024-01-01", "#ffffff")
_SPECIAL: tuple[tuple[type[fields.Field[Any]], tuple[object, ...]], ...] = (
    (fields.Email, ("ada@example.org",)),
    (fields.URL, ("https://example.org/",)),
    (fields.UUID, ("00000000-0000-4000-8000-000000000001",)),
    (fields.IPv4, ("192.0.2.1",)),
    (fields.IP, ("192.0.2.1", "2001:db8::1")),
    (fields.IPInterface, ("192.0.2.1/24", "2001:db8::1/64")),
    (fields.Date, ("2024-01-01",)),
    (fields.Time, ("12:00:00",)),
    (fields.DateTime, ("2024-01-01T00:00:00", "2024-01-01T00:00:00+00:00", 1704067200)),
    (fields.TimeDelta, (60,)),
    (fields.Boolean, (True,)),
)


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
    except (ArithmeticError, AttributeError, TypeError, ValueError):
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
    for validator in validators_of(field, validate.OneOf):
        yield from validator.choices
    for validator in validators_of(field, validate.Equal):
        yield validator.comparable
    yield from _composed(field)
    for kind, values in _SPECIAL:
        if isinstance(field, kind):
            yield from values
    if isinstance(field, fields.Number):
        yield from _numbers(field)
    if isinstance(field, fields.String):
        yield from _texts(field)
    if type(field) in {fields.Raw, fields.Field, fields.Method, fields.Function}:
        yield from ("Example", 1)
    yield from ("Example", 1, True, "1.00", "2024-01-01T00:00:00", [], {})
    if field.allow_none:
        yield None


def _composed(field: fields.Field[Any]) -> Iterator[Any]:
    """Yield values of a field that holds others, or that names members of an enumeration."""
    if isinstance(field, fields.Nested):
        row = values_of(field.schema, {})
        yield list_of(row, max(lengths_of(field)[0], 1)) if has_rows(field) else row
    elif isinstance(field, fields.List):
        for entry in valid_values(field.inner):
            yield list_of(entry, max(lengths_of(field)[0], 1))
            break
        yield []
    elif isinstance(field, fields.Dict | fields.Mapping):
        key = next(valid_values(field.key_field), "a") if field.key_field else "a"
        value = next(valid_values(field.value_field), 1) if field.value_field else 1
        yield from ({key: value}, {})
    elif isinstance(field, fields.Enum):
        members = field.enum.__members__
        yield from [*members, *(one.value for one in members.values())]


def _numbers(field: fields.Field[Any]) -> Iterator[Any]:
    for one in validators_of(field, validate.Range):
        step = 0 if one.min_inclusive else 1
        if one.min is not None:
            yield as_sent(field, one.min + step)
        if one.max is not None:
            yield as_sent(field, one.max - (0 if one.max_inclusive else 1))
        if one.min is not None and one.max is not None:
            yield as_sent(field, (one.min + one.max) / 2)
    yield as_sent(field, 1)


def _texts(field: fields.Field[Any]) -> Iterator[str]:
    least, most = lengths_of(field)
    for text in _TEXTS:
        padded = text if len(text) >= least else (text * least)[:least]
        yield padded if most is None else padded[:most]

"""Bodies of requests made from a marshmallow schema: a valid one, and invalid ones in turn."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

__all__ = ["Bodies", "InvalidBody", "body_of"]

_MISSING = object()
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
_WRONG: tuple[tuple[str, object], ...] = (
    ("an object", {"a": 1}),
    ("a list", [[]]),
    ("a number", 7.5),
    ("a text", "no such value"),
    ("an empty text", ""),
    ("a line break", "a\nb"),
    ("a NUL character", "a\0b"),
)
"""Values that may be wrong for a field, and what they are."""


@dataclass(frozen=True)
class InvalidBody:
    """A body with one field that the schema refuses."""

    field: str
    """The field as clients name it; of one inside another with a dot, as in `author.name`."""
    reason: str
    """What is wrong with it, as in `too long`."""
    body: dict[str, Any]
    """The whole body, whose other fields are valid."""

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


@dataclass(frozen=True)
class Bodies:
    """What a schema takes and what it refuses, as clients send it."""

    schema: Schema
    """The schema that they are made from."""
    values: Mapping[str, Any]
    """A valid value of each field that can be sent, by the name that clients use."""

    @property
    def valid(self) -> dict[str, Any]:
        """A body that the schema takes, with every field; another object each time."""
        return copy.deepcopy(dict(self.values))

    @property
    def minimal(self) -> dict[str, Any]:
        """A body that the schema takes, with the fields that are required and no others."""
        required = {_key(one) for one in self.schema.load_fields.values() if one.required}
        return {name: value for name, value in self.valid.items() if name in required}

    @property
    def invalid(self) -> list[InvalidBody]:
        """Bodies of which each has one wrong field, every field in turn in every way known.

        A field is missing, null, of another type, too long or short, too small or large, not one of
        its choices, unknown to the schema. What the schema takes all the same is not among them.
        """
        found: dict[str, InvalidBody] = {}
        for name, reason, value in self._attempts():
            body = self.valid
            if value is _MISSING:
                del body[name]
            else:
                body[name] = value
            one = InvalidBody(name, reason, body)
            if str(one) not in found and self._refuses_only(name, body):
                found[str(one)] = one
        for name, field in _by_key(self.schema).items():
            if isinstance(field, fields.Nested) and isinstance(self.values[name], dict):
                for inner in Bodies(field.schema, self.values[name]).invalid:
                    whole = {**self.valid, name: inner.body}
                    one = InvalidBody(f"{name}.{inner.field}", inner.reason, whole)
                    found[str(one)] = one
        return list(found.values())

    def _attempts(self) -> Iterator[tuple[str, str, object]]:
        """Yield fields, what may be wrong with them, and the value."""
        for name, field in _by_key(self.schema).items():
            if field.required:
                yield name, "missing", _MISSING
            yield name, "null", None
            for reason, value in (*_out_of_bounds(field), *_WRONG):
                yield name, reason, value
        if self.schema.unknown == RAISE:
            yield "no_such_field", "unknown", 1

    def _refuses_only(self, name: str, body: dict[str, Any]) -> bool:
        messages = self.schema.validate(body)
        return set(messages) == {name}


def body_of(schema: Schema | type[Schema], **values: Any) -> Bodies:
    """Make bodies from a schema; `values` are those of fields whose values cannot be guessed.

    A value of a field is the `example` of its metadata, a choice of its validators, or one of its
    type and within its bounds. Raises `LookupError` for a field of which none is known, and for a
    name in `values` that the schema does not have.
    """
    found = schema() if isinstance(schema, type) else schema
    known = _by_key(found)
    if unknown := sorted(set(values) - set(known)):
        message = f"{type(found).__name__} takes no {', '.join(unknown)}, but {', '.join(known)}"
        raise LookupError(message)
    chosen = {
        name: values[name] if name in values else _choose(found, name, field)
        for name, field in known.items()
    }
    bodies = Bodies(found, chosen)
    if messages := found.validate(bodies.valid):
        message = (
            f"{type(found).__name__} refuses {bodies.valid}: {messages}; give other values, as in "
            f"body_of({type(found).__name__}, {next(iter(known), 'name')}=...)"
        )
        raise LookupError(message)
    return bodies


def _by_key(schema: Schema) -> dict[str, fields.Field[Any]]:
    """Return the fields that clients may send, by the names that they use."""
    return {_key(field): field for field in schema.load_fields.values()}


def _key(field: fields.Field[Any]) -> str:
    return field.data_key if field.data_key is not None else str(field.name)


def _choose(schema: Schema, name: str, field: fields.Field[Any]) -> Any:
    """Return the first value that the field takes."""
    for value in _valid(field):
        return value
    message = (
        f"no valid value is known for {name} of {type(schema).__name__}: give its metadata an "
        f"example, or write body_of({type(schema).__name__}, {name}=...)"
    )
    raise LookupError(message)


def _candidates(field: fields.Field[Any]) -> Iterator[Any]:
    """Yield values that the field may take, the likeliest first."""
    if "example" in field.metadata:
        yield field.metadata["example"]
    for validator in _validators(field, validate.OneOf):
        yield from validator.choices
    for validator in _validators(field, validate.Equal):
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
        yield [body_of(field.schema).valid] if field.many else body_of(field.schema).valid
    elif isinstance(field, fields.List):
        least = max(
            [one.min or one.equal or 0 for one in _validators(field, validate.Length)] or [0]
        )
        inner = next(iter(_valid(field.inner)), _MISSING)
        yield from ([inner] * max(least, 1), []) if inner is not _MISSING else ([],)
    elif isinstance(field, fields.Dict | fields.Mapping):
        key = next(iter(_valid(field.key_field)), "a") if field.key_field else "a"
        value = next(iter(_valid(field.value_field)), 1) if field.value_field else 1
        yield from ({key: value}, {})
    elif isinstance(field, fields.Enum):
        members = field.enum.__members__
        yield from [*members, *(one.value for one in members.values())]


def _valid(field: fields.Field[Any]) -> Iterator[Any]:
    for value in _candidates(field):
        try:
            field.deserialize(value)
        except (ValidationError, TypeError, ValueError):
            continue
        yield value


def _validators(field: fields.Field[Any], kind: type[Any]) -> list[Any]:
    """Return the validators of a kind, those inside others included."""
    found = list(field.validators)
    for one in found:
        if isinstance(one, validate.And):
            found += one.validators
    return [one for one in found if isinstance(one, kind)]


def _numbers(field: fields.Field[Any]) -> Iterator[Any]:
    for one in _validators(field, validate.Range):
        step = 0 if one.min_inclusive else 1
        if one.min is not None:
            yield from _as_sent(field, one.min + step)
        if one.max is not None:
            yield from _as_sent(field, one.max - (0 if one.max_inclusive else 1))
        if one.min is not None and one.max is not None:
            yield from _as_sent(field, (one.min + one.max) / 2)
    yield from _as_sent(field, 1)


def _as_sent(field: fields.Field[Any], number: Any) -> tuple[Any, ...]:
    if isinstance(field, fields.Decimal):
        return (str(number), float(number))
    return (number, int(number), float(number))


def _texts(field: fields.Field[Any]) -> Iterator[str]:
    least, most = _lengths(field)
    for text in _TEXTS:
        padded = text if len(text) >= least else (text * least)[:least]
        yield padded if most is None else padded[:most]


def _lengths(field: fields.Field[Any]) -> tuple[int, int | None]:
    """Return the least and the most characters or entries of a field, as its validators say."""
    bounds = _validators(field, validate.Length)
    least = [one.equal or one.min or 0 for one in bounds]
    most = [one.equal or one.max for one in bounds if one.equal or one.max]
    own = getattr(field, "max_length", None)
    most += [own] if isinstance(own, int) else []
    return max(least, default=0), min(most, default=None)


def _out_of_bounds(field: fields.Field[Any]) -> Iterator[tuple[str, object]]:
    """Yield values beyond what the field's validators allow, and what is wrong with them."""
    least, most = _lengths(field)
    is_list = isinstance(field, fields.List)
    entry: Any = next(_valid(field.inner), "a") if isinstance(field, fields.List) else "a"
    if most is not None:
        yield "too long", [entry] * (most + 1) if is_list else "a" * (most + 1)
    if least:
        yield "too short", [entry] * (least - 1) if is_list else "a" * (least - 1)
    if isinstance(field, fields.List):
        for reason, value in (*_out_of_bounds(field.inner), *_WRONG):
            yield f"an entry is {reason}", [value]
    for one in _validators(field, validate.Range):
        if one.min is not None:
            yield "too small", _as_sent(field, one.min - (1 if one.min_inclusive else 0))[0]
        if one.max is not None:
            yield "too large", _as_sent(field, one.max + (1 if one.max_inclusive else 0))[0]
    if _validators(field, validate.OneOf) or isinstance(field, fields.Enum):
        yield "not one of its choices", "no such choice"

"""Bodies of requests made from a marshmallow schema: a valid one, and invalid ones in turn."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import RAISE, Schema, fields

from pegboard.testing.field_values import NoValueError, fields_of, key_of, values_of
from pegboard.testing.wrong_values import wrong_values

__all__ = ["Bodies", "InvalidBody", "body_of"]

_MISSING = object()


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
        required = {key_of(one) for one in self.schema.load_fields.values() if one.required}
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
        for one in self._inside():
            found[str(one)] = one
        return list(found.values())

    def _attempts(self) -> Iterator[tuple[str, str, object]]:
        """Yield fields, what may be wrong with them, and the value."""
        for name, field in fields_of(self.schema).items():
            if field.required:
                yield name, "missing", _MISSING
            yield name, "null", None
            for reason, value in wrong_values(field):
                yield name, reason, value
        if self.schema.unknown == RAISE:
            yield "no_such_field", "unknown", 1

    def _inside(self) -> Iterator[InvalidBody]:
        """Yield bodies of which a field of an object inside is wrong, of a list the first one's."""
        for name, field in fields_of(self.schema).items():
            nested = field.inner if isinstance(field, fields.List) else field
            value = self.values[name]
            rows = value if isinstance(value, list) else [value]
            if not isinstance(nested, fields.Nested) or not rows or not isinstance(rows[0], dict):
                continue
            for inner in Bodies(nested.schema, rows[0]).invalid:
                body = self.valid
                if isinstance(value, list):
                    body[name][0] = inner.body
                else:
                    body[name] = inner.body
                if self._refuses_only(name, body):
                    yield InvalidBody(f"{name}.{inner.field}", inner.reason, body)

    def _refuses_only(self, name: str, body: dict[str, Any]) -> bool:
        return {name} == set(self.schema.validate(body, many=False))


def body_of(schema: Schema | type[Schema], **values: Any) -> Bodies:
    """Make bodies from a schema; `values` are those of fields whose values cannot be guessed.

    A value of a field is the `example` of its metadata, a choice of its validators, or one of its
    type and within its bounds. Raises `LookupError` for a field of which none is known, and for a
    name in `values` that the schema does not have.
    """
    found = schema() if isinstance(schema, type) else schema
    title, known = type(found).__name__, fields_of(found)
    if unknown := sorted(set(values) - set(known)):
        message = f"{title} takes no {', '.join(unknown)}, but {', '.join(known)}"
        raise LookupError(message)
    try:
        bodies = Bodies(found, values_of(found, values))
    except NoValueError as error:
        message = (
            f"no valid value is known for {error} of {title}: give its metadata an example, or "
            f"write body_of({title}, {error.path[0]}=...)"
        )
        raise LookupError(message) from None
    if messages := found.validate(bodies.valid, many=False):
        wrong = next((name for name in known if name in messages), next(iter(known), "name"))
        message = (
            f"{title} refuses {bodies.valid}: {messages}; give other values, as in "
            f"body_of({title}, {wrong}=...)"
        )
        raise LookupError(message)
    return bodies

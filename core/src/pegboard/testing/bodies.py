"""Bodies of requests made from a marshmallow schema: a valid one, and invalid ones in turn."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import RAISE, Schema, fields

from pegboard.testing.field_values import fields_of, key_of, values_of
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
        for name, field in fields_of(self.schema).items():
            if isinstance(field, fields.Nested) and isinstance(self.values[name], dict):
                for inner in Bodies(field.schema, self.values[name]).invalid:
                    whole = {**self.valid, name: inner.body}
                    one = InvalidBody(f"{name}.{inner.field}", inner.reason, whole)
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
    known = fields_of(found)
    if unknown := sorted(set(values) - set(known)):
        message = f"{type(found).__name__} takes no {', '.join(unknown)}, but {', '.join(known)}"
        raise LookupError(message)
    bodies = Bodies(found, values_of(found, values))
    if messages := found.validate(bodies.valid):
        message = (
            f"{type(found).__name__} refuses {bodies.valid}: {messages}; give other values, as in "
            f"body_of({type(found).__name__}, {next(iter(known), 'name')}=...)"
        )
        raise LookupError(message)
    return bodies

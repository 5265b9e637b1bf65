"""The schemas of a resource's requests and answers, derived from the one that its author writes.

Each is a class of its own, so that the document says exactly what a request may have and what an
answer has: no field is "partial", and none read-only.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from marshmallow import (
    RAISE,
    Schema,
    ValidationError,
    class_registry,
    fields,
    missing,
    pre_load,
)
from sqlalchemy.orm import DeclarativeBase

from pegboard.api import client_name
from pegboard.resources.bounds import bounded_fields
from pegboard.resources.fields import Line, Text

MAX_BULK = 1000
"""Rows, at most, that one request creates."""

BULK_HOOK = "limit_bulk"
"""The name of the hook by which the schema of a body refuses more; it leaves one row alone."""


@dataclass(frozen=True)
class Schemas:
    """The schemas of one resource."""

    input: type[Schema]
    """The body of a request that creates or replaces a row: all fields but read-only ones."""
    merge: type[Schema]
    """A merge patch: the same, none of them required."""
    output: type[Schema]
    """A row in an answer: all fields but write-only ones, each always there."""
    sparse: type[Schema]
    """A row of a list whose request names the fields it wants."""


class Kept:
    """A value that a merge patch leaves as the row has it: taken without being checked."""

    def __init__(self, value: Any) -> None:
        self.value = value


class ShownFields:
    """What clients call the attributes of a model, and how answers show them."""

    def __init__(self, output: Schema, model_input: Schema) -> None:
        self._fields = {
            field.attribute or name: (client_name(name, field), field)
            for schema in (model_input, output)
            for name, field in schema.fields.items()
        }

    def name_of(self, attribute: str) -> str:
        """Return what clients call an attribute: its own name if no schema has it."""
        return self._fields[attribute][0] if attribute in self._fields else attribute

    def field_of(self, attribute: str) -> fields.Field[Any] | None:
        """Return the field of an attribute, if a schema has it."""
        return self._fields[attribute][1] if attribute in self._fields else None


@cache
def derive(schema: type[Schema], model: type[DeclarativeBase]) -> Schemas:
    """Return the schemas that follow from an author's, and from the columns of the model.

    They are the same for two resources of one schema, as a name in the document has one schema.
    """
    declared: Mapping[str, fields.Field[Any]] = schema._declared_fields  # noqa: SLF001 - nothing public
    # Only an instance knows which fields its `Meta` excludes, makes read-only or write-only.
    used = schema().fields
    unused = declared.keys() - used
    read_only = [*unused, *(name for name, field in used.items() if field.dump_only)]
    write_only = [*unused, *(name for name, field in used.items() if field.load_only)]
    written = {name: field for name, field in declared.items() if name not in read_only}
    bounded = bounded_fields(written, model)
    written |= bounded
    shown = {name: field for name, field in declared.items() if name not in write_only}
    found = Schemas(
        input=_derived(schema, "Input", bounded, read_only),
        merge=_derived(
            schema, "Merge", {name: _optional(one) for name, one in written.items()}, read_only
        ),
        output=_derived(
            schema,
            "",
            {name: _shown(one, is_required=True) for name, one in shown.items()},
            write_only,
        ),
        sparse=_derived(
            schema,
            "Sparse",
            {name: _shown(one, is_required=False) for name, one in shown.items()},
            write_only,
        ),
    )
    _outputs[schema] = found.output
    return found


def _derived(
    schema: type[Schema],
    role: str,
    changed: Mapping[str, fields.Field[Any]],
    left_out: Iterable[str],
) -> type[Schema]:
    """Return a subclass with other fields; its component in the document has the plugin's name."""
    chosen = {"fields": (), "exclude": tuple(left_out), "load_only": (), "dump_only": ()}
    meta = type("Meta", (schema.Meta,), {"unknown": RAISE, **chosen})
    name = f"{schema.__name__.removesuffix('Schema')}{role}Schema"
    members: dict[str, Any] = {
        **changed,
        "Meta": meta,
        "__module__": schema.__module__,
        "__doc__": schema.__doc__,
    }
    if role == "Input":
        members[BULK_HOOK] = pre_load(_limit_bulk, pass_collection=True)
    if role in {"", "Sparse"} and schema.get_attribute is Schema.get_attribute:
        members["get_attribute"] = _attribute
    return type(name, (schema,), members)


def _limit_bulk(_schema: Schema, sent: Any, *, many: bool, **_: Any) -> Any:
    """Refuse a request with so many rows that others would wait for it."""
    if many and isinstance(sent, list) and len(sent) > MAX_BULK:
        message = f"At most {MAX_BULK} rows; send more in several requests."
        raise ValidationError(message)
    return sent


def _attribute(_schema: Schema, row: Any, name: str, default: Any) -> Any:
    """Return an attribute of a row; marshmallow would try to index the row first."""
    if "." in name:
        return Schema.get_attribute(_schema, row, name, default)
    return getattr(row, name, default)


def _optional(field: fields.Field[Any]) -> fields.Field[Any]:
    """Return the field of a merge patch, which takes a `Kept` value as it is."""
    optional = copy.deepcopy(field)
    optional.required = False
    optional.load_default = missing
    kind: Any = type(field)
    optional.__class__ = _keeping(kind)
    return optional


@cache
def _keeping(kind: Any) -> Any:
    def deserialize(self: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Kept):
            return value.value
        return kind.deserialize(self, value, *args, **kwargs)

    # The field's own name, as the document's types are looked up by class.
    return type(kind.__name__, (kind,), {"deserialize": deserialize, "__module__": kind.__module__})


def _shown(field: fields.Field[Any], *, is_required: bool) -> fields.Field[Any]:
    """Return the field of an answer: what limits requests does not limit what the table holds."""
    if isinstance(field, Line | Text):
        shown: fields.Field[Any] = fields.String(
            allow_none=field.allow_none,
            attribute=field.attribute,
            data_key=field.data_key,
            metadata=dict(field.given_metadata),
        )
    else:
        shown = copy.deepcopy(field)
    _name_outputs(shown)
    shown.required, shown.load_default, shown.dump_only = is_required, missing, False
    shown.validate = None
    shown.validators = []
    return shown


def _name_outputs(shown: fields.Field[Any]) -> None:
    """Let a nested schema of another resource be its schema of answers, which has its name."""
    if isinstance(shown, fields.List):
        _name_outputs(shown.inner)
    elif isinstance(shown, fields.Nested):
        nested = shown.nested
        # Looked up when it is used, as the other resource may be declared later.
        shown.nested = lambda: _answered(nested)


def _answered(nested: Any) -> Any:
    is_function = callable(nested) and not isinstance(nested, type)
    found = nested() if is_function else nested
    if isinstance(found, str):
        found = class_registry.get_class(found)
    return _outputs.get(found, found) if isinstance(found, type) else found


_outputs: dict[type, type[Schema]] = {}
"""The schemas of answers by those that authors write."""

Values = dict[str, Any]
"""The values of a row by attribute."""

Load = Callable[[Any], Values]

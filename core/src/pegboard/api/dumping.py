"""What a schema writes: as marshmallow writes it, in a third of the time.

marshmallow looks up for each value of each object what is the same for all.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from marshmallow import Schema, fields, missing
from marshmallow.utils import get_value
from sqlalchemy import Row

from pegboard.api.field_types import client_name

Write = Callable[[Any], Any]
Convert = Callable[[Any, str, Any], Any]
"""Takes a value, the name of its field, and the object that it is of."""

_SAME = {fields.Integer: int, fields.String: str}
"""The types of values that these fields write as they are."""

_ROWS = (tuple, Row)
"""Their items are by number, so that what has a name is an attribute."""

_PLAIN_METHODS = ("dump", "_serialize", "get_attribute", "dict_class")


class _Step(NamedTuple):
    """What is written of one field."""

    key: str
    attribute: str
    name: str
    field: Any
    convert: Convert | None
    """Writes a value; None where marshmallow has to find it, too."""
    same: type | None
    """The type of the values that are written as they are."""


def quick_schema(schema: Any) -> Any:
    """Return a schema that dumps as the given one, in less time; the given one if it cannot."""
    if isinstance(schema, type) and issubclass(schema, Schema):
        return quick_schema(schema())
    if not isinstance(schema, Schema) or not _is_plain(schema):
        return schema
    made = copy.copy(schema)
    write: Write | None = None

    def dump(found: Any, *, many: bool | None = None) -> Any:
        nonlocal write
        write = write or _writer(schema)  # not before schemas that others name exist
        if found is not None and (schema.many if many is None else many):
            return [write(one) for one in found]
        return write(found)

    vars(made)["dump"] = dump
    return made


def _is_plain(schema: Schema) -> bool:
    """Return whether a schema writes an object field by field, without code of its author."""
    return not any(schema._hooks[hook] for hook in ("pre_dump", "post_dump")) and all(  # noqa: SLF001 - nothing public tells
        getattr(type(schema), name) is getattr(Schema, name) and name not in vars(schema)
        for name in _PLAIN_METHODS
    )


def _writer(schema: Schema) -> Write:
    steps = [_step(name, field) for name, field in schema.dump_fields.items()]
    get_attribute = schema.get_attribute

    def write(found: Any) -> Mapping[str, Any]:
        written: dict[str, Any] = {}
        is_mapping = hasattr(found, "__getitem__") and not isinstance(found, _ROWS)
        for key, attribute, name, field, convert, same in steps:
            if convert is None:
                value = field.serialize(name, found, accessor=get_attribute)
                if value is not missing:
                    written[key] = value
                continue
            if is_mapping:
                value = get_value(found, attribute)
            else:
                value = getattr(found, attribute, missing)
            if type(value) is same:
                written[key] = value
                continue
            if value is missing:
                default = field.dump_default
                value = default() if callable(default) else default
                if value is missing:
                    continue
            value = convert(value, name, found)
            if value is not missing:
                written[key] = value
        return written

    return write


def _step(name: str, field: Any) -> _Step:
    key = client_name(name, field)
    attribute = name if field.attribute is None else field.attribute
    kind = type(field)
    is_default = (
        kind.serialize is fields.Field.serialize
        and kind.get_value is fields.Field.get_value
        and field._CHECK_ATTRIBUTE  # noqa: SLF001 - nothing public tells
        and "." not in attribute
    )
    same = None if getattr(field, "as_string", False) else _SAME.get(kind)
    return _Step(key, attribute, name, field, _convert(field) if is_default else None, same)


def _convert(field: Any) -> Convert:
    if type(field) is fields.List:
        inner = _convert(field.inner)
        return lambda value, name, found: (
            None if value is None else [inner(one, name, found) for one in value]
        )
    if type(field) is fields.Nested:
        return _convert_nested(field)
    convert: Convert = field._serialize  # noqa: SLF001 - what `serialize` calls
    return convert


def _convert_nested(field: fields.Nested) -> Convert:
    schema = field.schema
    if not _is_plain(schema):
        return field._serialize  # noqa: SLF001 - what `serialize` calls
    is_many = schema.many or field.many
    write: Write | None = None

    def convert(value: Any, _name: str, _found: Any) -> Any:
        nonlocal write
        if value is None:
            return None
        write = write or _writer(schema)  # not before, as schemas may be inside themselves
        return [write(one) for one in value] if is_many else write(value)

    return convert

"""What fields are called, and what the OpenAPI document says of them beside what apispec does."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def client_name(name: str, field: fields.Field[Any]) -> str:
    """Return the name of a field in JSON, and in a query."""
    return name if field.data_key is None else field.data_key


def enum_type(_converter: object, field: fields.Field[Any], ret: Mapping[str, Any]) -> Any:
    """Return the type of an enumeration's values, which apispec leaves out for `by_value=True`."""
    if not isinstance(field, fields.Enum) or "type" in ret:
        return {}
    found = {_TYPES.get(type(value)) for value in ret["enum"] if value is not None}
    return {"type": found.pop()} if len(found) == 1 and None not in found else {}

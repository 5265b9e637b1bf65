"""What a row has in the columns that a body leaves out, when it replaces the row."""

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import Schema, missing
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    SmallInteger,
    String,
    Text,
    inspect,
    literal_column,
)
from sqlalchemy.orm import DeclarativeBase

from pegboard.resources.schemas import Values


def defaults_of(model: type[DeclarativeBase], body: Schema) -> Mapping[str, Callable[[], Any]]:
    """Return, by attribute, what makes the values of columns that a body may leave out.

    They are those of a new row. There are none for write-only fields, as a client that sends back
    what it was shown does not know them, nor for columns that need a value and have no default.
    """
    attributes = inspect(model).column_attrs
    found: dict[str, Callable[[], Any]] = {}
    for name, field in body.load_fields.items():
        attribute = field.attribute or name
        is_optional = not (field.required or field.load_only) and field.load_default is missing
        if is_optional and attribute in attributes:
            column = attributes[attribute].columns[0]
            make = _default_of(column) if isinstance(column, Column) else None
            if make is not None:
                found[attribute] = make
    return found


def with_defaults(sent: Values, defaults: Mapping[str, Callable[[], Any]]) -> Values:
    """Return the values of a body, with those of columns that it leaves out."""
    left_out = {name: make() for name, make in defaults.items() if name not in sent}
    return {**left_out, **sent}


def _default_of(column: Column[Any]) -> Callable[[], Any] | None:
    default: Any = column.default
    if default is not None:
        if default.is_callable:
            return lambda: default.arg(None)
        return None if default.is_sequence else lambda: default.arg
    if column.server_default is not None:
        return _of_server(getattr(column.server_default, "arg", None), column)
    return (lambda: None) if column.nullable else None


def _of_server(default: Any, column: Column[Any]) -> Callable[[], Any] | None:
    """Return what makes the value of a default of the database, or an expression for it."""
    if not isinstance(default, str):
        return None if default is None else lambda: default
    if type(column.type) in _PLAIN:
        # A value, as steps and listeners can read it.
        value = column.type.python_type(default)
        return lambda: value
    escaped = default.replace("'", "''")
    return lambda: literal_column(f"'{escaped}'")


_PLAIN = {BigInteger, Integer, SmallInteger, String, Text}
"""The types whose values the text of a default is."""

"""What a row has in the columns that a body leaves out, when it replaces the row."""

from collections.abc import Callable, Collection, Iterator, Mapping
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
    null,
)
from sqlalchemy.orm import DeclarativeBase

from pegboard.api import client_name
from pegboard.resources.schemas import Values


class _Context:
    """What the function of a column's default is given of SQLAlchemy's execution context."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.current_parameters = parameters

    def get_current_parameters(self) -> Mapping[str, Any]:
        """Return the values of the row by the keys of the columns."""
        return self.current_parameters


class LeftOut:
    """The fields that a body may leave out, and what they become when it replaces a row.

    That is what they are in a new row. Write-only fields stay as they were, as a client that sends
    back what it was shown does not know them.
    """

    def __init__(self, model: type[DeclarativeBase], body: Schema) -> None:
        fields = {
            field.attribute or name: client_name(name, field)
            for name, field in body.load_fields.items()
            if not (field.required or field.load_only) and field.load_default is missing
        }
        # In the order of the table: the function of a default sees the columns before its own.
        columns = {
            one.key: one.columns[0]
            for one in inspect(model).column_attrs
            if isinstance(one.columns[0], Column)
        }
        made = {
            attribute: _default_of(column)
            for attribute, column in columns.items()
            if attribute in fields and not column.primary_key
        }
        self._keys = {attribute: column.key for attribute, column in columns.items()}
        self._makers = {one: make for one, make in made.items() if make is not None}
        self._unknown = [fields[one] for one, make in made.items() if make is None]

    @property
    def names(self) -> Collection[str]:
        """The attributes that get a value when they are left out."""
        return self._makers.keys()

    def mistakes(self) -> Iterator[str]:
        """Yield the fields for which there is nothing that a row could get."""
        for name in self._unknown:
            yield (
                f"a PUT that leaves out {name} cannot give it what a POST would, as its column has "
                "no default that is known, and no null; give the field a load_default, make it "
                "required, or leave out Operation.REPLACE"
            )

    def filled(self, values: Values) -> Values:
        """Return the values of a body by attribute, with those of fields that it leaves out."""
        result = dict(values)
        current = {self._keys[one]: value for one, value in values.items() if one in self._keys}
        for attribute, make in self._makers.items():
            if attribute not in values:
                value = make(_Context(current))
                result[attribute] = current[self._keys[attribute]] = value
        return result


def _default_of(column: Column[Any]) -> Callable[[Any], Any] | None:
    """Return what makes the value of a new row that is given none, from the context."""
    default: Any = column.default
    if default is not None:
        if default.is_callable:
            return default.arg  # type: ignore[no-any-return]  # SQLAlchemy lets it take a context
        return None if default.is_sequence else lambda _: default.arg
    if column.server_default is not None:
        make = _of_server(getattr(column.server_default, "arg", None), column)
        return None if make is None else lambda _: make()
    if not column.nullable:
        return None
    # A type such as JSON stores None as a value of its own, and a column left out has none.
    nothing = null() if column.type.should_evaluate_none else None
    return lambda _: nothing


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

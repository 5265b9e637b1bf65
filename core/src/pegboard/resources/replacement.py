"""What a `PUT` gives the fields that its body leaves out: what a `POST` of the same body would.

So a body has one result, whatever the row was before (RFC 9110, section 9.3.4).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from marshmallow import Schema, missing
from sqlalchemy import Column, inspect, null
from sqlalchemy.orm import DeclarativeBase

from pegboard.resources.schemas import Values, client_name


class DefaultContext:
    """What the function of a column's default is given of SQLAlchemy's execution context."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.current_parameters = parameters

    def get_current_parameters(self) -> Mapping[str, Any]:
        """Return the values of the row by the keys of the columns."""
        return self.current_parameters


class LeftOutFields:
    """The fields without a `load_default` that a body may leave out, and what they become then."""

    def __init__(self, schema: Schema, model: type[DeclarativeBase]) -> None:
        columns = {
            one.key: one.columns[0]
            for one in inspect(model).column_attrs
            if isinstance(one.columns[0], Column) and not one.columns[0].primary_key
        }
        self._keys = {attribute: column.key for attribute, column in columns.items()}
        names = {
            field.attribute or name: client_name(name, field)
            for name, field in schema.load_fields.items()
            if not field.required and field.load_default is missing
        }
        # In the order of the table: the function of a default sees the columns before its own.
        written = {key: column for key, column in columns.items() if key in names}
        self._fillings = {key: _filling(column) for key, column in written.items()}
        self._names = names

    def mistakes(self) -> Iterator[str]:
        """Yield the fields for which only the database knows what a new row gets, if anything."""
        for attribute, filling in self._fillings.items():
            if filling is None:
                name = self._names[attribute]
                yield (
                    f"a PUT that leaves out {name} cannot give it what a POST would, as only the "
                    f"database has a default of it, or there is none and no null; give the field "
                    f"a load_default, make it required, or leave out Operation.REPLACE"
                )

    def filled(self, values: Values) -> Values:
        """Return values by attribute with those of the fields that were left out."""
        if self._fillings.keys() <= values.keys():
            return values
        result = dict(values)
        current = {self._keys[one]: value for one, value in values.items() if one in self._keys}
        for attribute, filling in self._fillings.items():
            if filling is not None and attribute not in values:
                value = filling(DefaultContext(current))
                result[attribute] = current[self._keys[attribute]] = value
        return result


def _filling(column: Column[Any]) -> Callable[[DefaultContext], Any] | None:
    """Return what makes the value of a new row that is given none; None if the database does."""
    default: Any = column.default
    if default is not None:
        if default.is_callable:
            return default.arg  # type: ignore[no-any-return]  # SQLAlchemy lets it take a context
        return (lambda _: default.arg) if default.is_scalar else None
    if column.server_default is not None or not column.nullable:
        return None
    # A type such as JSON stores None as a value of its own, and a column left out has none.
    nothing = null() if column.type.should_evaluate_none else None
    return lambda _: nothing

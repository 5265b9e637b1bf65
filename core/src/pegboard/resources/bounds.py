"""Bounding the fields of a resource by what their columns hold, alike on every database.

SQLite stores any number of 64 bits in a column of 32, any text in one of ten characters, and a
price of any size in a `Numeric(8, 2)`, which PostgreSQL refuses or rounds; and of a time with an
offset the two keep different things.
"""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal as DecimalNumber
from functools import cache
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields, validate
from sqlalchemy import DateTime, Enum, Float, Integer, Numeric, String, Time, inspect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from pegboard.resources.fields import Decimal, Line
from pegboard.resources.kinds import integer_range


def bounded_fields(
    declared: Mapping[str, fields.Field[Any]], model: type[DeclarativeBase]
) -> dict[str, fields.Field[Any]]:
    """Return the fields with their columns' bounds, where their author gave none or wider ones."""
    attributes = inspect(model).column_attrs
    bounded: dict[str, fields.Field[Any]] = {}
    for name, field in declared.items():
        attribute = field.attribute or name
        if attribute in attributes:
            changed = _bounded(field, attributes[attribute].columns[0].type)
            if changed is not field:
                bounded[name] = changed
    return bounded


def _bounded(field: fields.Field[Any], column: TypeEngine[Any]) -> fields.Field[Any]:
    """Return a field as its column bounds it: the field itself where it needs no bound."""
    for one in _BOUNDS:
        if isinstance(field, one.field) and isinstance(column, one.column):
            return one.bound(field, column)
    return field


def _in_range(field: fields.Integer, column: Integer) -> fields.Field[Any]:
    low, high = integer_range(column)
    ranges = [one for one in field.validators if isinstance(one, validate.Range)]
    smallest = max((one.min for one in ranges if one.min is not None), default=None)
    largest = min((one.max for one in ranges if one.max is not None), default=None)
    is_bounded_below = smallest is not None and smallest >= low
    is_bounded_above = largest is not None and largest <= high
    if is_bounded_below and is_bounded_above:
        return field
    bounds = (None if is_bounded_below else low, None if is_bounded_above else high)
    return _with(field, validate.Range(*bounds))


def _in_length(field: fields.String, column: String) -> fields.Field[Any]:
    if column.length is None or isinstance(column, Enum):
        return field
    return _at_most(field, column.length)


def _at_most(field: fields.String, length: int) -> fields.Field[Any]:
    if isinstance(field, Line):
        is_bounded = field.max_length is not None and field.max_length <= length
        return field if is_bounded else field.limited_to(length)
    limits = [
        limit
        for one in field.validators
        if isinstance(one, validate.Length)
        for limit in (one.max, one.equal)
        if limit is not None
    ]
    if min(limits, default=length + 1) <= length:
        return field
    return _with(field, validate.Length(max=length))


def _with_digits(field: fields.Field[Any], column: Numeric[Any]) -> fields.Field[Any]:
    if column.precision is None or isinstance(column, Float):
        return field
    scale = column.scale or 0
    digits = Digits(column.precision - scale, scale)
    changed = _with(field, digits)
    if isinstance(field, Decimal):
        changed.metadata = {**field.metadata, **digits.metadata(), **field.given_metadata}
    return changed


class Digits(validate.Validator):
    """Checks that a number has no more digits than a column keeps."""

    def __init__(self, before: int, after: int) -> None:
        """Take how many digits it may have before and after its point."""
        self._before, self._after = before, after

    def __call__(self, value: Any) -> Any:
        """Return the number. Raises `ValidationError`."""
        number = value if isinstance(value, DecimalNumber) else DecimalNumber(str(value))
        exponent = number.as_tuple().exponent
        is_long = bool(number) and number.adjusted() >= self._before
        if not isinstance(exponent, int) or -exponent > self._after or is_long:
            message = f"At most {self._before} digits before the point and {self._after} after it."
            raise ValidationError(message)
        return value

    def metadata(self) -> dict[str, Any]:
        """Return what the document says of such a number, as a text."""
        whole = f"(0|[1-9][0-9]{{0,{self._before - 1}}})" if self._before > 0 else "0"
        fraction = f"(\\.[0-9]{{1,{self._after}}})?" if self._after else ""
        example = ("12"[: self._before] or "0") + ".50"[: self._after and self._after + 1]
        return {"pattern": f"^-?{whole}{fraction}$", "example": example}


def _in_utc(field: fields.DateTime, column: DateTime) -> fields.Field[Any]:
    changed = copy.deepcopy(field)
    kind: Any = type(field)
    changed.__class__ = _converting(kind, column.timezone)
    return changed


@cache
def _converting(kind: Any, is_aware: bool) -> Any:  # noqa: FBT001 - a key of the cache
    def deserialize(self: Any, *args: Any, **kwargs: Any) -> datetime:
        moment: datetime = kind._deserialize(self, *args, **kwargs)  # noqa: SLF001 - its subclass
        try:
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except OverflowError:
            message = "Not a time of the years 1 to 9999 in UTC."
            raise ValidationError(message) from None
        return moment if is_aware else moment.replace(tzinfo=None)

    members = {"_deserialize": deserialize, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), members)


def _without_offset(field: fields.Field[Any], column: Time) -> fields.Field[Any]:
    return field if column.timezone else _with(field, _refuse_offset)


def _refuse_offset(value: Any) -> None:
    if isinstance(value, time) and value.tzinfo is not None:
        message = "Not a time without an offset such as 10:30:00."
        raise ValidationError(message)


def _with(field: fields.Field[Any], validator: Any) -> fields.Field[Any]:
    changed = copy.deepcopy(field)
    changed.validators = [*changed.validators, validator]
    return changed


class _Bound(NamedTuple):
    """How a kind of column bounds a kind of field."""

    field: type[fields.Field[Any]]
    column: type[TypeEngine[Any]]
    bound: Callable[[Any, Any], fields.Field[Any]]
    """Takes a field and the type of its column. Returns another field, or the same."""


_BOUNDS = (
    _Bound(fields.Integer, Integer, _in_range),
    _Bound(fields.String, String, _in_length),
    _Bound(fields.Field, Numeric, _with_digits),
    _Bound(fields.DateTime, DateTime, _in_utc),
    _Bound(fields.Field, Time, _without_offset),
)

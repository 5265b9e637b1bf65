"""Bounding the fields of a resource by what their columns hold, alike on every database.

SQLite stores any number of 64 bits in a column of 32, any text in one of ten characters, and a
price of any size in a `Numeric(8, 2)`, which PostgreSQL refuses or rounds; and of a time with an
offset the two keep different things.
"""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal as DecimalNumber
from functools import cache
from typing import Any

from marshmallow import ValidationError, fields, validate
from sqlalchemy import DateTime, Enum, Float, Integer, Numeric, String, Time, inspect
from sqlalchemy.orm import DeclarativeBase

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
        if attribute not in attributes:
            continue
        kind = attributes[attribute].columns[0].type
        if isinstance(field, fields.Integer) and isinstance(kind, Integer):
            changed = _in_range(field, *integer_range(kind))
        elif _is_text(field) and isinstance(kind, String) and not isinstance(kind, Enum):
            changed = field if kind.length is None else _at_most(field, kind.length)
        elif isinstance(kind, Numeric) and not isinstance(kind, Float):
            changed = field if kind.precision is None else _with_digits(field, kind)
        elif isinstance(kind, DateTime) and isinstance(field, fields.DateTime):
            changed = _in_utc(field, is_aware=kind.timezone)
        elif isinstance(kind, Time) and not kind.timezone:
            changed = _with(field, _refuse_offset)
        else:
            continue
        if changed is not field:
            bounded[name] = changed
    return bounded


def _is_text(field: fields.Field[Any]) -> bool:
    return isinstance(field, fields.String) and not isinstance(field, fields.UUID)


def _in_range(field: fields.Field[Any], low: int, high: int) -> fields.Field[Any]:
    ranges = [one for one in field.validators if isinstance(one, validate.Range)]
    smallest = max((one.min for one in ranges if one.min is not None), default=None)
    largest = min((one.max for one in ranges if one.max is not None), default=None)
    is_bounded_below = smallest is not None and smallest >= low
    is_bounded_above = largest is not None and largest <= high
    if is_bounded_below and is_bounded_above:
        return field
    bounds = (None if is_bounded_below else low, None if is_bounded_above else high)
    return _with(field, validate.Range(*bounds))


def _at_most(field: fields.Field[Any], length: int) -> fields.Field[Any]:
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


def _with_digits(field: fields.Field[Any], kind: Numeric[Any]) -> fields.Field[Any]:
    digits = Digits((kind.precision or 0) - (kind.scale or 0), kind.scale or 0)
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


def _in_utc(field: fields.Field[Any], *, is_aware: bool) -> fields.Field[Any]:
    changed = copy.deepcopy(field)
    kind: Any = type(field)
    changed.__class__ = _converting(kind, is_aware)
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


def _refuse_offset(value: Any) -> None:
    if isinstance(value, time) and value.tzinfo is not None:
        message = "Not a time without an offset such as 10:30:00."
        raise ValidationError(message)


def _with(field: fields.Field[Any], validator: Any) -> fields.Field[Any]:
    changed = copy.deepcopy(field)
    changed.validators = [*changed.validators, validator]
    return changed

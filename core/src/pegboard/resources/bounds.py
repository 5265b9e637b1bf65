"""Bounding the fields of a resource by what their columns hold, alike on every database.

SQLite stores any number of 64 bits in a column of 32, and any text in one of ten characters;
PostgreSQL refuses both.
"""

import copy
from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate
from sqlalchemy import Enum, Integer, String, inspect
from sqlalchemy.orm import DeclarativeBase

from pegboard.resources.fields import Line
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


def _with(field: fields.Field[Any], validator: validate.Validator) -> fields.Field[Any]:
    changed = copy.deepcopy(field)
    changed.validators = [*changed.validators, validator]
    return changed

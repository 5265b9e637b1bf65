"""What a view of a documented blueprint declares: the schemas of its arguments, by location."""

from collections.abc import Callable, Collection
from typing import Any

from marshmallow import Schema, fields

_SHARED = "_pegboard_instance"
_STATELESS_FIELDS = frozenset(
    {
        *(fields.Boolean, fields.Constant, fields.Date, fields.DateTime, fields.Decimal),
        *(fields.Email, fields.Enum, fields.Float, fields.Integer, fields.NaiveDateTime),
        *(fields.AwareDateTime, fields.Raw, fields.String, fields.Time, fields.TimeDelta),
        *(fields.URL, fields.UUID),
    }
)
"""Fields that keep nothing of what they load."""


def declared_schemas(
    function: Callable[..., Any], locations: Collection[str]
) -> tuple[Schema, ...]:
    """Return the schemas of a view's arguments at these locations, as webargs calls them."""
    documentation = getattr(function, "_apidoc", {})
    parameters = list(documentation.get("arguments", {}).get("parameters", ()))
    if "pagination" in documentation:
        parameters.append(documentation["pagination"]["parameters"])
    given = [one["schema"] for one in parameters if one["in"] in locations]
    return tuple(one() if isinstance(one, type) else one for one in given)


def shared_instance(schema: type[Schema]) -> Schema | None:
    """Return the one instance of a schema whose instances keep nothing of a request, else None.

    To make an instance takes longer than to load a small body by it. One that has any code of its
    author, such as a hook, is made for each request, as its author may expect of webargs.
    """
    found: Schema | bool | None = vars(schema).get(_SHARED, False)
    if isinstance(found, bool):
        found = schema() if _is_stateless(schema) else None
        setattr(schema, _SHARED, found)
    return found


def _is_stateless(schema: type[Schema]) -> bool:
    own = (vars(one) for one in schema.__mro__ if one not in Schema.__mro__)
    return all(
        name == "Meta" or not (callable(value) or hasattr(value, "__get__"))
        for names in own
        for name, value in names.items()
    ) and all(map(_is_stateless_field, schema._declared_fields.values()))  # noqa: SLF001 - nothing public has them


def _is_stateless_field(field: fields.Field[Any]) -> bool:
    if type(field) is fields.List:
        return _is_stateless_field(field.inner)
    if type(field) is fields.Nested:
        return isinstance(field.nested, type) and _is_stateless(field.nested)
    return type(field) in _STATELESS_FIELDS

"""What a request has sent: the variables of its URL, its query and its body, value by value."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Request, current_app

from pegboard.api.declarations import declared_schemas
from pegboard.api.field_types import client_name
from pegboard.http import InvalidJSONError, function_of, load_json

_FIELDS = "_pegboard_fields_by_column"


@dataclass(frozen=True)
class Sent:
    """One value of a request."""

    names: tuple[str, ...]
    """Its name, after those of the objects, or the numbers of the list elements, that it is in."""
    value: Any
    is_in_path: bool = False
    """Whether it is a variable of the URL."""


def sent_values(request: Request) -> Iterator[Sent]:
    """Yield the values of the URL, the query and the body, a JSON text or a form."""
    for name, value in (request.view_args or {}).items():
        yield Sent((name,), value, is_in_path=True)
    for name, value in (*request.args.items(multi=True), *request.form.items(multi=True)):
        yield Sent((name,), value)
    if request.is_json:
        try:
            body = load_json(request.get_data())
        except InvalidJSONError:
            return
        yield from _values((), body)


def _values(names: tuple[str, ...], value: Any) -> Iterator[Sent]:
    # By a list and not recursively, as the nesting is the client's.
    left = [(names, value)]
    while left:
        names, value = left.pop()
        if isinstance(value, Mapping):
            left.extend(((*names, name), one) for name, one in reversed(list(value.items())))
        elif isinstance(value, list):
            left.extend(((*names, str(at)), value[at]) for at in reversed(range(len(value))))
        elif names:
            yield Sent(names, value)


def name_columns(view: Callable[..., Any], fields: Mapping[str, str]) -> None:
    """Say what the bodies of a view call the columns that it writes: fields by column."""
    vars(view)[_FIELDS] = fields


def fields_by_column(request: Request) -> Mapping[str, str]:
    """Return what `name_columns` was told of the view."""
    found: Mapping[str, str] = getattr(_function(request), _FIELDS, {})
    return found


def _function(request: Request) -> Any:
    if request.endpoint is None:
        return None
    return function_of(current_app.view_functions[request.endpoint], request.method)


def body_fields(request: Request) -> Mapping[str, str]:
    """Return the fields that the view declares for the body: names for clients by attribute."""
    function = _function(request)
    if function is None:
        return {}
    return {
        field.attribute or name: client_name(name, field)
        for schema in declared_schemas(function, {"json", "form"})
        if not schema.many
        for name, field in schema.load_fields.items()
    }

"""JSON merge patches (RFC 7396): changing some of the fields of a row."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError

from pegboard.api import client_name, plain_messages
from pegboard.http import VALIDATION_MESSAGE, abort, read_json
from pegboard.resources.schemas import Kept, Values

MEDIA_TYPES = ("application/merge-patch+json", "application/json")
"""The media types of a merge patch."""


def read_patch() -> Any:
    """Return the body of the current request, as a client has sent it.

    Ends the request with 400 or 415 for one that is no JSON. It is read here and not by the schema,
    as a member that is null and one that is missing mean different things, also inside objects.
    """
    if request.mimetype not in MEDIA_TYPES:
        message = f"The body must be a merge patch, sent as Content-Type: {MEDIA_TYPES[0]}."
        headers = {"Accept-Patch": ", ".join(MEDIA_TYPES)}
        abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, headers=headers)
    return read_json(request)


def merged(target: Any, patch: Any) -> Any:
    """Return what a patch makes of a JSON value (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def patched_values(schema: Schema, patch: Any, row: Any, shown: Mapping[str, Any]) -> Values:
    """Return the values that a patch gives a row, by attribute.

    The whole row is validated as it will be, by the schema's own checks of several fields; the
    fields that the patch leaves alone are not, as another program may have written them. `shown` is
    the row in the form of an answer. Raises `ValidationError`.
    """
    if not isinstance(patch, Mapping):
        raise ValidationError(schema.error_messages["type"])
    names = {
        client_name(name, field): field.attribute or name
        for name, field in schema.load_fields.items()
    }
    kept = {
        name: Kept(getattr(row, attribute))
        for name, attribute in names.items()
        if name not in patch and hasattr(row, attribute)
    }
    given = {
        name: merged(shown.get(name), value) if isinstance(value, Mapping) else value
        for name, value in patch.items()
    }
    loaded: Values = schema.load({**kept, **given})
    changed = {names[name] for name in given if name in names}
    untouched = {names[name] for name in kept} - changed
    return {
        name: value
        for name, value in loaded.items()
        # What the schema's own functions have changed beside the fields of the patch counts too.
        if name not in untouched or value is not getattr(row, name)
    }


def load_patched(schema: Schema, patch: Any, row: Any, shown: Mapping[str, Any]) -> Values:
    """Return the values that a patch gives a row; ends the request with 422 for a bad one."""
    try:
        return patched_values(schema, patch, row, shown)
    except ValidationError as error:
        messages = error.normalized_messages()  # type: ignore[no-untyped-call]  # it has none
        abort(422, VALIDATION_MESSAGE, errors=plain_messages(messages, schema))

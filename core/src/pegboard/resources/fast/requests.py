"""Reads the URL, the headers and the body of a request, as far as a fast path can."""

import io
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from marshmallow import RAISE, Schema, ValidationError, missing
from werkzeug.exceptions import ClientDisconnected

from pegboard.api import client_name
from pegboard.http import InvalidJSONError, load_json
from pegboard.resources.fast.encoding import is_builtin
from pegboard.resources.schemas import BULK_HOOK, Values

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

JSON = ("Content-Type", "application/json")

MAX_SIZE = 64 * 1024
"""Bytes of the largest body that a fast path reads."""

_HOOKS = ("pre_load", "post_load", "validates", "validates_schema")


def is_conditional(environ: "WSGIEnvironment") -> bool:
    """Return whether a request has preconditions (RFC 9110, section 13)."""
    return "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ


def is_received(environ: "WSGIEnvironment") -> bool:
    """Return whether the whole body is in memory, so that reading it does not wait."""
    return isinstance(environ["wsgi.input"], io.BytesIO)


def tag_header(etag: str) -> tuple[str, str]:
    """Return the header for a strong validator."""
    return "ETag", f'"{etag}"'


def prefix_of(environ: "WSGIEnvironment") -> str | None:
    """Return the path prefix of a request; None for one that would have to be encoded."""
    prefix: str = environ.get("SCRIPT_NAME", "").rstrip("/")
    return prefix if prefix.isascii() else None


def query_of(environ: "WSGIEnvironment") -> list[tuple[str, str]] | None:
    """Return the names and values of a query; None for one that is not encoded in UTF-8."""
    query: str = environ.get("QUERY_STRING", "")
    if not query.isascii():
        return None
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        return None


class Body:
    """The JSON object in a request's body, and the values that a schema makes of it."""

    def __init__(self, schema: Schema, media_types: Collection[str], limit: int) -> None:
        """`limit` is the largest body that the service takes, in bytes."""
        self._types = {
            f"{media}{charset}" for media in media_types for charset in ("", "; charset=utf-8")
        }
        self._limit = min(limit, MAX_SIZE)
        self._fields = {
            client_name(name, field): (field.attribute or name, field)
            for name, field in schema.load_fields.items()
        }
        hooks = getattr(schema, "_hooks", {})
        self.is_loaded_by_fields = (
            type(schema).load is Schema.load
            and schema.unknown == RAISE
            and not any(name != BULK_HOOK for hook in _HOOKS for name, *_ in hooks.get(hook, ()))
            and not any("." in attribute for attribute, _ in self._fields.values())
        )
        """Whether nothing but the fields, one by one, makes the values."""

        self.is_builtin = all(is_builtin(field) for _, field in self._fields.values())
        """Whether no code of a plugin, which may wait or need the app, has a part in it."""

    @property
    def attributes(self) -> list[str]:
        """The attributes that a body may give values."""
        return [attribute for attribute, _ in self._fields.values()]

    def values(self, environ: "WSGIEnvironment") -> Values | None:
        """Return the values of a body by attribute; None if anything is unusual."""
        if environ.get("CONTENT_TYPE") not in self._types or environ.get("QUERY_STRING"):
            return None
        data = self._read(environ)
        if data is None:
            return None
        try:
            given = load_json(data)
        except InvalidJSONError:
            return None
        if type(given) is not dict or not self._fields.keys() >= given.keys():
            return None
        found: Values = {}
        try:
            for key, (attribute, field) in self._fields.items():
                value: Any = field.deserialize(given.get(key, missing), key, given)
                if value is not missing:
                    found[attribute] = value
        except ValidationError:
            return None
        return found

    def _read(self, environ: "WSGIEnvironment") -> bytes | None:
        declared = environ.get("CONTENT_LENGTH") or ""
        if (
            not (declared.isascii() and declared.isdecimal())
            or not 0 < int(declared) <= self._limit
            or "HTTP_TRANSFER_ENCODING" in environ
            or "HTTP_CONTENT_ENCODING" in environ
        ):
            return None
        try:
            data: bytes = environ["wsgi.input"].read(int(declared))
        except OSError as error:
            raise ClientDisconnected from error
        environ["wsgi.input"] = io.BytesIO(data)  # the view may have to read it again
        return data

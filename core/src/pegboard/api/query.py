"""The query of a request: each of its parameters is one that the view declares, and is given once.

Unknown names are judged here, for the view as a whole: it may have several schemas for the query.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from flask import Flask, Request, current_app
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from pegboard.api.declarations import declared_schemas
from pegboard.api.field_types import client_name
from pegboard.api.messages import plain_messages
from pegboard.http import VALIDATION_MESSAGE, abort, function_of

LOCATIONS = frozenset({"query", "querystring"})
"""The names that webargs has for the query."""

_EXTENSION = "pegboard.queries"
_OPEN = "_pegboard_any_query"
_NOT_UTF_8 = "Not UTF-8."
_REPEATED = "Given more than once."

F = TypeVar("F", bound=Callable[..., Any])


def open_query(view: F) -> F:
    """Declare that a view, or a view class, reads its query by itself: it knows any parameter."""
    setattr(view, _OPEN, True)
    return view


def check_query(app: Flask, request: Request) -> None:
    """End a request with 422 unless its view declares every parameter of the query.

    Only views of a `pegboard.Blueprint` declare parameters; the query of any other view only has to
    be UTF-8.
    """
    raw = request.environ.get("QUERY_STRING", "")
    if not raw:
        return
    if "%" in raw or not raw.isascii():
        _require_utf_8(raw)
    rules = _rules_of(app, request)
    if rules is not None and (errors := rules.errors(request)):
        abort(422, VALIDATION_MESSAGE, errors=errors)


def query_errors(request: Request) -> dict[str, Any]:
    """Return all that is wrong with a query of which one schema has refused a parameter."""
    rules = _rules_of(current_app, request)
    return {} if rules is None else rules.all_errors(request)


def load_query(parser: FlaskParser, request: Request, schema: Schema) -> MultiDictProxy:
    """Return the parameters for a schema; raises `ValidationError` for repeated ones of its own.

    Those that it declares as lists may be repeated.
    """
    found = _proxy(parser, request, schema)
    if repeated := _repeated_in(found, request, schema):
        raise ValidationError(repeated)
    return found


@dataclass(frozen=True)
class _Rules:
    """What one view declares of its query."""

    parser: FlaskParser
    schemas: tuple[Schema, ...]
    documented: Mapping[str, bool]
    """Parameters that the view documents without a schema; whether each may be repeated."""
    is_open: bool
    known: frozenset[str]
    """The names of all parameters."""

    def errors(self, request: Request) -> dict[str, Any]:
        """Return what is wrong with the query; what a schema finds by itself only along with it."""
        args = request.args
        once = {name for name, may_repeat in self.documented.items() if not may_repeat}
        errors: dict[str, Any] = {name: [_REPEATED] for name in sorted(_repeated(args) & once)}
        if self.is_open or (not errors and self.known.issuperset(args)):
            return errors
        return self.all_errors(request) | errors

    def all_errors(self, request: Request) -> dict[str, Any]:
        """Return what all schemas find wrong with the query, and what none of them knows."""
        args = request.args
        errors: dict[str, Any] = {}
        unknown = set() if self.is_open else set(args) - self.documented.keys()
        for schema in self.schemas:
            found = _complaints(self.parser, request, schema)
            refused = [schema.error_messages["unknown"]]
            # A schema may read other names than its fields', in a `pre_load` function.
            unknown &= {name for name in args if found.get(name) == refused}
            errors |= {
                name: texts for name, texts in found.items() if name not in args or texts != refused
            }
        complaint = _unknown(self.known)
        return {name: [complaint] for name in args if name in unknown} | errors


def _rules_of(app: Flask, request: Request) -> _Rules | None:
    endpoint, method = request.endpoint, request.method
    if endpoint is None or method == "OPTIONS":
        return None
    remembered: dict[tuple[str, str], _Rules | None] = app.extensions.setdefault(_EXTENSION, {})
    if (endpoint, method) not in remembered:
        remembered[endpoint, method] = _read_rules(app, endpoint, method)
    return remembered[endpoint, method]


def _read_rules(app: Flask, endpoint: str, method: str) -> _Rules | None:
    owner, _, local = endpoint.rpartition(".")
    blueprint: Any = app.blueprints.get(owner)
    if not hasattr(blueprint, "any_query"):  # of Flask, or of flask-smorest alone
        return None
    view = app.view_functions[endpoint]
    function = function_of(view, method)
    documentation = getattr(function, "_apidoc", {})
    schemas = declared_schemas(function, LOCATIONS)
    by_hand = (
        *documentation.get("manual_doc", {}).get("parameters", ()),
        *(blueprint._docs.get(local, {}).get("parameters") or ()),  # noqa: SLF001 - flask-smorest's
    )
    documented = {
        one["name"]: one.get("schema", {}).get("type") == "array"
        for one in by_hand
        if isinstance(one, Mapping) and one.get("in") == "query"
    }
    view_class = getattr(view, "view_class", None)
    is_open = getattr(function, _OPEN, False) or getattr(view_class, _OPEN, False)
    declared = (one for schema in schemas for one in schema.load_fields.items())
    known = frozenset(documented) | {client_name(name, field) for name, field in declared}
    return _Rules(blueprint.ARGUMENTS_PARSER, schemas, documented, is_open, known)


def _complaints(parser: FlaskParser, request: Request, schema: Schema) -> dict[str, Any]:
    """Return all that a schema finds wrong with the query, unknown and repeated names included."""
    found = _proxy(parser, request, schema)
    errors: dict[str, Any] = {}
    try:
        schema.load(found, unknown=RAISE)
    except ValidationError as error:
        errors = plain_messages(error.normalized_messages(), schema)  # type: ignore[no-untyped-call]  # it has none
    return errors | _repeated_in(found, request, schema)


def _proxy(parser: FlaskParser, request: Request, schema: Schema) -> MultiDictProxy:
    return MultiDictProxy(request.args, schema, known_multi_fields=tuple(parser.KNOWN_MULTI_FIELDS))


def _repeated_in(found: MultiDictProxy, request: Request, schema: Schema) -> dict[str, list[str]]:
    names = {client_name(name, field) for name, field in schema.load_fields.items()}
    single = names - found.multiple_keys
    return {name: [_REPEATED] for name in sorted(_repeated(request.args) & single)}


def _repeated(args: MultiDict[str, str]) -> set[str]:
    return {name for name, values in args.lists() if len(values) > 1}


def _unknown(known: frozenset[str]) -> str:
    if not known:
        return "Unknown parameter; this call takes none."
    return f"Unknown parameter; known are {', '.join(sorted(known))}."


def _require_utf_8(raw: str) -> None:
    """End the request with 422 if its query has bytes, escaped or not, that are not UTF-8."""
    encoded = raw.encode("latin-1")
    if _is_utf_8(encoded):
        return
    pairs = (part.partition(b"=") for part in encoded.split(b"&"))
    wrong = [name for name, _, value in pairs if not (_is_utf_8(name) and _is_utf_8(value))]
    errors = {unquote_to_bytes(name).decode(errors="replace"): [_NOT_UTF_8] for name in wrong}
    abort(422, VALIDATION_MESSAGE, errors=errors)


def _is_utf_8(encoded: bytes) -> bool:
    try:
        unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
    return True

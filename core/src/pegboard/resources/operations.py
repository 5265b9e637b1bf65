"""The views of a resource: each does the steps of one operation, in the order of RFC 9110, 13.2."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response
from marshmallow import Schema

from pegboard.api import name_columns
from pegboard.cache import Collection, Dependence
from pegboard.database import db, transactional
from pegboard.http import answer_conditionally, require_preconditions
from pegboard.resources.cached_lists import cached_by, tag_list
from pegboard.resources.declaration import Operation
from pegboard.resources.description import (
    LIST,
    Words,
    disposition_header,
    etag_header,
    list_headers,
    location_header,
)
from pegboard.resources.export import accepted_format, export_response
from pegboard.resources.formats import Format
from pegboard.resources.listing import Listing
from pegboard.resources.merge import MEDIA_TYPES, load_patched, read_patch
from pegboard.resources.query import ListQuery, Wanted
from pegboard.resources.row_cache import row_cached
from pegboard.resources.schemas import MAX_BULK, Values
from pegboard.resources.steps import Steps

_FORBIDDEN = HTTPStatus.FORBIDDEN
_STALE = HTTPStatus.PRECONDITION_FAILED
_FILE = {"type": "string"}

View = Callable[..., Any]


@dataclass(frozen=True)
class Parts:
    """What the views of one resource are made of, beside its steps."""

    words: Words
    id_parameter: Mapping[str, object]
    """The variable of a row's URL, in the document."""
    listed: type[Schema]
    """The schema of a row in a list."""
    query: ListQuery
    """The query of a list."""
    listing: Listing[Any]
    collection: Collection | None
    """What of the lists is cached."""
    fields_by_column: Mapping[str, str]
    """What bodies call the columns of the table."""
    list_ttl: int | None
    """Seconds for which whole lists may be cached; None: they are not."""
    list_settings: Callable[[], str]
    """Returns the settings on which lists depend."""
    depends: Dependence
    """What a row's answer has something of."""
    is_exported: bool
    """Whether the list can be had as a file with all rows."""


def add_views(resource: Steps[Any], parts: Parts) -> Iterator[tuple[Operation, View]]:
    """Add a view for each operation of a resource to its blueprint, and yield it."""
    for operation, add in _VIEWS.items():
        if operation in resource.operations:
            yield operation, add(resource, parts)


def _documented(resource: Steps[Any], view: Any, *statuses: HTTPStatus) -> Any:
    """Document errors of a view, each where the resource can answer it."""
    for status in statuses:
        if status != _FORBIDDEN or resource.overrides("permit_write"):
            view = resource.blueprint.alt_response(status, status.name)(view)
    return view


def _add_list(resource: Steps[Any], parts: Parts) -> View:
    blueprint, words = resource.blueprint, parts.words
    headers = list_headers(resource.url_prefix, is_exported=parts.is_exported)

    @blueprint.arguments(parts.query.schema()(), location="query")
    @blueprint.response(HTTPStatus.OK, parts.listed(many=True), headers=headers)
    def view(wanted: Wanted) -> Response:
        resource.permit_read(Operation.LIST)
        form = accepted_format() if parts.is_exported else None
        if form is not None:
            response = export_response(parts.listing, wanted, form, resource.name)
        else:
            response = parts.listing.response(wanted)
            if parts.list_ttl is not None:
                tag_list(response)
        if parts.is_exported:
            response.vary.add("Accept")
        return response

    view.__doc__ = f"""List {words.plural}.

    By page number, or with `after` by cursor: nothing is skipped or repeated when {words.plural}
    are written meanwhile, and no page costs more than the first.
    """
    if parts.is_exported:
        view.__doc__ += f"""
    As CSV or as JSON lines, as `Accept` says, the answer has all {words.plural} that the filters
    leave, as of one moment: `page_size` has no effect, and `after` and other pages are refused.
    """
        disposition = {"Content-Disposition": disposition_header(resource.name)}
        for form in Format:
            document = blueprint.alt_response(
                HTTPStatus.OK,
                schema=_FILE,
                content_type=form.media_type,
                headers=disposition,
                success=True,
            )
            view = document(view)
    view = _named(resource, f"list_{words.identifiers}", view)
    if resource.overrides("permit_read"):
        view = blueprint.alt_response(_FORBIDDEN, _FORBIDDEN.name)(view)
    setattr(view, LIST, True)
    view = cached_by(parts.collection, parts.list_ttl, parts.list_settings, view)
    return _route(resource, parts, "/", "GET", view)


def _add_create(resource: Steps[Any], parts: Parts) -> View:
    blueprint, words = resource.blueprint, parts.words
    headers = {
        "Location": location_header(words, resource.url_prefix),
        "ETag": etag_header(words),
    }

    @blueprint.arguments(resource.input())
    @blueprint.response(HTTPStatus.CREATED, resource.output, headers=headers)
    @transactional
    def view(sent: Values) -> Response:
        resource.permit_write(Operation.CREATE)
        # A copy, as what a step takes out would be missing if the transaction is run again.
        row = resource.make({**sent})
        resource.save(row)
        response = resource.represent.response(row, HTTPStatus.CREATED)
        response.location = resource.url_of(row)
        return response

    view.__doc__ = f"""Create {words.singular}.

    `Location` in the answer is its URL.
    """
    view = _named(resource, f"create_{words.identifier}", view)
    return _route(resource, parts, "/", "POST", _documented(resource, view, _FORBIDDEN))


def _add_bulk_create(resource: Steps[Any], parts: Parts) -> View:
    blueprint, words = resource.blueprint, parts.words

    @blueprint.arguments(resource.input(many=True))
    @blueprint.response(HTTPStatus.CREATED, resource.output(many=True))
    @transactional
    def view(sent: Sequence[Values]) -> Response:
        resource.permit_write(Operation.BULK_CREATE)
        rows = resource.make_all(sent)
        resource.save_all(rows)
        return resource.represent.list_response(rows, HTTPStatus.CREATED)

    view.__doc__ = f"""Create several {words.plural}: all of them, or none if one is refused.

    At most {MAX_BULK} in one request. Errors are named by the place in the array, from 0, as in
    `1.name`.
    """
    view = _named(resource, f"create_{words.identifiers}", view)
    return _route(resource, parts, "/bulk", "POST", _documented(resource, view, _FORBIDDEN))


def _add_get(resource: Steps[Any], parts: Parts) -> View:
    blueprint, words = resource.blueprint, parts.words

    @blueprint.response(HTTPStatus.OK, resource.output, headers={"ETag": etag_header(words)})
    def view(**identity: int) -> Response:
        response = resource.represent.response(resource.read(*identity.values()))
        return response if resource.ttl is not None else answer_conditionally(response)

    view.__doc__ = f"""Get {words.singular}.

    With `If-None-Match: <ETag>` the answer is 304 while the {words.noun} has this ETag.
    """
    view = _named(resource, f"get_{words.identifier}", view)
    if resource.overrides("permit_read"):
        view = blueprint.alt_response(_FORBIDDEN, _FORBIDDEN.name)(view)
    cache = row_cached(resource, parts.depends)
    view = cache(view) if cache else _documented(resource, view, HTTPStatus.NOT_MODIFIED, _STALE)
    return _route(resource, parts, resource.row_rule, "GET", view)


def _add_replace(resource: Steps[Any], parts: Parts) -> View:
    blueprint, words = resource.blueprint, parts.words

    @blueprint.arguments(resource.input())
    @blueprint.response(HTTPStatus.OK, resource.output, headers={"ETag": etag_header(words)})
    @transactional
    def view(sent: Values, **identity: int) -> Response:
        row = _row_to_write(resource, Operation.REPLACE, identity)
        require_preconditions(resource.represent.of(row).etag)
        resource.change(row, resource.replacement(sent))
        resource.save(row)
        return resource.represent.response(row)

    view.__doc__ = f"""Replace {words.singular}.

    With `If-Match: <ETag>` only if the {words.noun} still has this ETag; else 412.
    """
    view = _named(resource, f"replace_{words.identifier}", view)
    view = _documented(resource, view, _FORBIDDEN, _STALE)
    return _route(resource, parts, resource.row_rule, "PUT", view)


def _add_merge(resource: Steps[Any], parts: Parts) -> View:
    blueprint, words = resource.blueprint, parts.words
    schema = resource.merge()
    body = {
        "required": True,
        "content": {media: {"schema": resource.merge} for media in MEDIA_TYPES},
    }

    @blueprint.response(HTTPStatus.OK, resource.output, headers={"ETag": etag_header(words)})
    @blueprint.doc(requestBody=body)
    @transactional
    def view(**identity: int) -> Response:
        patch = read_patch()
        row = _row_to_write(resource, Operation.MERGE, identity)
        shown = resource.represent.of(row)
        values = load_patched(schema, patch, row, resource.represent.plain(row))
        require_preconditions(shown.etag)
        resource.change(row, values)
        resource.save(row)
        return resource.represent.response(row)

    view.__doc__ = f"""Change some fields of {words.singular}.

    The body is a merge patch (RFC 7396): fields that it leaves out stay, and null clears one. With
    `If-Match: <ETag>` only if the {words.noun} still has this ETag; else 412.
    """
    view = _named(resource, f"change_{words.identifier}", view)
    view = _documented(resource, view, _FORBIDDEN, _STALE)
    return _route(resource, parts, resource.row_rule, "PATCH", view)


def _add_delete(resource: Steps[Any], parts: Parts) -> View:
    blueprint, words = resource.blueprint, parts.words

    @blueprint.response(HTTPStatus.NO_CONTENT)
    @transactional
    def view(**identity: int) -> Response:
        row = _row_to_write(resource, Operation.DELETE, identity)
        require_preconditions(resource.represent.of(row).etag)
        db.session.delete(row)
        db.session.flush()
        return Response(status=HTTPStatus.NO_CONTENT)

    view.__doc__ = f"""Delete {words.singular}.

    With `If-Match: <ETag>` only if the {words.noun} still has this ETag; else 412.
    """
    view = _named(resource, f"delete_{words.identifier}", view)
    view = _documented(resource, view, _FORBIDDEN, _STALE)
    return _route(resource, parts, resource.row_rule, "DELETE", view)


_VIEWS: Mapping[Operation, Callable[[Steps[Any], Parts], View]] = {
    Operation.LIST: _add_list,
    Operation.CREATE: _add_create,
    Operation.BULK_CREATE: _add_bulk_create,
    Operation.GET: _add_get,
    Operation.REPLACE: _add_replace,
    Operation.MERGE: _add_merge,
    Operation.DELETE: _add_delete,
}


def _row_to_write(resource: Steps[Any], operation: Operation, identity: Mapping[str, int]) -> Any:
    """Return the locked row that an operation writes, if the client may write it."""
    row = resource.lock_unconditionally(*identity.values())
    resource.permit_write(operation, row)
    return row


def _named(resource: Steps[Any], operation_id: str, view: Any) -> Any:
    """Give a view its name, in the app and in the document."""
    view.__name__ = view.__qualname__ = operation_id
    return resource.blueprint.doc(operationId=operation_id)(view)


def _route(resource: Steps[Any], parts: Parts, rule: str, method: str, view: Any) -> View:
    name_columns(view, parts.fields_by_column)
    parameters = [parts.id_parameter] if rule == resource.row_rule else []
    resource.blueprint.route(rule, methods=[method], parameters=parameters)(view)
    return view  # type: ignore[no-any-return]  # decorated

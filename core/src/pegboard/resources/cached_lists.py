"""What of lists is cached: totals, and whole lists where the answer depends on no header."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Response
from sqlalchemy import Column, ColumnElement, Table, inspect
from sqlalchemy.orm import DeclarativeBase, QueryableAttribute
from sqlalchemy.sql.visitors import iterate

from pegboard.cache import Collection, Dependence, cached_list, declare_collection
from pegboard.resources.conditions import Condition
from pegboard.resources.formats import Format
from pegboard.resources.listing import PAGINATION

_FILES = tuple(form.media_type for form in Format)


def collection_of(
    model: type[DeclarativeBase],
    name: str,
    conditions: Iterable[Condition],
    depends: Dependence,
    *,
    ttl: int | None,
    list_ttl: int | None,
) -> Collection | None:
    """Return what of the lists is cached: totals, and themselves if they have a `list_ttl`."""
    filtered = _tables_in(one.column for one in conditions)
    if list_ttl is None:
        return None if ttl is None else Collection(model, name, ttl, filtered)
    given = [depends] if isinstance(depends, QueryableAttribute | Column) else depends
    shown = inspect(model).column_attrs
    selected = _tables_in(column for attribute in shown for column in attribute.columns)
    others = (*filtered, *selected, *given)
    return Collection(model, name, list_ttl, others, has_lists=True)


def _tables_in(expressions: Iterable[ColumnElement[Any]]) -> tuple[Table, ...]:
    """Return the tables of expressions, also those in subqueries."""
    parts = [part for expression in expressions for part in iterate(expression)]
    tables = (part.table if isinstance(part, Column) else part for part in parts)
    return tuple(dict.fromkeys(table for table in tables if isinstance(table, Table)))


def cached_by(
    collection: Collection | None, ttl: int | None, settings: Callable[[], str], view: Any
) -> Any:
    """Return the view of a list, which lets totals be cached, and itself if it has a `ttl`."""
    if collection is None:
        return view
    declare_collection(view, collection)
    if ttl is None:
        return view
    decorate = cached_list(collection, ttl=ttl, ignores_headers=ignores_headers, settings=settings)
    return decorate(view)


def ignores_headers(environ: Mapping[str, Any]) -> bool:
    """Return whether the answer to a request depends on no header, which could ask for a file.

    `environ` is the WSGI environment.
    """
    if "HTTP_PREFER" in environ:
        return False
    # Only a media type that is named asks for a file: a wildcard does not.
    accepted: str = environ.get("HTTP_ACCEPT", "")
    return not accepted or not any(media in accepted.lower() for media in _FILES)


def tag_list(response: Response) -> None:
    """Give a list a strong `ETag`, which also changes with its total and its links."""
    digest = hashlib.blake2b(response.get_data(), digest_size=16)
    for name in (PAGINATION, "Link"):
        digest.update(f"\n{response.headers.get(name, '')}".encode())
    response.set_etag(digest.hexdigest())

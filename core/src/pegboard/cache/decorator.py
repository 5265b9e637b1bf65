"""`cached`: how a view declares that its answers are cached."""

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeGuard, cast

from sqlalchemy import Column, Table
from sqlalchemy.orm import DeclarativeBase, QueryableAttribute

from pegboard.cache.collection import Collection as CachedCollection
from pegboard.cache.declaration import declare
from pegboard.cache.list_lookup import ListLookup
from pegboard.cache.lookup import Lookup
from pegboard.cache.reference import Attribute, references
from pegboard.cache.service import get_cache

P = ParamSpec("P")

Dependence = Sequence[type[DeclarativeBase] | Table | Attribute] | Attribute
"""What an answer depends on beside its row: models, tables, and foreign keys to the row."""


def cached(
    model: type[DeclarativeBase],
    *,
    ttl: int,
    depends: Dependence = (),
    name: str = "view",
    version: int = 1,
    may_precede: bool = False,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Cache what a GET view answers about one row of `model`, for at most `ttl` seconds.

    The variables of the view's URL are the row's primary key, in the order of its columns. The
    answer must depend on that row alone, and on the models and tables in `depends`: any write to
    one of these forgets all answers of the view. A foreign key to the row in `depends`, as
    `Review.item_id`, stands for the rows that refer to the row by it: a write to one of them
    forgets only the answers about the rows that it refers to, before and after. It must be the same
    for every client. The platform
    watches the database connections, so the code that writes does nothing for it. Only a 200 is
    cached. The platform adds `ETag`, and answers 304 and 412.

    Put it above all other decorators. Then a cached answer is given before Flask sees the request,
    unless a plugin has code that runs before views; `may_precede` says that the answer may be given
    even then. Raise `version` when the view begins to answer differently. Two views of one model
    need different names; keep a `name` from release to release. Raises `ValueError` that names the
    view if an argument is of the wrong kind.
    """

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        given = [depends] if isinstance(depends, QueryableAttribute | Column) else depends
        if mistakes := list(_mistakes(view, model, ttl, given, name, version)):
            where = f"{view.__module__}.{getattr(view, '__qualname__', repr(view))}"
            message = f"the cached view {where}: {'; '.join(mistakes)}"
            raise ValueError(message)

        @functools.wraps(view)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            return get_cache().answer(lookup, lambda: view(*args, **kwargs))

        lookup = Lookup(model, ttl, tuple(given), version, may_precede, name, run)
        declare(run, lookup)
        return run

    return decorate


def cached_list(
    collection: CachedCollection,
    *,
    ttl: int,
    ignores_headers: Callable[[Mapping[str, Any]], bool],
    settings: Callable[[], str],
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Cache the lists that a GET view answers with, for at most `ttl` seconds.

    An answer depends on the query of its URL, on the `settings` of the app, and on rows of the
    collection; `ignores_headers` says, given the WSGI environment of a request,
    that the answer depends on no header.
    """

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @functools.wraps(view)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            return get_cache().answer(lookup, lambda: view(*args, **kwargs))

        lookup = ListLookup(collection, ttl, ignores_headers, settings, run)
        declare(run, lookup)
        return run

    return decorate


def _mistakes(
    view: object, model: object, ttl: object, depends: object, name: object, version: object
) -> Iterator[str]:
    """Yield what is wrong with a declaration."""
    if isinstance(view, type):
        yield "cached stands above the method get, not above the class"
    if not _is_model(model):
        yield f"the model is a class with a table, not {model!r}"
    if not _is_whole(ttl) or ttl < 1:
        yield f"ttl is a whole number of seconds and at least 1, not {ttl!r}"
    if not isinstance(depends, Collection) or not all(
        isinstance(one, Table | QueryableAttribute | Column) or _is_model(one) for one in depends
    ):
        yield f"depends is a list of models, tables and foreign keys, not {depends!r}"
    elif _is_model(model):
        for one in depends:
            if isinstance(one, QueryableAttribute | Column):
                yield from _mistakes_of_key(cast("Table", model.__table__), one)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_-]{1,40}", name):
        yield f"name is made of 1 to 40 of a-z, 0-9, _ and -, not {name!r}"
    if not _is_whole(version):
        yield f"version is a whole number, not {version!r}"


def _mistakes_of_key(table: Table, given: Attribute) -> Iterator[str]:
    """Yield what is wrong with a foreign key in `depends`."""
    found = {reference.constraint for reference in references(table, given)}
    if not found:
        yield (
            f"depends has {given}, which is no foreign key to the primary key of {table.fullname}: "
            "name its model instead"
        )
    elif len(found) > 1:
        yield (
            f"depends has {given}, which is a part of several foreign keys to {table.fullname}: "
            "name another column of the one that is meant"
        )


def _is_model(given: object) -> TypeGuard[type[DeclarativeBase]]:
    return isinstance(given, type) and isinstance(getattr(given, "__table__", None), Table)


def _is_whole(given: object) -> TypeGuard[int]:
    return isinstance(given, int) and not isinstance(given, bool)

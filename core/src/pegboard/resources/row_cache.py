"""Caching what a resource answers about one row, apart from releases that show other fields."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from marshmallow import Schema, fields

from pegboard.cache import Dependence, cached
from pegboard.resources.steps import Steps


def row_cached(
    resource: Steps[Any], depends: Dependence
) -> Callable[[Callable[..., Any]], Callable[..., Any]] | None:
    """Return what caches the view of a row; None for a resource without a time to cache for.

    Releases in which the output has another shape do not read each other's answers.
    """
    ttl = resource.ttl
    if ttl is None:
        return None
    return cached(resource.model, ttl=ttl, depends=depends, version=shape_of(resource.output()))


def shape_of(schema: Schema) -> int:
    """Return a number, above 0, that differs when a schema writes other fields or types of them.

    The same one in all processes of a release.
    """
    text = repr([*_parts(schema, ())])
    return 1 + int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())


def _parts(schema: Schema, above: tuple[type[Schema], ...]) -> Iterator[object]:
    for name, field in schema.dump_fields.items():
        yield field.data_key or name, field.attribute, *_types(field, (*above, type(schema)))


def _types(field: fields.Field[Any], above: tuple[type[Schema], ...]) -> Iterator[object]:
    yield f"{type(field).__module__}.{type(field).__qualname__}"
    if isinstance(field, fields.List):
        yield from _types(field.inner, above)
    # A schema may show itself.
    elif isinstance(field, fields.Nested) and type(field.schema) not in above:
        yield [*_parts(field.schema, above)]

"""The names of schemas in the OpenAPI document, from which generated clients make those of types.

A name tells how the schema differs from its class, as in `shop.ThingPartial`. It depends on nothing
else, so that another view does not change it.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from marshmallow import Schema

_WORD = re.compile(r"[A-Za-z0-9]+")


def component_name(schema: Any, plugin_packages: Mapping[str, str]) -> str:
    """Return the name of a schema in the document, as in `items.Item`."""
    kind = schema if isinstance(schema, type) else type(schema)
    plugin = plugin_packages.get(kind.__module__.partition(".")[0])
    bare = kind.__name__.removesuffix("Schema") or kind.__name__
    if isinstance(schema, Schema):
        bare += _difference(schema)
    return f"{plugin}.{bare}" if plugin else bare


def _difference(schema: Schema) -> str:
    """Return how a schema differs from its class, as in `OnlyIdName`; empty if it does not."""
    opts, partial = schema.opts, schema.partial
    partly = partial if isinstance(partial, Collection) else ()
    return "".join(
        (
            _words("Only", schema.only or ()),
            _words("Without", {*schema.exclude} - {*opts.exclude}),
            _words("LoadOnly", {*schema.load_only} - {*opts.load_only}),
            _words("DumpOnly", {*schema.dump_only} - {*opts.dump_only}),
            "Partial" if partial is True else _words("Partial", partly),
        )
    )


def _words(kind: str, fields: Iterable[str]) -> str:
    words = [word for field in sorted(fields) for word in _WORD.findall(field)]
    return "".join((kind, *(word[0].upper() + word[1:] for word in words))) if words else ""

"""Differences between a stored OpenAPI document and the one of an app, for people to read."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_REFERENCE = re.compile("#/components/([^/]+)/(.+)")


def part_of(document: Mapping[str, Any], prefix: str | None) -> dict[str, Any]:
    """Return a document without its version; with a prefix only paths that begin with it.

    Of the components only those are kept then that these paths refer to, directly or not.
    """
    if prefix is None:
        info = {name: value for name, value in document["info"].items() if name != "version"}
        return {**document, "info": info}
    paths = {path: one for path, one in document["paths"].items() if path.startswith(prefix)}
    components: dict[str, dict[str, Any]] = {}
    found = [*_references(paths)]
    for kind, name in found:
        kept = components.setdefault(kind, {})
        if name not in kept:
            kept[name] = document["components"][kind][name]
            found += _references(kept[name])
    return {"paths": paths, "components": components}


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield kind and name of each component that a part of a document refers to."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key == "$ref" and (named := _REFERENCE.fullmatch(str(part))):
                yield named[1], named[2]
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def differences(stored: Any, current: Any, place: str = "") -> Iterator[str]:
    """Yield a line for each place where two documents differ: `+` added, `-` removed, `~` changed.

    The entries of a list are compared by their names, where they have names, or as a set.
    """
    if isinstance(stored, dict) and isinstance(current, dict):
        for key in sorted({*stored, *current}, key=str):
            inner = f"{place} > {key}" if place else str(key)
            if key not in current:
                yield f"- {inner}"
            elif key not in stored:
                yield f"+ {inner}{_shown(current[key])}"
            else:
                yield from differences(stored[key], current[key], inner)
    elif isinstance(stored, list) and isinstance(current, list):
        before, after = _by_name(stored), _by_name(current)
        if before is not None and after is not None:
            yield from differences(before, after, place)
        elif stored != current:
            yield f"~ {place}: {stored!r} -> {current!r}"
    elif stored != current:
        yield f"~ {place}: {stored!r} -> {current!r}"


def _by_name(entries: list[Any]) -> dict[str, Any] | None:
    """Return the entries of a list by their names, as parameters have them, or references."""
    found: dict[str, Any] = {}
    for one in entries:
        if not isinstance(one, dict) or not {"name", "$ref"} & one.keys():
            return None
        found[f"{one.get('in', '')} {one.get('name') or one['$ref']}".strip()] = one
    return found if len(found) == len(entries) else None


def _shown(value: Any) -> str:
    return f": {value!r}" if isinstance(value, str | int | float | bool) else ""

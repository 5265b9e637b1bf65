"""Write the tables of docs/reference/settings.md from the declared settings.

The rows of a table are what the core or a plugin declares.
"""

import types
import typing
from pathlib import Path
from typing import Any

from marked_page import MarkedPage

import pegboard
from pegboard.settings import declarations_of
from pegboard.settings.declare import Declaration
from pegboard_cache_redis.settings import CacheRedisSettings
from pegboard_items.settings import ItemsSettings
from pegboard_observe.settings import ObserveSettings
from pegboard_ratelimit.settings import RatelimitSettings

OWNERS: dict[str, type[pegboard.Settings]] = {
    "core": pegboard.CoreSettings,
    "cache_redis": CacheRedisSettings,
    "items": ItemsSettings,
    "observe": ObserveSettings,
    "ratelimit": RatelimitSettings,
}


def declared(owner: str) -> tuple[Declaration, ...]:
    """Return what one owner declares."""
    return declarations_of(OWNERS[owner], None if owner == "core" else owner)


def row(declaration: Declaration) -> tuple[str, ...]:
    """Return variables with their type, default and meaning."""
    variables = "<br>".join(map(code, declaration.variables))
    return (
        f"{variables}<br>{kind(declaration.annotation)}",
        default(declaration),
        declaration.doc,
    )


def code(text: str) -> str:
    """Mark a literal."""
    return f"`{text}`"


def kind(annotation: Any) -> str:
    """Return how an operator reads a type."""
    if isinstance(annotation, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        return f"{kind(parts[0])}, may be empty"
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    element = next(part for part in typing.get_args(annotation)[::-1] if part is not Ellipsis)
    container = {tuple: "list", dict: "mapping"}[typing.get_origin(annotation)]
    return f"{container} of {names[element]}"


def default(declaration: Declaration) -> str:
    """Return the default that is in force when no configuration has another."""
    if declaration.required:
        return "required"
    value = declaration.default
    if value in (None, "", (), {}):
        return "none"
    return code(str(value).lower() if isinstance(value, bool) else str(value))


def table(owner: str) -> str:
    """Return the Markdown of one table."""
    header = ("Variable and type", "Default", "Meaning")
    lines = [header, ["---"] * len(header), *map(row, declared(owner))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


PAGE = MarkedPage(Path(__file__).parent / "reference/settings.md", "settings", table)


if __name__ == "__main__":
    PAGE.main()

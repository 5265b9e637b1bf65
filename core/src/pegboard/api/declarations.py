"""What a view of a documented blueprint declares: the schemas of its arguments, by location."""

from collections.abc import Callable, Collection
from typing import Any

from marshmallow import Schema


def declared_schemas(
    function: Callable[..., Any], locations: Collection[str]
) -> tuple[Schema, ...]:
    """Return the schemas of a view's arguments at these locations, as webargs calls them."""
    documentation = getattr(function, "_apidoc", {})
    parameters = list(documentation.get("arguments", {}).get("parameters", ()))
    if "pagination" in documentation:
        parameters.append(documentation["pagination"]["parameters"])
    given = [one["schema"] for one in parameters if one["in"] in locations]
    return tuple(one() if isinstance(one, type) else one for one in given)

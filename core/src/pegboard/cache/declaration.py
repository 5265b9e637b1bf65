"""What notes at a view that its answers are cached, and finds the note."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from pegboard.cache.list_lookup import ListLookup
from pegboard.cache.lookup import Lookup

_LOOKUP = "__pegboard_lookup__"
_ABOVE = "__pegboard_lookup_above__"

AnyLookup = Lookup | ListLookup
"""What answers a view caches: about one row, or lists."""


def declare(function: Callable[..., Any], lookup: AnyLookup) -> None:
    """Note the look-up at a view, and at the function below it, which itself is not cached."""
    setattr(function, _LOOKUP, lookup)
    with suppress(AttributeError):  # a bound method takes no attributes
        setattr(_below(lookup), _ABOVE, lookup)


def declared_of(function: Callable[..., Any]) -> AnyLookup | None:
    """Return the look-up of a cached view, also below other decorators; else None."""
    return cast("AnyLookup | None", getattr(function, _LOOKUP, None))


def lookup_of(function: Callable[..., Any]) -> Lookup | None:
    """Return the look-up of a cached view of one row, also below other decorators; else None."""
    found = declared_of(function)
    return found if isinstance(found, Lookup) else None


def list_lookup_of(function: Callable[..., Any]) -> ListLookup | None:
    """Return the look-up of a cached list, also below other decorators; else None."""
    found = declared_of(function)
    return found if isinstance(found, ListLookup) else None


def lookup_above(function: Callable[..., Any]) -> Lookup | None:
    """Return the look-up of the cached view that was made of this function, if any."""
    lookup = getattr(function, _ABOVE, None)
    # Decorators copy the attributes of a function to the one they return.
    return lookup if isinstance(lookup, Lookup) and _below(lookup) is function else None


def _below(lookup: AnyLookup) -> Any:
    return vars(lookup.function)["__wrapped__"]

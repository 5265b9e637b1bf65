"""How many functions listen to events of SQLAlchemy."""

from collections.abc import Iterable
from typing import Any


def count_listeners(target: Any, events: Iterable[str]) -> int:
    """Return how many functions listen to these events of an engine or a pool."""
    dispatch = target.dispatch
    return sum([len(getattr(dispatch, event)) for event in events])

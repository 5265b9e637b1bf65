"""Statements that are built once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any

_MAX_PLANS = 500


class Plans:
    """The statements of one resource by their shapes, so that each is built once.

    A shape is all that has a say in the statement's text; what clients send besides are parameters.
    """

    def __init__(self, size: int = _MAX_PLANS) -> None:
        self._size = size
        self._plans: OrderedDict[Hashable, Sequence[Any]] = OrderedDict()
        self._lock = Lock()

    def find(self, shape: Hashable) -> Sequence[Any] | None:
        """Return the statements of a shape, if they are built."""
        with self._lock:
            if (found := self._plans.get(shape)) is not None:
                self._plans.move_to_end(shape)
            return found

    def get(self, shape: Hashable, build: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """Return the statements of a shape; the least recently used one makes room for another."""
        if (found := self.find(shape)) is not None:
            return found
        built = build()
        with self._lock:
            self._plans[shape] = built
            if len(self._plans) > self._size:
                self._plans.popitem(last=False)
        return built

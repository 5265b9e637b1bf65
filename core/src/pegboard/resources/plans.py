"""Statements that are built once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

_MAX_PLANS = 500

P = TypeVar("P")


class Plans(Generic[P]):
    """The statements of one resource by their shapes, so that each is built once.

    A shape is all of a request that decides on the text of its statement, or statements; the rest
    are parameters. The least recently used ones make room for others.
    """

    def __init__(self, size: int = _MAX_PLANS) -> None:
        self._size = size
        self._plans: OrderedDict[Hashable, P] = OrderedDict()
        self._lock = Lock()

    def find(self, shape: Hashable) -> P | None:
        """Return what is built for a shape; None if nothing is."""
        with self._lock:
            if (found := self._plans.get(shape)) is not None:
                self._plans.move_to_end(shape)
            return found

    def get(self, shape: Hashable, build: Callable[[], P]) -> P:
        """Return what is built for a shape, by `build` if nothing is yet."""
        if (found := self.find(shape)) is not None:
            return found
        built = build()
        with self._lock:
            self._plans[shape] = built
            if len(self._plans) > self._size:
                self._plans.popitem(last=False)
        return built

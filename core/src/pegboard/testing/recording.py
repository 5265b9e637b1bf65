"""A cache strategy that records how it is called."""

from collections.abc import Mapping
from typing import Any

from pegboard.cache import CacheStrategy, Key, Lease, Miss, Touched, Transaction

__all__ = ["RecordingStrategy"]


class RecordingStrategy:
    """Wraps a cache strategy, and records the methods called and what each fence covers."""

    name = "recording"
    """The strategy's name for operators."""

    def __init__(self, strategy: CacheStrategy) -> None:
        self._strategy = strategy
        self.verbs: list[str] = []
        """The names of the methods, in the order of the calls."""
        self.fenced: list[set[str]] = []
        """What each fence covers: `table/key` for a row, `table/*` for a group.

        For a look-up that has a name of its own it is `table:name/key` and `table:name/*`.
        """

    def look_up(self, key: Key) -> bytes | Miss:
        """Record the call, then call the wrapped strategy."""
        self.verbs.append("look_up")
        return self._strategy.look_up(key)

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Record the call, then call the wrapped strategy."""
        self.verbs.append("lease")
        return self._strategy.lease(key)

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Record the call, then call the wrapped strategy; `ttl` is in seconds."""
        self.verbs.append("fill")
        return self._strategy.fill(lease, value, ttl)

    def give_back(self, lease: Lease) -> None:
        """Record the call, then call the wrapped strategy."""
        self.verbs.append("give_back")
        self._strategy.give_back(lease)

    def fence(self, touched: Touched, transaction: Transaction) -> Any:
        """Record the call, then call the wrapped strategy."""
        self.verbs.append("fence")
        keys = {f"{_short(key.group)}/{key.name}" for key in touched.keys}
        self.fenced.append(keys | {f"{_short(group)}/*" for group in touched.groups})
        return self._strategy.fence(touched, transaction)

    def release(self, fence: Any, transaction: Transaction) -> float:
        """Record the call, then call the wrapped strategy; returns its answer, in seconds."""
        self.verbs.append("release")
        return self._strategy.release(fence, transaction)

    def abandon(self, fence: Any) -> None:
        """Record the call, then call the wrapped strategy."""
        self.verbs.append("abandon")
        self._strategy.abandon(fence)

    def clear(self, group: str | None = None) -> None:
        """Record the call, then call the wrapped strategy."""
        self.verbs.append("clear")
        self._strategy.clear(group)

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Return the stats of the wrapped strategy."""
        return self._strategy.stats()


def _short(group: str) -> str:
    return group.removesuffix(":view")

"""A cache strategy that tells what it was asked to do."""

from collections.abc import Mapping
from typing import Any

from pegboard.cache import CacheStrategy, Key, Lease, Miss, Touched, Transaction

__all__ = ["RecordingStrategy"]


class RecordingStrategy:
    """Hands every call on to another strategy, and writes down the verbs and what was touched."""

    name = "recording"

    def __init__(self, strategy: CacheStrategy) -> None:
        self._strategy = strategy
        self.verbs: list[str] = []
        """The verbs in the order of the calls."""
        self.fenced: list[set[str]] = []
        """What each fence covers: `table/key` for a row, `table/*` for a group."""

    def look_up(self, key: Key) -> bytes | Miss:
        """Record and hand on."""
        self.verbs.append("look_up")
        return self._strategy.look_up(key)

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Record and hand on."""
        self.verbs.append("lease")
        return self._strategy.lease(key)

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Record and hand on; `ttl` is in seconds."""
        self.verbs.append("fill")
        return self._strategy.fill(lease, value, ttl)

    def give_back(self, lease: Lease) -> None:
        """Record and hand on."""
        self.verbs.append("give_back")
        self._strategy.give_back(lease)

    def fence(self, touched: Touched, transaction: Transaction) -> Any:
        """Record and hand on."""
        self.verbs.append("fence")
        keys = {f"{key.group}/{key.name.partition(':')[2]}" for key in touched.keys}
        self.fenced.append(keys | {f"{group}/*" for group in touched.groups})
        return self._strategy.fence(touched, transaction)

    def release(self, fence: Any, transaction: Transaction) -> float:
        """Record and hand on; returns what the other strategy returns, in seconds."""
        self.verbs.append("release")
        return self._strategy.release(fence, transaction)

    def abandon(self, fence: Any) -> None:
        """Record and hand on."""
        self.verbs.append("abandon")
        self._strategy.abandon(fence)

    def clear(self, group: str | None = None) -> None:
        """Record and hand on."""
        self.verbs.append("clear")
        self._strategy.clear(group)

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Hand on."""
        return self._strategy.stats()

"""What clients had left when Redis last counted them, for counting on while it is unavailable.

Without it, a client that has used up its limit would start afresh in every worker as soon as Redis
fails.
"""

from collections.abc import Sequence

from pegboard_ratelimit.counting import MAX_CLIENTS

LastKnown = tuple[int, Sequence[int]]
"""When a client was counted, in microseconds, and what each policy had left then."""


class LastKnownCounts:
    """The clients of one rule: at least the half of `MAX_CLIENTS` that were counted last."""

    __slots__ = ("_earlier", "_recent")

    def __init__(self) -> None:
        self._recent: dict[str, LastKnown] = {}
        self._earlier: dict[str, LastKnown] = {}

    def note(self, client: str, numbers: Sequence[int], now: int) -> None:
        """Remember the numbers of a verdict."""
        if len(self._recent) >= MAX_CLIENTS // 2:
            self._earlier, self._recent = self._recent, {}
        self._recent[client] = (now, numbers)

    def recall(self, client: str) -> LastKnown | None:
        """Return what is known of a client; None if nothing is."""
        found = self._recent.get(client) or self._earlier.get(client)
        return (found[0], found[1][::2]) if found else None

    def forget(self, client: str) -> None:
        """Drop what is known of a client."""
        self._recent.pop(client, None)
        self._earlier.pop(client, None)

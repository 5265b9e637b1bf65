"""How clients stood when they were last counted, for when they cannot be counted any more.

Without it a client that has used up its limit would begin anew in every process as soon as Redis is
away.
"""

from collections.abc import Sequence

from pegboard_ratelimit.counting import MAX_CLIENTS

Standing = tuple[int, Sequence[int]]
"""When it was told, in microseconds, and for each policy what was left then."""


class Standings:
    """The clients of one rule: at least the half of `MAX_CLIENTS` that were counted last."""

    __slots__ = ("_earlier", "_recent")

    def __init__(self) -> None:
        self._recent: dict[str, Standing] = {}
        self._earlier: dict[str, Standing] = {}

    def note(self, client: str, numbers: Sequence[int], now: int) -> None:
        """Take note of the numbers of a verdict."""
        if len(self._recent) >= MAX_CLIENTS // 2:
            self._earlier, self._recent = self._recent, {}
        self._recent[client] = (now, numbers)

    def recall(self, client: str) -> Standing | None:
        """Return how a client stood, unless that is forgotten."""
        found = self._recent.get(client) or self._earlier.get(client)
        return (found[0], found[1][::2]) if found else None

    def forget(self, client: str) -> None:
        """Do without a client."""
        self._recent.pop(client, None)
        self._earlier.pop(client, None)

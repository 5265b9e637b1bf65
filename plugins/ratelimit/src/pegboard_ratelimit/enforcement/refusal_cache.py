"""A cache of refusals, so that a refused client is not counted again while its refusal holds.

A refused request is not charged, so a refusal holds until its wait is over, whatever the client
sends meanwhile. A flood from one client costs one round trip a second instead of one per request.
"""

from pegboard_ratelimit.counting import MAX_CLIENTS, Verdict
from pegboard_ratelimit.rules import SECOND

MAX_AGE = SECOND
"""Microseconds after which the storage is asked again, as an operator may have changed the rule."""


class RefusalCache:
    """The refused clients of one rule. Times are microseconds."""

    __slots__ = ("by_client",)

    def __init__(self) -> None:
        self.by_client: dict[str, tuple[int, Verdict]] = {}

    def note(self, client: str, verdict: Verdict, now: int) -> None:
        """Remember that a client is refused."""
        if len(self.by_client) >= MAX_CLIENTS:
            self.by_client = {}
        self.by_client[client] = (now, verdict)

    def recall(self, client: str, now: int) -> Verdict | None:
        """Return the refusal of a client with the time left by now; None once it is over or old."""
        found = self.by_client.get(client)
        if found is None:
            return None
        since, verdict = found
        passed = now - since
        if passed >= min(verdict.wait, MAX_AGE):
            self.by_client.pop(client, None)
            return None
        wait = verdict.wait - passed
        # The seconds until more requests are admitted have become fewer as well.
        gone = -(-verdict.wait // SECOND) + (-wait // SECOND)
        numbers = list(verdict.numbers)
        for place in range(1, len(numbers), 2):
            numbers[place] = max(1, numbers[place] - gone)
        return Verdict(wait, tuple(numbers))

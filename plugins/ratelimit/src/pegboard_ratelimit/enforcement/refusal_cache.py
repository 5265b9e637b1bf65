"""Refusals that still hold: who is known to be refused need not be counted again.

Nothing is charged for a refused request, so a refusal holds until its time has come, whatever the
client sends meanwhile. A flood of one client costs a round trip a second, not one for each request.
"""

from pegboard_ratelimit.counting import MAX_CLIENTS, Verdict
from pegboard_ratelimit.rules import SECOND

MAX_TIME = SECOND
"""The longest a refusal is recalled: an operator may have lifted it meanwhile."""


class Refusals:
    """The refused clients of one rule. Times are microseconds."""

    __slots__ = ("by_client",)

    def __init__(self) -> None:
        self.by_client: dict[str, tuple[int, Verdict]] = {}

    def note(self, client: str, verdict: Verdict, now: int) -> None:
        """Take note that a client is refused."""
        if len(self.by_client) >= MAX_CLIENTS:
            self.by_client = {}
        self.by_client[client] = (now, verdict)

    def recall(self, client: str, now: int) -> Verdict | None:
        """Return the verdict on a client that is refused still, as it is by now."""
        found = self.by_client.get(client)
        if found is None:
            return None
        since, verdict = found
        passed = now - since
        if passed >= min(verdict.wait, MAX_TIME):
            self.by_client.pop(client, None)
            return None
        wait = verdict.wait - passed
        # The seconds until there is more of anything pass as well.
        gone = -(-verdict.wait // SECOND) + (-wait // SECOND)
        numbers = list(verdict.numbers)
        for place in range(1, len(numbers), 2):
            numbers[place] = max(1, numbers[place] - gone)
        return Verdict(wait, tuple(numbers))

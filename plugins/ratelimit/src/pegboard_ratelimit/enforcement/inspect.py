"""How a client stands under a rule, without counting anything."""

from dataclasses import dataclass

from flask import current_app

from pegboard.redis import Command, get_channel
from pegboard_ratelimit.counting import MemoryStorage
from pegboard_ratelimit.enforcement.limiter import Limiter
from pegboard_ratelimit.enforcement.plan import Plan
from pegboard_ratelimit.rules import SECOND

TIMEOUT = 5.0


@dataclass(frozen=True)
class Standing:
    """What is left to a client."""

    lines: tuple[tuple[str, int, int], ...]
    """Of each policy: itself, how many requests are left, in how many seconds there are more."""
    wait: float
    """Seconds for which the client is refused."""


def ask_standing(limiter: Limiter, plan: Plan, client: str) -> Standing | str:
    """Return how a client stands, or why that cannot be told."""
    if isinstance(limiter.storage, MemoryStorage):
        return "Each process counts for itself, so only they know what is left."
    counter = plan.counter
    try:
        asked = counter.prepare(client, charge=False)
        if isinstance(asked, Command):
            channel = get_channel(current_app)
            if channel is None:
                return "There is no Redis to ask what is left."
            asked = counter.complete(channel.exchange([asked])[0].value)
    except Exception as error:  # noqa: BLE001 - a storage is a plugin's
        return f"What is left cannot be told: {error}"
    numbers = asked.numbers
    policies = map(str, plan.limit.policies)
    lines = tuple(zip(policies, numbers[::2], numbers[1::2], strict=True))
    return Standing(lines, asked.wait / SECOND)

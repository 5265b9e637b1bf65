"""What a client has left under a rule, without counting a request."""

from dataclasses import dataclass

from flask import current_app

from pegboard.redis import Command, get_channel
from pegboard_ratelimit.counting import MemoryStorage
from pegboard_ratelimit.enforcement.limiter import Limiter
from pegboard_ratelimit.enforcement.plan import Plan
from pegboard_ratelimit.rules import SECOND


@dataclass(frozen=True)
class ClientUsage:
    """What a client has left under one rule."""

    policies: tuple[tuple[str, int, int], ...]
    """For each policy its text, the requests left, and the seconds until there are more."""
    wait: float
    """Seconds until the next request is admitted; 0 when it would be admitted now."""


def inspect_client(limiter: Limiter, plan: Plan, client: str) -> ClientUsage | str:
    """Return what a client has left, or a sentence saying why that is not known."""
    if isinstance(limiter.storage, MemoryStorage):
        return "Each worker counts by itself, so this command cannot see what is left."
    counter = plan.counter
    try:
        result = counter.prepare(client, charge=False)
        if isinstance(result, Command):
            channel = get_channel(current_app)
            if channel is None:
                return "There is no Redis to ask what is left."
            result = counter.complete(channel.exchange([result])[0].value)
    except Exception as error:  # noqa: BLE001 - another plugin's storage may raise anything
        return f"What is left is not known: {error}"
    numbers = result.numbers
    texts = map(str, plan.limit.policies)
    policies = tuple(zip(texts, numbers[::2], numbers[1::2], strict=True))
    return ClientUsage(policies, result.wait / SECOND)

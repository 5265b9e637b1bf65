"""What the fleet counts: each process adds its own counts to a hash in Redis."""

from collections.abc import Mapping
from contextlib import suppress

import pegboard
from pegboard_cache_redis.state import Fleet

COUNTED = (
    *("hits", "misses", "bypasses", "fills", "refused_fills"),
    *("fences", "unconfirmed", "invalid"),
)


class Figures:
    """The counts of this process, and what an operator is told of the fleet's."""

    def __init__(self, channel: pegboard.Channel, fleet: Fleet, *, prefix: str) -> None:
        self._channel = channel
        self._fleet = fleet
        self._key = f"{prefix}:figures"
        self._counters = pegboard.Counters(*COUNTED)
        self._sent: Mapping[str, int] = {}
        self.count = self._counters.add

    def send(self) -> None:
        """Add to the fleet's counts what was counted since the last time."""
        counts = self._counters.figures()
        changed = {
            name: count - self._sent.get(name, 0)
            for name, count in counts.items()
            if count != self._sent.get(name, 0)
        }
        if not changed or self._channel.is_away:
            return
        commands = [
            pegboard.command("HINCRBY", self._key, name, number, key=self._key)
            for name, number in changed.items()
        ]
        with suppress(pegboard.ChannelError):
            self._channel.exchange(commands)
            self._sent = counts

    def collect(self) -> Mapping[str, int | float | str | bool]:
        """Return the fleet's counts and the state; of this process alone while Redis is away."""
        self.send()
        state = self._fleet.current()
        counts: dict[str, int] = dict(self._counters.figures())
        scope = "process"
        with suppress(pegboard.ChannelError):
            command = pegboard.command("HMGET", self._key, *COUNTED, key=self._key)
            (reply,) = self._channel.exchange([command])
            if isinstance(reply.value, list):
                counts = dict(zip(COUNTED, map(_number, reply.value), strict=True))
                scope = "fleet"
        return {
            **counts,
            "counted_in": scope,
            "breaker": "open" if self._channel.is_away else "closed",
            "enabled": state.enabled if state else "unknown",
            "epoch": state.epoch if state else "unknown",
        }


def _number(text: object) -> int:
    return int(text) if isinstance(text, bytes) and text.isdigit() else 0

"""The counts of all processes: each adds its own to a hash in Redis."""

import logging
from collections.abc import Mapping
from contextlib import suppress

from pegboard.cache import Counters
from pegboard.redis import Channel, ChannelError, Script, command
from pegboard_cache_redis.cache.epoch import EpochStore

logger = logging.getLogger(__name__)

COUNTED = (
    *("hits", "misses", "bypasses", "fills", "refused_fills"),
    *("fences", "unconfirmed", "invalid"),
)


SHARED = frozenset({*COUNTED, "enabled"})
"""Those that all processes tell alike."""

_READ = Script("""
-- KEYS: the hash of the counts. ARGV: their names. Returns whether something was removed that no
-- process has counted, and the counts.
local is_strange = 0
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
  redis.call('UNLINK', KEYS[1])
  is_strange = 1
end
for _, name in ipairs(ARGV) do
  if redis.call('HSTRLEN', KEYS[1], name) > 18 then -- before anything large is copied
    redis.call('HDEL', KEYS[1], name)
    is_strange = 1
  end
end
local counts = redis.call('HMGET', KEYS[1], unpack(ARGV))
for number, count in ipairs(counts) do
  if count and not string.match(count, '^%d+$') then
    redis.call('HDEL', KEYS[1], ARGV[number])
    counts[number], is_strange = false, 1
  end
end
return {is_strange, counts}
""")


class Stats:
    """The counts of this process, and those of all processes for operators."""

    def __init__(self, channel: Channel, epochs: EpochStore, *, prefix: str) -> None:
        self._channel = channel
        self._epochs = epochs
        self._key = f"{prefix}:stats"
        self._counters = Counters(*COUNTED)
        self._sent: Mapping[str, int] = {}
        self.count = self._counters.add

    def send(self) -> None:
        """Add what was counted since the last call to the counts of all processes."""
        counts = self._counters.stats()
        changed = {
            name: count - self._sent.get(name, 0)
            for name, count in counts.items()
            if count != self._sent.get(name, 0)
        }
        if not changed or self._channel.is_unavailable:
            return
        commands = [
            command("HINCRBY", self._key, name, number, key=self._key)
            for name, number in changed.items()
        ]
        with suppress(ChannelError):
            self._channel.exchange(commands)
            self._sent = counts

    def collect(self) -> Mapping[str, int | float | str | bool]:
        """Return the state and the counts of all processes; of this one if Redis is unavailable."""
        self.send()
        state = self._epochs.current()
        counts: dict[str, int] = dict(self._counters.stats())
        scope = "this process"
        with suppress(ChannelError):
            command = _READ.call(keys=[self._key], arguments=COUNTED)
            (reply,) = self._channel.exchange([command])
            if isinstance(reply.value, list):
                is_strange, found = reply.value
                if is_strange:
                    logger.warning("stats in Redis that no process has counted are removed")
                counts = {name: int(count or 0) for name, count in zip(COUNTED, found, strict=True)}
                scope = "all processes"
        return {
            **counts,
            "counted_in": scope,
            "breaker": "open" if self._channel.is_unavailable else "closed",
            "enabled": state.enabled if state else "unknown",
            "epoch": str(state.epoch) if state else "unknown",  # a name, and no amount
        }

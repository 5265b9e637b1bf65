"""The cache in Redis, as the core calls it: readers and writers, in an epoch the database knows.

See `docs/explanation/caching.md` for why each step is needed.
"""

from collections.abc import Mapping, Sequence

from pegboard.cache import Key, Lease, Miss, Touched, Transaction
from pegboard.redis import Channel, ChannelError, Reply
from pegboard_cache_redis.cache.activation import Switch
from pegboard_cache_redis.cache.background import Keeper
from pegboard_cache_redis.cache.codec import Codec
from pegboard_cache_redis.cache.epoch import Fleet
from pegboard_cache_redis.cache.reader import Question, Reader
from pegboard_cache_redis.cache.stats import Stats
from pegboard_cache_redis.cache.storage import Storage
from pegboard_cache_redis.cache.writer import Fence, Writer


class RedisStrategy:
    """A `CacheStrategy` for a fleet of processes; see its contract."""

    name = "cache_redis"

    def __init__(self, channel: Channel, fleet: Fleet, codec: Codec, *, prefix: str) -> None:
        self._channel = channel
        self._fleet = fleet
        self._stats = Stats(channel, fleet, prefix=prefix)
        self._switch = Switch(channel, fleet, prefix=prefix)
        self._keeper = Keeper(channel, fleet, self._switch, self._stats)
        storage = Storage(channel, prefix=prefix, longest=codec.longest)
        self._reader = Reader(storage, codec, fleet, self._switch, self._stats)
        self._writer = Writer(storage, fleet, self._switch, self._keeper, self._stats)

    def join(self, schema_fingerprint: str) -> None:
        """Take part only beside processes that forget the same for the same writes."""
        self._fleet.join(schema_fingerprint)

    def must_fence_all(self) -> bool:
        """Return whether the epoch is one of processes that know, or make, other keys."""
        state = self._fleet.current()
        if state is None:
            return not self._fleet.is_absent
        return state.enabled and not state.servers

    def look_up(self, key: Key) -> bytes | Miss:
        """Return the value, or why there is none."""
        question = self.prepare(key)
        if isinstance(question, Miss):
            return question
        try:
            return self.complete(question, self._channel.exchange(question.commands))
        except ChannelError as error:
            return self.complete(question, error)

    def is_non_blocking(self) -> bool:
        """Return whether the state is known, so that nobody need read it before Redis is asked."""
        state = self._fleet.trusted()
        return state is not None and not state.is_never_on

    def prepare(self, key: Key) -> Question | Miss:
        """Return the question for the value, or why it is not asked."""
        self._keeper.wake()
        return self._reader.prepare(key)

    def complete(self, question: Question, replies: Sequence[Reply] | ChannelError) -> bytes | Miss:
        """Return the value that the replies hold, or why they hold none."""
        return self._reader.complete(question, replies)

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Return the right to fill the key, or the value that another filled in meanwhile."""
        return self._reader.lease(key)

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Store a value if the lease still stands."""
        return self._reader.fill(lease, value, ttl)

    def give_back(self, lease: Lease) -> None:
        """End the lease if it still stands."""
        self._reader.give_back(lease)

    def fence(self, touched: Touched, transaction: Transaction) -> Fence:
        """Keep anyone from filling what is touched, or turn caching off with the transaction."""
        return self._writer.fence(touched, transaction)

    def release(self, fence: Fence, transaction: Transaction) -> float:
        """Forget what was touched for good, or see to it that nobody trusts a cache any more."""
        return self._writer.release(fence, transaction)

    def abandon(self, fence: Fence) -> None:
        """Lift the fence if Redis hears of it; if not, it expires."""
        self._writer.abandon(fence)

    def clear(self, group: str | None = None) -> None:
        """Forget a group's values, or all: by a new epoch."""
        self._writer.clear(group)

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Return the fleet's counters, and the state of the cache."""
        return self._stats.collect()

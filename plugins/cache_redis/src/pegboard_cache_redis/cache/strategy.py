"""The cache strategy in Redis, as the core calls it; the database knows in which epoch.

See `docs/explanation/caching.md` for why each step is needed.
"""

from collections.abc import Mapping, Sequence

from pegboard.cache import Key, Lease, Miss, Touched, Transaction
from pegboard.redis import Channel, ChannelError, Command, Reply
from pegboard.stages import Exchange, result_of
from pegboard_cache_redis.cache.activation import Activation
from pegboard_cache_redis.cache.background import BackgroundRefresh
from pegboard_cache_redis.cache.codec import Codec
from pegboard_cache_redis.cache.epoch import EpochStore
from pegboard_cache_redis.cache.reader import PreparedLookup, Reader
from pegboard_cache_redis.cache.stats import SHARED, Stats
from pegboard_cache_redis.cache.storage import Storage
from pegboard_cache_redis.cache.writer import Fence, PreparedFence, Writer


class RedisStrategy:
    """A `CacheStrategy` for any number of processes; see its contract."""

    name = "cache_redis"

    def __init__(self, channel: Channel, epochs: EpochStore, codec: Codec, *, prefix: str) -> None:
        self._channel = channel
        self._epochs = epochs
        self._stats = Stats(channel, epochs, prefix=prefix)
        self._activation = Activation(channel, epochs, prefix=prefix)
        self._background = BackgroundRefresh(channel, epochs, self._activation, self._stats)
        storage = self._storage = Storage(channel, prefix=prefix, longest=codec.longest)
        self._reader = Reader(storage, codec, epochs, self._activation, self._stats)
        self._writer = Writer(storage, epochs, self._activation, self._background, self._stats)

    def join(self, schema_fingerprint: str) -> None:
        """Share values only with processes whose writes invalidate the same ones."""
        self._epochs.join(schema_fingerprint)

    def must_fence_all(self) -> bool:
        """Return whether the epoch is that of processes with another fingerprint or other keys."""
        state = self._epochs.current()
        if state is None:
            return not self._epochs.is_missing
        return state.enabled and not state.servers

    def look_up(self, key: Key) -> bytes | Miss:
        """Return the value, or why there is none."""
        prepared = self.prepare(key)
        if isinstance(prepared, Miss):
            return prepared
        try:
            return self.complete(prepared, self._channel.exchange(prepared.commands))
        except ChannelError as error:
            return self.complete(prepared, error)

    def is_non_blocking(self) -> bool:
        """Return whether the state is known, so that `prepare` need not read the database."""
        state = self._epochs.trusted()
        return state is not None and (state.enabled or not state.is_never_on)

    def prepare(self, key: Key) -> PreparedLookup | Miss:
        """Return the commands that look up the value, or why there is none."""
        self._background.wake()
        return self._reader.prepare(key)

    def complete(
        self, prepared: PreparedLookup, replies: Sequence[Reply] | ChannelError
    ) -> bytes | Miss:
        """Return the value that the replies hold, or why there is none."""
        return self._reader.complete(prepared, replies)

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Return the right to fill the key, or the value that another reader stored meanwhile."""
        return self._reader.lease(key)

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Store a value if the lease still stands."""
        return result_of(self._reader.fill(lease, value, ttl, self._storage.exchange))

    def give_back(self, lease: Lease) -> None:
        """End the lease if it still stands."""
        result_of(self._reader.give_back(lease, self._storage.exchange))

    async def lease_by(self, key: Key, exchange: Exchange) -> Lease | bytes | Miss:
        """Do as `lease`, and wait for `exchange` only."""
        return await self._reader.lease_by(key, exchange)

    async def fill_by(self, lease: Lease, value: bytes, ttl: int, exchange: Exchange) -> bool:
        """Do as `fill`, and wait for `exchange` only."""
        return await self._reader.fill(lease, value, ttl, exchange)

    async def give_back_by(self, lease: Lease, exchange: Exchange) -> None:
        """Do as `give_back`, and wait for `exchange` only."""
        await self._reader.give_back(lease, exchange)

    def fence(self, touched: Touched, transaction: Transaction) -> Fence:
        """Keep anyone from filling what is touched, or turn caching off with the transaction."""
        return self._writer.fence(touched, transaction)

    def release(self, fence: Fence, transaction: Transaction) -> float:
        """Invalidate what was touched, or turn caching off and let the write wait for that."""
        return self._writer.release(fence, transaction)

    def prepare_fence(self, touched: Touched) -> PreparedFence | None:
        """Return the commands that set a fence; None if `fence` has to set it."""
        return self._writer.prepare_fence(touched)

    def complete_fence(
        self, prepared: PreparedFence, replies: Sequence[Reply] | ChannelError
    ) -> Fence | None:
        """Return the fence; None if it is not confirmed."""
        return self._writer.complete_fence(prepared, replies)

    def prepare_release(self, fence: Fence) -> Sequence[Command] | None:
        """Return the commands that release a fence; None if `release` has to do it."""
        return self._writer.prepare_release(fence)

    def complete_release(self, fence: Fence, replies: Sequence[Reply] | ChannelError) -> bool:
        """Return whether it is confirmed that what was touched is invalidated."""
        return self._writer.complete_release(fence, replies)

    def abandon(self, fence: Fence) -> None:
        """Lift the fence; if Redis does not confirm it, it expires."""
        self._writer.abandon(fence)

    def clear(self, group: str | None = None) -> None:
        """Invalidate the values of a group, or all of them by ending the epoch."""
        self._writer.clear(group)

    shared_stats = SHARED

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Return the counts of all processes, and the state of the cache."""
        return self._stats.collect()

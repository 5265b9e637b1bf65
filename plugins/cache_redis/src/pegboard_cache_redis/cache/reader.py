"""Reading: a look-up, and on a miss a lease under which the database's answer is stored."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pegboard.cache import Key, Lease, Miss, MissReason
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import Exchange, result_of
from pegboard_cache_redis.cache.activation import Activation
from pegboard_cache_redis.cache.codec import Codec, InvalidValueError
from pegboard_cache_redis.cache.epoch import EpochState, EpochStore
from pegboard_cache_redis.cache.keys import KeyPlace
from pegboard_cache_redis.cache.scripts import FILL, GIVE_BACK, LEASE, new_token
from pegboard_cache_redis.cache.stats import Stats
from pegboard_cache_redis.cache.storage import Storage

logger = logging.getLogger(__name__)

LEASE_TIME = 5_000
"""Milliseconds after which a lease ends whose reader has neither filled nor given it back."""

_SMALL = 1024
"""The most bytes of a value that is kept, so that its tag is verified only once."""

MARKER_TIME = 86_400_000
"""Milliseconds after its last lease for which the marker of a group is kept."""


class PreparedLookup(NamedTuple):
    """A look-up whose commands are not sent yet."""

    commands: Sequence[Command]
    place: KeyPlace
    state: EpochState


# Calling the class of a named tuple takes longer.
_prepared: Callable[[tuple[Sequence[Command], KeyPlace, EpochState]], PreparedLookup] = partial(
    tuple.__new__, PreparedLookup
)


@dataclass(frozen=True, slots=True)
class LeaseContext:
    """Where and in which epoch and generation a lease was given."""

    place: KeyPlace
    state: EpochState
    generation: bytes


class Reader:
    """Looks values up, and stores them."""

    def __init__(
        self,
        storage: Storage,
        codec: Codec,
        epochs: EpochStore,
        activation: Activation,
        stats: Stats,
    ) -> None:
        self._storage = storage
        self._codec = codec
        self._epochs = epochs
        self._activation = activation
        self._count = stats.count

    def prepare(self, key: Key) -> PreparedLookup | Miss:
        """Return the commands that look up the value, or why there is none."""
        state = self._usable()
        if isinstance(state, Miss):
            return state
        place = self._storage.place(state, key)
        return _prepared((place.look_up, place, state))

    def complete(
        self, prepared: PreparedLookup, replies: Sequence[Reply] | ChannelError
    ) -> bytes | Miss:
        """Return the value that the replies hold, or why there is none."""
        if isinstance(replies, ChannelError):
            return self._bypass(MissReason.UNAVAILABLE)
        (mark, _), (data, server), (seal, writer) = replies
        if server not in prepared.state.servers:
            self._activation.report_foreign(server)
            return self._bypass(MissReason.FOREIGN_SERVER)
        if type(seal) is not int or writer != server:
            return self._bypass(MissReason.UNAVAILABLE)  # it does not take writes
        known = prepared.place.verified
        if known is not None and known[0] == mark and known[1] == data:
            self._count("hits")
            return known[2]
        return self._read(prepared, _string(mark), _string(data))

    def _read(self, prepared: PreparedLookup, mark: bytes, data: bytes) -> bytes | Miss:
        kinds = mark[:1] + data[:1]
        if kinds == b"GV":
            try:
                value = self._decode(prepared.place, mark, data)
            except InvalidValueError:
                return Miss(MissReason.INVALID)  # logged when a lease replaces it
            if value is not None:
                self._count("hits")
                return value
        if b"F" in kinds:
            # Whether it is really a fence, the script finds out when a lease is asked for.
            self._count("bypasses")
            return Miss(MissReason.FENCED)
        self._count("misses")
        return Miss(MissReason.MISS)

    def _decode(self, place: KeyPlace, mark: bytes, data: bytes) -> bytes | None:
        """Decode a value; the tag of a small one is not verified again until it changes."""
        value = self._codec.decode(place.key, mark, data)
        if value is not None and len(data) <= _SMALL:
            place.verified = mark, data, value
        return value

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Return the right to fill the key, or the value that another reader stored meanwhile."""
        state = self._usable()
        if isinstance(state, Miss):
            return state
        return result_of(self._lease(key, state, self._storage.exchange))

    async def lease_by(self, key: Key, exchange: Exchange) -> Lease | bytes | Miss:
        """Do as `lease`, and wait for `exchange` only; the state has to be known."""
        state = self._epochs.trusted()
        if state is None or not state.enabled:
            return self._bypass(MissReason.STATE_UNKNOWN if state is None else MissReason.DISABLED)
        return await self._lease(key, state, exchange)

    async def _lease(self, key: Key, state: EpochState, exchange: Exchange) -> Lease | bytes | Miss:
        place = self._storage.place(state, key)
        found = await self._take_lease(key, place, state, exchange)
        if isinstance(found, InvalidValueError):
            found = await self._take_lease(key, place, state, exchange, distrust=found)
        if isinstance(found, InvalidValueError):
            return Miss(MissReason.INVALID, may_fill=False)
        return found

    async def _take_lease(
        self,
        key: Key,
        place: KeyPlace,
        state: EpochState,
        exchange: Exchange,
        *,
        distrust: InvalidValueError | None = None,
    ) -> Lease | bytes | Miss | InvalidValueError:
        """Ask for a lease; an error if there is a value that cannot be trusted.

        With `distrust` such a value is replaced.
        """
        token = new_token()
        value = await self._storage.run(
            state,
            LEASE.call(
                keys=[place.marker, place.key],
                arguments=[
                    *(token, new_token(), LEASE_TIME, MARKER_TIME),
                    *(self._codec.longest, int(distrust is not None)),
                ],
            ),
            exchange,
        )
        if not isinstance(value, list):
            return self._bypass(MissReason.UNAVAILABLE)
        if value[0] == b"F":
            return self._bypass(MissReason.FENCED)
        if value[0] == b"B":
            return Miss(MissReason.LEASED)
        if value[0] == b"L":
            if value[2]:
                self._report_invalid(key, distrust or InvalidValueError("it is not a value"))
            return Lease(key, token, LeaseContext(place, state, value[1]))
        try:
            found = self._codec.decode(place.key, value[1], value[2])
        except InvalidValueError as error:
            return error
        assert found is not None, "the script compares the generations"
        return found

    async def fill(self, lease: Lease, value: bytes, ttl: int, exchange: Exchange) -> bool:
        """Store a value if the lease still stands."""
        context: LeaseContext = lease.context
        encoded = self._codec.encode(context.place.key, context.generation, value)
        if encoded is None:
            logger.warning("an answer of %d bytes is too large to be cached", len(value))
            await self.give_back(lease, exchange)
            return False
        done = await self._storage.run(
            context.state,
            FILL.call(
                keys=[context.place.marker, context.place.key],
                arguments=[lease.token, context.generation, encoded, ttl],
            ),
            exchange,
        )
        # Followers must not be given what is older than a write whose fence was not confirmed: that
        # turns caching off, and is acknowledged when no process trusts this epoch any more.
        state = self._epochs.trusted()
        is_stored = done == 1 and state is not None and state.is_same_epoch(context.state)
        self._count("fills" if is_stored else "refused_fills")
        return is_stored

    async def give_back(self, lease: Lease, exchange: Exchange) -> None:
        """End the lease if it still stands."""
        context: LeaseContext = lease.context
        command = GIVE_BACK.call(keys=[context.place.key], arguments=[lease.token])
        await self._storage.run(context.state, command, exchange)

    def _usable(self) -> EpochState | Miss:
        """Return the state if caching is on."""
        state = self._epochs.trusted()
        if state is not None and state.enabled:
            return state
        if state is None or state.is_never_on:
            state = self._activation.begin()
        if state is None:
            return self._bypass(MissReason.STATE_UNKNOWN)
        if not state.enabled:
            return self._bypass(MissReason.DISABLED)
        return state

    def _bypass(self, reason: MissReason) -> Miss:
        self._count("bypasses")
        return Miss(reason, may_fill=False)

    def _report_invalid(self, key: Key, error: InvalidValueError) -> None:
        self._count("invalid")
        logger.warning("the cached value of %s in %s is replaced: %s", key.name, key.group, error)


def _string(value: object) -> bytes:
    """Return the string in a reply; none for a key of another type, which is a reported error."""
    return value if type(value) is bytes else b""

"""Reading: a look-up, and on a miss a lease, with which what the database says is filled in."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pegboard.cache import LEASED, Key, Lease, Miss
from pegboard.redis import ChannelError, Command, Reply
from pegboard_cache_redis.cache.activation import Switch
from pegboard_cache_redis.cache.codec import Codec, InvalidValueError
from pegboard_cache_redis.cache.epoch import Fleet, State
from pegboard_cache_redis.cache.keys import Place
from pegboard_cache_redis.cache.scripts import FILL, GIVE_BACK, LEASE, new_token
from pegboard_cache_redis.cache.stats import Stats
from pegboard_cache_redis.cache.storage import Storage

logger = logging.getLogger(__name__)

LEASE_TIME = 5_000
"""Milliseconds after which a reader that took a lease and never filled is given up."""

_SMALL = 1024
"""Bytes of a value that is kept to be compared with: it costs memory."""

MARKER_TIME = 86_400_000
"""Milliseconds after which the marker of a group that nobody reads is forgotten."""


class Question(NamedTuple):
    """A look-up under way."""

    commands: Sequence[Command]
    key: Key
    place: Place
    state: State


@dataclass(frozen=True, slots=True)
class Mark:
    """What a lease was given under."""

    place: Place
    state: State
    generation: bytes


class Reader:
    """What a process does that wants a value."""

    def __init__(
        self, storage: Storage, codec: Codec, fleet: Fleet, switch: Switch, stats: Stats
    ) -> None:
        self._storage = storage
        self._codec = codec
        self._fleet = fleet
        self._switch = switch
        self._count = stats.count

    def prepare(self, key: Key) -> Question | Miss:
        """Return the question for the value, or why it is not asked."""
        state = self._usable()
        if isinstance(state, Miss):
            return state
        place = self._storage.place(state, key)
        return Question(place.look_up, key, place, state)

    def complete(self, question: Question, replies: Sequence[Reply] | ChannelError) -> bytes | Miss:
        """Return the value that the replies hold, or why they hold none."""
        if isinstance(replies, ChannelError):
            return self._bypass("redis-away")
        (mark, _), (data, server), (seal, writer) = replies
        if server not in question.state.servers:
            self._switch.report_foreign(server)
            return self._bypass("foreign-server")
        if type(seal) is not int or writer != server:
            return self._bypass("redis-away")  # it does not take writes
        return self._read(question, _string(mark), _string(data))

    def _read(self, question: Question, mark: bytes, data: bytes) -> bytes | Miss:
        kinds = mark[:1] + data[:1]
        if kinds == b"GV":
            try:
                value = self._decode(question.place, mark, data)
            except InvalidValueError:
                return Miss("invalid")  # who replaces it reports it
            if value is not None:
                self._count("hits")
                return value
        if b"F" in kinds:
            # Whether it is a stranger's, only the server can tell when a lease is asked for.
            self._count("bypasses")
            return Miss("fenced")
        self._count("misses")
        return Miss("miss")

    def _decode(self, place: Place, mark: bytes, data: bytes) -> bytes | None:
        """Decode a value, whose tag is computed once as long as it stays the same."""
        if data == place.authentic:
            return self._codec.content(mark, data)
        value = self._codec.decode(place.key, mark, data)
        if len(data) <= _SMALL:
            place.authentic = data
        return value

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Return the right to fill the key, or the value that another filled in meanwhile."""
        state = self._usable()
        if isinstance(state, Miss):
            return state
        place = self._storage.place(state, key)
        found = self._take_lease(key, place, state)
        if isinstance(found, InvalidValueError):
            found = self._take_lease(key, place, state, distrust=found)
        if isinstance(found, InvalidValueError):
            return Miss("invalid", may_fill=False)
        return found

    def _take_lease(
        self,
        key: Key,
        place: Place,
        state: State,
        *,
        distrust: InvalidValueError | None = None,
    ) -> Lease | bytes | Miss | InvalidValueError:
        """Ask for a lease; returns why, if there is a value that is not to be trusted."""
        token = new_token()
        value = self._storage.run(
            state,
            LEASE.call(
                keys=[place.marker, place.key],
                arguments=[
                    *(token, new_token(), LEASE_TIME, MARKER_TIME),
                    *(self._codec.longest, int(distrust is not None)),
                ],
            ),
        )
        if not isinstance(value, list):
            return self._bypass("redis-away")
        if value[0] == b"F":
            return self._bypass("fenced")
        if value[0] == b"B":
            return Miss(LEASED)
        if value[0] == b"L":
            if value[2]:
                self._report_invalid(key, distrust or InvalidValueError("it is no value"))
            return Lease(key, token, Mark(place, state, value[1]))
        try:
            found = self._codec.decode(place.key, value[1], value[2])
        except InvalidValueError as error:
            return error
        assert found is not None, "the script compares the generations"
        return found

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Store a value if the lease still stands."""
        mark: Mark = lease.mark
        encoded = self._codec.encode(mark.place.key, mark.generation, value)
        if encoded is None:
            logger.warning("an answer of %d bytes is too large to be cached", len(value))
            self.give_back(lease)
            return False
        done = self._storage.run(
            mark.state,
            FILL.call(
                keys=[mark.place.marker, mark.place.key],
                arguments=[lease.token, mark.generation, encoded, ttl],
            ),
        )
        # What others wait for must not be older than a write whose fence could not be confirmed: it
        # turns caching off, and is acknowledged once nobody trusts this epoch any more.
        state = self._fleet.trusted()
        is_stored = done == 1 and state is not None and state.is_same_epoch(mark.state)
        self._count("fills" if is_stored else "refused_fills")
        return is_stored

    def give_back(self, lease: Lease) -> None:
        """End the lease if it still stands."""
        mark: Mark = lease.mark
        self._storage.run(
            mark.state, GIVE_BACK.call(keys=[mark.place.key], arguments=[lease.token])
        )

    def _usable(self) -> State | Miss:
        """Return the state under which Redis may be asked."""
        state = self._fleet.trusted()
        if state is None or state.is_never_on:
            state = self._switch.begin()
        if state is None:
            return self._bypass("state-unknown")
        if not state.enabled:
            return self._bypass("disabled")
        return state

    def _bypass(self, reason: str) -> Miss:
        self._count("bypasses")
        return Miss(reason, may_fill=False)

    def _report_invalid(self, key: Key, error: InvalidValueError) -> None:
        self._count("invalid")
        logger.warning("the cached value of %s in %s is replaced: %s", key.name, key.group, error)


def _string(value: object) -> bytes:
    """Return what a key held; a key of another type, which Redis reports, holds nothing."""
    return value if type(value) is bytes else b""

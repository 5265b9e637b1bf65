"""The cache in Redis: fence, commit, release, in an epoch that the database knows.

See `docs/explanation/caching.md` for why each step is needed.
"""

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

import pegboard
from pegboard_cache_redis.codec import Codec, InvalidValueError
from pegboard_cache_redis.keeper import Keeper
from pegboard_cache_redis.keys import Names, Place
from pegboard_cache_redis.scripts import FENCE, FILL, GIVE_BACK, LEASE, RELEASE, TOKEN_LENGTH
from pegboard_cache_redis.state import DISABLE, Fleet, State

logger = logging.getLogger(__name__)

LEASE_TIME = 5_000
"""Milliseconds after which a reader that took a lease and never filled is given up."""

FENCE_TIME = 60_000
"""Milliseconds after which a writer that never lifted its fence is given up."""

MARKER_TIME = 86_400_000
"""Milliseconds after which the marker of a group that nobody reads is forgotten."""


@dataclass(frozen=True, slots=True)
class Question:
    """A look-up under way."""

    commands: Sequence[pegboard.Command]
    key: pegboard.Key
    place: Place
    state: State


@dataclass(frozen=True, slots=True)
class Mark:
    """What a lease was given under."""

    place: Place
    state: State
    generation: bytes


@dataclass(frozen=True, slots=True)
class Fence:
    """What a writer has done before its commit."""

    touched: pegboard.Touched
    token: str
    state: State | None = None
    """The state whose epoch is fenced; None if nothing is."""
    has_disabled: bool = False
    """Whether the writer's own transaction turns caching off."""
    is_needless: bool = False
    """Whether nobody can have cached anything yet."""


class RedisStrategy:
    """A `CacheStrategy` for a fleet of processes; see its contract."""

    name = "cache_redis"

    def __init__(
        self, channel: pegboard.Channel, fleet: Fleet, codec: Codec, keeper: Keeper, *, prefix: str
    ) -> None:
        self._channel = channel
        self._fleet = fleet
        self._codec = codec
        self._keeper = keeper
        self._count = keeper.counters.add
        self._prefix = prefix
        self._names = (-1, Names(prefix, -1, is_sharded=channel.is_sharded))

    def join(self, knowledge: str) -> None:
        """Take part only beside processes that forget the same for the same writes."""
        self._fleet.join(knowledge)

    def minds_others(self) -> bool:
        """Return whether the epoch is one of processes that know, or make, other keys."""
        state = self._fleet.current()
        if state is None:
            return not self._fleet.is_absent
        return state.enabled and not state.servers

    # Reading

    def look_up(self, key: pegboard.Key) -> bytes | pegboard.Miss:
        """Return the value, or why there is none."""
        question = self.ask(key)
        if isinstance(question, pegboard.Miss):
            return question
        try:
            return self.hear(question, self._channel.exchange(question.commands))
        except pegboard.ChannelError as error:
            return self.hear(question, error)

    def is_prompt(self) -> bool:
        """Return whether the state is known, so that nobody need read it before Redis is asked."""
        state = self._fleet.trusted()
        return state is not None and not state.is_never_on

    def ask(self, key: pegboard.Key) -> Question | pegboard.Miss:
        """Return the question for the value, or why it is not asked."""
        self._keeper.wake()
        state = self._usable()
        if isinstance(state, pegboard.Miss):
            return state
        place = self._names_of(state.epoch).place(key)
        return Question(place.look_up, key, place, state)

    def hear(
        self, question: Question, replies: Sequence[pegboard.Reply] | pegboard.ChannelError
    ) -> bytes | pegboard.Miss:
        """Return the value that the replies hold, or why they hold none."""
        if isinstance(replies, pegboard.ChannelError):
            return self._bypass("redis-away")
        mark, data = replies
        if data.server not in question.state.servers:
            self._keeper.report_foreign(data.server)
            return self._bypass("foreign-server")
        return self._read(question, _string(mark.value), _string(data.value))

    def _read(
        self, question: Question, mark: bytes | None, data: bytes | None
    ) -> bytes | pegboard.Miss:
        kinds = (mark or b"")[:1] + (data or b"")[:1]
        if kinds == b"GV":
            assert mark is not None
            assert data is not None
            try:
                value = self._codec.decode(question.place.key, mark, data)
            except InvalidValueError:
                return pegboard.Miss("invalid")  # who replaces it reports it
            if value is not None:
                self._count("hits")
                return value
        if b"F" in kinds:
            # Whether it is a stranger's, only the server can tell when a lease is asked for.
            self._count("bypasses")
            return pegboard.Miss("fenced")
        self._count("misses")
        return pegboard.Miss("miss")

    def lease(self, key: pegboard.Key) -> pegboard.Lease | bytes | pegboard.Miss:
        """Return the right to fill the key, or the value that another filled in meanwhile."""
        state = self._usable()
        if isinstance(state, pegboard.Miss):
            return state
        place = self._names_of(state.epoch).place(key)
        found = self._take_lease(key, place, state)
        if isinstance(found, InvalidValueError):
            found = self._take_lease(key, place, state, distrust=found)
        if isinstance(found, InvalidValueError):
            return pegboard.Miss("invalid", may_fill=False)
        return found

    def _take_lease(
        self,
        key: pegboard.Key,
        place: Place,
        state: State,
        *,
        distrust: InvalidValueError | None = None,
    ) -> pegboard.Lease | bytes | pegboard.Miss | InvalidValueError:
        """Ask for a lease; returns why, if there is a value that is not to be trusted."""
        token = _token()
        value = self._run(
            state,
            LEASE.call(
                keys=[place.marker, place.key],
                arguments=[token, _token(), LEASE_TIME, MARKER_TIME, int(distrust is not None)],
            ),
        )
        if not isinstance(value, list):
            return self._bypass("redis-away")
        if value[0] == b"F":
            return self._bypass("fenced")
        if value[0] == b"B":
            return pegboard.Miss(pegboard.LEASED)
        if value[0] == b"L":
            if value[2]:
                self._report_invalid(key, distrust or InvalidValueError("it is no value"))
            return pegboard.Lease(key, token, Mark(place, state, value[1]))
        try:
            found = self._codec.decode(place.key, value[1], value[2])
        except InvalidValueError as error:
            return error
        assert found is not None, "the script compares the generations"
        return found

    def fill(self, lease: pegboard.Lease, value: bytes, ttl: int) -> bool:
        """Store a value if the lease still stands."""
        mark: Mark = lease.mark
        encoded = self._codec.encode(mark.place.key, mark.generation, value)
        if encoded is None:
            logger.warning("an answer of %d bytes is too large to be cached", len(value))
            self.give_back(lease)
            return False
        done = self._run(
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

    def give_back(self, lease: pegboard.Lease) -> None:
        """End the lease if it still stands."""
        mark: Mark = lease.mark
        self._run(mark.state, GIVE_BACK.call(keys=[mark.place.key], arguments=[lease.token]))

    # Writing

    def fence(self, touched: pegboard.Touched, transaction: pegboard.Transaction) -> Fence:
        """Keep anyone from filling what is touched, or turn caching off with the transaction."""
        token = _token()
        state = self._fleet.current()
        if state is None and self._fleet.is_absent:
            return Fence(touched, token, is_needless=True)
        if state is not None and not state.enabled:
            return Fence(touched, token)
        self._count("fences")
        if state is not None and self._cover(state, touched, FENCE, [token, FENCE_TIME]):
            return Fence(touched, token, state)
        transaction.execute(DISABLE)
        return Fence(touched, token, has_disabled=True)

    def release(self, fence: Fence, transaction: pegboard.Transaction) -> float:
        """Forget what was touched for good, or see to it that nobody trusts a cache any more."""
        if fence.is_needless and (moment := self._fleet.moment_if_absent()) is not None:
            return moment
        if fence.has_disabled:
            # With this very transaction. But if it was off already, or the statement committed by
            # itself, another epoch may have begun before the commit: so it is looked at again.
            self._turned_off("a fence was not confirmed")
        try:
            return self._release(fence, transaction)
        except DBAPIError as error:
            raise pegboard.UnconfirmedError(str(error.orig)) from error
        except pegboard.UnconfirmedError:
            raise
        except Exception as error:  # the driver's own, below SQLAlchemy
            raise pegboard.UnconfirmedError(str(error)) from error

    def _release(self, fence: Fence, transaction: pegboard.Transaction) -> float:
        # What was known before the commit does not count: another epoch may have begun.
        state = self._fleet.trusted()
        if fence.state is None or state is None or state.epoch != fence.state.epoch:
            state = self._fleet.read_after_commit(transaction)
        if state is None:
            message = "the row of cache_state is missing"
            raise pegboard.UnconfirmedError(message)
        if not state.enabled:
            if fence.state is not None:
                state = self._fleet.read_after_commit(transaction) or state
            if not state.enabled:
                return 0.0 if state.is_never_on else self._fleet.nobody_trusts_at
        if self._cover(state, fence.touched, RELEASE, [fence.token]):
            return 0.0
        transaction.execute(DISABLE)
        transaction.commit()
        return self._turned_off("a release was not confirmed")

    def _turned_off(self, cause: str) -> float:
        self._count("unconfirmed")
        logger.warning("caching is off until Redis can be relied on: %s", cause)
        self._fleet.note_disabled()
        self._keeper.wake()
        return self._fleet.nobody_trusts_at

    def abandon(self, fence: Fence) -> None:
        """Lift the fence if Redis hears of it; if not, it expires."""
        if fence.state is not None:
            self._cover(fence.state, fence.touched, RELEASE, [fence.token])

    def _cover(
        self,
        state: State,
        touched: pegboard.Touched,
        script: pegboard.Script,
        arguments: Sequence[str | int],
    ) -> bool:
        """Run a script on everything that is touched; returns whether all of it is confirmed."""
        if not state.servers:
            return False  # other processes make other keys
        names = self._names_of(state.epoch)
        keys = [names.place(key).key for key in touched.keys if key.group not in touched.groups]
        keys += [marker for group in touched.groups for marker in names.markers(group)]
        commands = [script.call(keys=[key], arguments=arguments) for key in keys]
        if not commands:
            return True
        try:
            replies = self._channel.exchange(commands)
        except pegboard.ChannelError:
            return False
        return all(reply.value == 1 and reply.server in state.servers for reply in replies)

    # Looking after it

    def clear(self, group: str | None = None) -> None:
        """Forget a group's values, or all: by a new epoch."""
        state = self._fleet.current()
        if state is None:
            message = "the database cannot say whether caching is on"
            raise pegboard.UnconfirmedError(message)
        if group is not None and state.enabled:
            self._clear_group(state, group)
            return
        try:
            if state.enabled:
                self._fleet.disable()
        except SQLAlchemyError as error:
            raise pegboard.UnconfirmedError(str(error)) from error
        if state.epoch > 0:
            time.sleep(max(0.0, self._fleet.nobody_trusts_at - time.monotonic()))

    def _clear_group(self, state: State, group: str) -> None:
        touched = pegboard.Touched(groups=frozenset({group}))
        token = _token()
        if not self._cover(state, touched, FENCE, [token, FENCE_TIME]):
            message = "Redis did not confirm it"
            raise pegboard.UnconfirmedError(message)
        self._cover(state, touched, RELEASE, [token])

    def figures(self) -> Mapping[str, int | float | str | bool]:
        """Return the fleet's counters, and the state of the cache."""
        return self._keeper.figures()

    def _usable(self) -> State | pegboard.Miss:
        """Return the state under which Redis may be asked."""
        state = self._fleet.trusted()
        if state is None or state.is_never_on:
            state = self._keeper.begin()
        if state is None:
            return self._bypass("state-unknown")
        if not state.enabled:
            return self._bypass("disabled")
        return state

    def _names_of(self, epoch: int) -> Names:
        known, names = self._names
        if known != epoch:
            names = Names(self._prefix, epoch, is_sharded=self._channel.is_sharded)
            self._names = (epoch, names)
        return names

    def _run(self, state: State, command: pegboard.Command) -> Any:
        """Run one command; None if no server of the epoch has answered."""
        try:
            (reply,) = self._channel.exchange([command])
        except pegboard.ChannelError:
            return None
        return reply.value if reply.server in state.servers else None

    def _bypass(self, reason: str) -> pegboard.Miss:
        self._count("bypasses")
        return pegboard.Miss(reason, may_fill=False)

    def _report_invalid(self, key: pegboard.Key, error: InvalidValueError) -> None:
        self._count("invalid")
        logger.warning("the cached value of %s in %s is replaced: %s", key.name, key.group, error)


def _string(value: object) -> bytes | None:
    """Return what a key held; a key of another type, which Redis reports, holds nothing."""
    return value if isinstance(value, bytes) else None


def _token() -> str:
    return secrets.token_hex(TOKEN_LENGTH // 2)

"""Writing: a fence before the commit and its release after it, or caching is turned off."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pegboard.cache import Touched, Transaction, UnconfirmedError
from pegboard.redis import ChannelError, Command, Reply
from pegboard_cache_redis.cache.activation import Activation
from pegboard_cache_redis.cache.background import BackgroundRefresh
from pegboard_cache_redis.cache.epoch import EpochState, EpochStore
from pegboard_cache_redis.cache.scripts import FENCE, RELEASE, new_token
from pegboard_cache_redis.cache.stats import Stats
from pegboard_cache_redis.cache.storage import Storage

FENCE_TIME = 60_000
"""Milliseconds after which a fence ends whose writer has not lifted it."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What a writer has done before its commit."""

    touched: Touched
    token: str
    state: EpochState | None = None
    """The state whose epoch is fenced; None if nothing is."""
    has_disabled: bool = False
    """Whether the writer's own transaction turns caching off."""
    has_dropped: bool = False
    """Whether the writer's own transaction drops the table of the state."""
    is_needless: bool = False
    """Whether no process can have cached anything yet, as the table is missing."""


class PreparedFence(NamedTuple):
    """A fence whose commands are not sent yet."""

    commands: Sequence[Command]
    fence: Fence
    state: EpochState


class Writer:
    """Invalidates values: for a transaction that touches them, or for an operator."""

    def __init__(
        self,
        storage: Storage,
        epochs: EpochStore,
        activation: Activation,
        background: BackgroundRefresh,
        stats: Stats,
    ) -> None:
        self._storage = storage
        self._epochs = epochs
        self._activation = activation
        self._background = background
        self._count = stats.count

    def fence(self, touched: Touched, transaction: Transaction) -> Fence:
        """Keep anyone from filling what is touched, or turn caching off with the transaction."""
        token = new_token()
        state = self._epochs.current()
        if state is None and self._epochs.is_missing:
            return Fence(touched, token, is_needless=True)
        if state is not None and not state.enabled:
            return Fence(touched, token)
        self._count("fences")
        if state is not None and self._storage.cover(state, touched, FENCE, [token, FENCE_TIME]):
            return Fence(touched, token, state)
        if self._epochs.is_dropped_by(transaction):
            return Fence(touched, token, has_dropped=True)
        self._activation.turn_off_with(transaction)
        return Fence(touched, token, has_disabled=True)

    def prepare_fence(self, touched: Touched) -> PreparedFence | None:
        """Return the commands that set a fence; None if caching is off, or that is not known."""
        state = self._epochs.trusted()
        if state is None or not state.enabled or not state.servers:
            return None
        token = new_token()
        commands = self._storage.commands(state, touched, FENCE, [token, FENCE_TIME])
        return PreparedFence(commands, Fence(touched, token, state), state)

    def complete_fence(
        self, prepared: PreparedFence, replies: Sequence[Reply] | ChannelError
    ) -> Fence | None:
        """Return the fence; None if it is not confirmed."""
        if not self._storage.confirms(prepared.state, replies):
            return None
        self._count("fences")
        return prepared.fence

    def prepare_release(self, fence: Fence) -> Sequence[Command] | None:
        """Return the commands that release a fence; None if another epoch may have begun."""
        state = self._epochs.trusted()
        if (
            fence.state is None
            or state is None
            or not state.enabled
            or state.epoch != fence.state.epoch
        ):
            return None
        return self._storage.commands(state, fence.touched, RELEASE, [fence.token])

    def complete_release(self, fence: Fence, replies: Sequence[Reply] | ChannelError) -> bool:
        """Return whether it is confirmed that what was touched is invalidated."""
        return fence.state is not None and self._storage.confirms(fence.state, replies)

    def release(self, fence: Fence, transaction: Transaction) -> float:
        """Invalidate what was touched, or turn caching off and let the write wait for that."""
        if fence.is_needless and (moment := self._epochs.moment_if_missing()) is not None:
            return moment
        if fence.has_dropped:
            return self._turned_off("the table of its state was dropped")
        if fence.has_disabled:
            # It was turned off by the transaction. But if it was off before, or the statement has
            # committed by itself, another epoch may have begun before the commit: so read again.
            self._turned_off("a fence was not confirmed")
        try:
            return self._release(fence, transaction)
        except DBAPIError as error:
            raise UnconfirmedError(str(error.orig)) from error
        except UnconfirmedError:
            raise
        except Exception as error:  # one of the driver's own
            if (moment := self._epochs.moment_if_missing()) is not None:
                transaction.commit()  # ends the transaction that has failed to read the table
                return moment
            raise UnconfirmedError(str(error)) from error

    def _release(self, fence: Fence, transaction: Transaction) -> float:
        # Not what was known before the commit: another epoch may have begun.
        state = self._epochs.trusted()
        if fence.state is None or state is None or state.epoch != fence.state.epoch:
            state = self._epochs.read_after_commit(transaction)
        if state is None:
            message = "the row of cache_state is missing"
            raise UnconfirmedError(message)
        if not state.enabled:
            if fence.state is not None:
                state = self._epochs.read_after_commit(transaction) or state
            if not state.enabled:
                return 0.0 if state.is_never_on else self._epochs.trust_ends_at
        if self._storage.cover(state, fence.touched, RELEASE, [fence.token]):
            return 0.0
        self._activation.turn_off_with(transaction)
        transaction.commit()
        return self._turned_off("a release was not confirmed")

    def _turned_off(self, cause: str) -> float:
        self._count("unconfirmed")
        moment = self._activation.note_turned_off(cause)
        self._background.wake()  # to turn it on again, even if this process never reads
        return moment

    def abandon(self, fence: Fence) -> None:
        """Lift the fence; if Redis does not confirm it, it expires."""
        if fence.state is not None:
            self._storage.cover(fence.state, fence.touched, RELEASE, [fence.token])

    def clear(self, group: str | None = None) -> None:
        """Invalidate the values of a group, or all of them by ending the epoch."""
        state = self._epochs.current()
        if state is None:
            message = "the database cannot say whether caching is on"
            raise UnconfirmedError(message)
        if group is not None and state.enabled:
            self._clear_group(state, group)
            return
        try:
            if state.enabled:
                self._activation.turn_off()
        except SQLAlchemyError as error:
            raise UnconfirmedError(str(error)) from error
        if state.epoch > 0:
            time.sleep(max(0.0, self._epochs.trust_ends_at - time.monotonic()))

    def _clear_group(self, state: EpochState, group: str) -> None:
        touched = Touched(groups=frozenset({group}))
        token = new_token()
        if not self._storage.cover(state, touched, FENCE, [token, FENCE_TIME]):
            message = "Redis did not confirm it"
            raise UnconfirmedError(message)
        self._storage.cover(state, touched, RELEASE, [token])

"""Writing: a fence before the commit and its release after it, or caching is turned off."""

import time
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pegboard.cache import Touched, Transaction, UnconfirmedError
from pegboard_cache_redis.cache.activation import Switch
from pegboard_cache_redis.cache.background import Keeper
from pegboard_cache_redis.cache.epoch import Fleet, State
from pegboard_cache_redis.cache.scripts import FENCE, RELEASE, new_token
from pegboard_cache_redis.cache.stats import Stats
from pegboard_cache_redis.cache.storage import Storage

FENCE_TIME = 60_000
"""Milliseconds after which a writer that never lifted its fence is given up."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What a writer has done before its commit."""

    touched: Touched
    token: str
    state: State | None = None
    """The state whose epoch is fenced; None if nothing is."""
    has_disabled: bool = False
    """Whether the writer's own transaction turns caching off."""
    is_needless: bool = False
    """Whether nobody can have cached anything yet."""


class Writer:
    """What a process does whose transaction, or operator, has something forgotten."""

    def __init__(
        self, storage: Storage, fleet: Fleet, switch: Switch, keeper: Keeper, stats: Stats
    ) -> None:
        self._storage = storage
        self._fleet = fleet
        self._switch = switch
        self._keeper = keeper
        self._count = stats.count

    def fence(self, touched: Touched, transaction: Transaction) -> Fence:
        """Keep anyone from filling what is touched, or turn caching off with the transaction."""
        token = new_token()
        state = self._fleet.current()
        if state is None and self._fleet.is_absent:
            return Fence(touched, token, is_needless=True)
        if state is not None and not state.enabled:
            return Fence(touched, token)
        self._count("fences")
        if state is not None and self._storage.cover(state, touched, FENCE, [token, FENCE_TIME]):
            return Fence(touched, token, state)
        self._switch.turn_off_with(transaction)
        return Fence(touched, token, has_disabled=True)

    def release(self, fence: Fence, transaction: Transaction) -> float:
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
            raise UnconfirmedError(str(error.orig)) from error
        except UnconfirmedError:
            raise
        except Exception as error:  # the driver's own, below SQLAlchemy
            raise UnconfirmedError(str(error)) from error

    def _release(self, fence: Fence, transaction: Transaction) -> float:
        # What was known before the commit does not count: another epoch may have begun.
        state = self._fleet.trusted()
        if fence.state is None or state is None or state.epoch != fence.state.epoch:
            state = self._fleet.read_after_commit(transaction)
        if state is None:
            message = "the row of cache_state is missing"
            raise UnconfirmedError(message)
        if not state.enabled:
            if fence.state is not None:
                state = self._fleet.read_after_commit(transaction) or state
            if not state.enabled:
                return 0.0 if state.is_never_on else self._fleet.nobody_trusts_at
        if self._storage.cover(state, fence.touched, RELEASE, [fence.token]):
            return 0.0
        self._switch.turn_off_with(transaction)
        transaction.commit()
        return self._turned_off("a release was not confirmed")

    def _turned_off(self, cause: str) -> float:
        self._count("unconfirmed")
        moment = self._switch.note_turned_off(cause)
        self._keeper.wake()  # also where nobody reads: caching has to come back
        return moment

    def abandon(self, fence: Fence) -> None:
        """Lift the fence if Redis hears of it; if not, it expires."""
        if fence.state is not None:
            self._storage.cover(fence.state, fence.touched, RELEASE, [fence.token])

    def clear(self, group: str | None = None) -> None:
        """Forget a group's values, or all: by a new epoch."""
        state = self._fleet.current()
        if state is None:
            message = "the database cannot say whether caching is on"
            raise UnconfirmedError(message)
        if group is not None and state.enabled:
            self._clear_group(state, group)
            return
        try:
            if state.enabled:
                self._switch.turn_off()
        except SQLAlchemyError as error:
            raise UnconfirmedError(str(error)) from error
        if state.epoch > 0:
            time.sleep(max(0.0, self._fleet.nobody_trusts_at - time.monotonic()))

    def _clear_group(self, state: State, group: str) -> None:
        touched = Touched(groups=frozenset({group}))
        token = new_token()
        if not self._storage.cover(state, touched, FENCE, [token, FENCE_TIME]):
            message = "Redis did not confirm it"
            raise UnconfirmedError(message)
        self._storage.cover(state, touched, RELEASE, [token])

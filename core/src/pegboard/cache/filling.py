"""Reading the database once for all that ask at the same moment, and storing what was read."""

from collections.abc import Awaitable, Callable
from concurrent import futures
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pegboard.cache import singleflight
from pegboard.cache.outcome import (
    FILLED_ELSEWHERE,
    HIT,
    NOT_SHARED,
    NOT_STORED,
    SHARED,
    STORED,
    Outcome,
    bypassed,
    missed,
)
from pegboard.cache.singleflight import Flight, SingleFlight
from pegboard.cache.strategy import (
    CacheStrategy,
    Key,
    Lease,
    Miss,
    MissReason,
    RemoteFills,
    RemoteStrategy,
)
from pegboard.redis import ChannelError, Reply
from pegboard.stages import Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

_ATTEMPTS = 2
"""How often a request follows the reading of another, at most."""

_LEASE_POLL, _LEASE_POLLS = 0.005, 10
"""Seconds between two requests for a lease that another process holds, and how many are made."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """What is read from the database, and how it is stored under a key."""

    @property
    def key(self) -> Key:
        """What it is stored under."""

    @property
    def prefix(self) -> str:
        """The path prefix of the requests that may share it."""

    @property
    def ttl(self) -> int:
        """How long it may be kept, in seconds."""

    def is_read_anew(self) -> bool:
        """Return whether no transaction is open, in which `read` may see what is older than now."""

    def decode(self, found: bytes) -> T_co | Miss:
        """Return what the bytes stand for; a `Miss` for bytes that are not to be used."""

    def read(self) -> Awaitable[T_co]:
        """Read it from the database."""

    def read_to_store(self) -> Awaitable[tuple[T_co, bytes | None]]:
        """Read it, and return it with the bytes to store; None if it must not be stored."""


class Filling:
    """The readings of one app that are under way, and where their results are stored."""

    def __init__(self, strategy: CacheStrategy) -> None:
        self._strategy = strategy
        self._fills = strategy if isinstance(strategy, RemoteFills) else None
        self._remote = strategy if isinstance(strategy, RemoteStrategy) else None
        self._single_flight = SingleFlight()

    def look_up(self, source: Source[T]) -> T | Miss:
        """Return what is stored."""
        return _decoded(source, self._strategy.look_up(source.key))

    async def find(self, source: Source[T], waiting: Waiting) -> T | Miss:
        """Return what is stored, as `look_up` does, and wait as a fast path does."""
        remote = self._remote
        if remote is None or not remote.is_non_blocking():
            return await waiting.call(partial(self.look_up, source))
        prepared = remote.prepare(source.key)
        if isinstance(prepared, Miss):
            return prepared
        replies: Sequence[Reply] | ChannelError
        try:
            replies = await waiting.exchange(prepared.commands)
        except ChannelError as error:
            replies = error
        return _decoded(source, remote.complete(prepared, replies))

    async def obtain(
        self, source: Source[T], found: T | Miss, waiting: Waiting | None = None
    ) -> tuple[T, Outcome]:
        """Return what a look-up has found; if that is a `Miss`, read it, and store it if possible.

        Requests of this process that read the same at the same moment wait for one of them. Without
        `waiting` this thread waits, and the coroutine never suspends.
        """
        if not isinstance(found, Miss):
            return found, HIT
        if not found.may_fill:
            return await source.read(), bypassed(found.reason)
        if not source.is_read_anew():
            return await source.read(), bypassed(MissReason.IN_TRANSACTION)
        return await self._lead_or_follow(source, self._steps(waiting), _ATTEMPTS)

    def _steps(self, waiting: Waiting | None) -> "_Steps":
        fills, remote = self._fills, self._remote
        if waiting is None or fills is None or remote is None or not remote.is_non_blocking():
            return _Steps(self._strategy, waiting)
        return _RemoteSteps(self._strategy, waiting, fills)

    async def _lead_or_follow(
        self, source: Source[T], steps: "_Steps", attempts: int
    ) -> tuple[T, Outcome]:
        """Read the database, or wait for another request of this process that reads the same."""
        flight, is_leader = self._single_flight.join(source.key, source.prefix)
        if is_leader:
            return await self._lead(source, steps, flight)
        await steps.wait(flight.done, singleflight.MAX_WAIT)
        if flight.result is not None:
            return flight.result, SHARED
        found = await steps.call(partial(self.look_up, source))
        if not isinstance(found, Miss):
            return found, HIT
        if flight.is_leased_elsewhere and attempts > 1:
            # Another process is about to fill it; until then only one request asks again.
            return await self._lead_or_follow(source, steps, attempts - 1)
        return await source.read(), NOT_SHARED

    async def _lead(self, source: Source[T], steps: "_Steps", flight: Flight) -> tuple[T, Outcome]:
        """Read the database for all followers, unless another process does."""
        try:
            given = await self._lease(source.key, steps)
            if isinstance(given, Lease):
                return await self._fill(source, given, steps, flight)
            found = _decoded(source, given)
            if not isinstance(found, Miss):
                return found, FILLED_ELSEWHERE
            flight.is_leased_elsewhere = found.reason == MissReason.LEASED
            return await source.read(), missed(found.reason)
        finally:
            self._single_flight.close(flight)
            flight.finish()

    async def _fill(
        self, source: Source[T], lease: Lease, steps: "_Steps", flight: Flight
    ) -> tuple[T, Outcome]:
        """Read the database, and store the result if nothing was written meanwhile."""
        try:
            result, stored = await source.read_to_store()
        except Exception:
            await steps.give_back(lease)
            raise
        if stored is None:
            await steps.give_back(lease)
        # A request that comes from now on may begin after a write that this result does not have,
        # so it must not follow.
        self._single_flight.close(flight)
        if stored is None or not await steps.fill(lease, stored, source.ttl):
            return result, NOT_STORED
        flight.result = result
        return result, STORED

    async def _lease(self, key: Key, steps: "_Steps") -> Lease | bytes | Miss:
        """Ask for a lease, for a moment again and again while another process holds it."""
        given = await steps.lease(key)
        for _ in range(_LEASE_POLLS):
            if not isinstance(given, Miss) or given.reason != MissReason.LEASED:
                break
            await steps.wait(futures.Future(), _LEASE_POLL)
            given = await steps.lease(key)
        return given


class _Steps:
    """The steps of a filling, by the methods of a strategy, which wait."""

    def __init__(self, strategy: CacheStrategy, waiting: Waiting | None) -> None:
        self._strategy = strategy
        self._waiting = waiting

    async def call(self, function: Callable[[], T]) -> T:
        return function() if self._waiting is None else await self._waiting.call(function)

    async def wait(self, done: "futures.Future[None]", seconds: float) -> None:
        if self._waiting is None:
            futures.wait([done], seconds)
        else:
            await self._waiting.wait(done, seconds)

    async def lease(self, key: Key) -> Lease | bytes | Miss:
        return await self.call(partial(self._strategy.lease, key))

    async def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        return await self.call(partial(self._strategy.fill, lease, value, ttl))

    async def give_back(self, lease: Lease) -> None:
        await self.call(partial(self._strategy.give_back, lease))


class _RemoteSteps(_Steps):
    """The steps of a filling that wait for nothing but replies of Redis."""

    def __init__(self, strategy: CacheStrategy, waiting: Waiting, fills: RemoteFills) -> None:
        super().__init__(strategy, waiting)
        self._fills = fills
        self._exchange = waiting.exchange

    async def lease(self, key: Key) -> Lease | bytes | Miss:
        return await self._fills.lease_by(key, self._exchange)

    async def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        return await self._fills.fill_by(lease, value, ttl, self._exchange)

    async def give_back(self, lease: Lease) -> None:
        await self._fills.give_back_by(lease, self._exchange)


def _decoded(source: Source[T], found: Any) -> T | Miss:
    return found if isinstance(found, Miss) else source.decode(found)

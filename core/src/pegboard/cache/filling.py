"""Reading the database once for all that ask at the same moment, and storing what was read."""

from collections.abc import Awaitable, Callable
from concurrent import futures
from functools import partial
from typing import Any, Protocol, TypeVar

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
from pegboard.cache.remote import RemoteFills, RemoteStrategy, replies_of
from pegboard.cache.singleflight import Flight, SingleFlight
from pegboard.cache.strategy import CacheStrategy, Key, Lease, Miss, MissReason
from pegboard.stages import Waiting

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
    """Fills the cache of one app: reads the database on a miss, and stores the result."""

    def __init__(self, strategy: CacheStrategy) -> None:
        self._strategy = strategy
        self._fills = strategy if isinstance(strategy, RemoteFills) else None
        self._remote = strategy if isinstance(strategy, RemoteStrategy) else None
        self._single_flight = SingleFlight()

    async def obtain(
        self, source: Source[T], known: Miss | None, waiting: Waiting | None = None
    ) -> tuple[T, Outcome]:
        """Return what is stored; if nothing is, read it, and store it if possible.

        `known` is what a look-up has found already. Requests of this process that read the same
        at the same moment wait for one of them. Without `waiting` this thread waits, and the
        coroutine never suspends.
        """
        found: T | Miss = await self._find(source, waiting) if known is None else known
        if not isinstance(found, Miss):
            return found, HIT
        if not found.may_fill:
            return await source.read(), bypassed(found.reason)
        if not source.is_read_anew():
            return await source.read(), bypassed(MissReason.IN_TRANSACTION)
        return await self._lead_or_follow(source, self._leases(waiting), _ATTEMPTS)

    async def _find(self, source: Source[T], waiting: Waiting | None) -> T | Miss:
        """Return what is stored."""
        if waiting is None:
            return self._look_up(source)
        remote = self._remote
        if remote is None or not remote.is_non_blocking():
            return await waiting.call(partial(self._look_up, source))
        prepared = remote.prepare(source.key)
        if isinstance(prepared, Miss):
            return prepared
        replies = await replies_of(waiting, prepared.commands)
        return _decoded(source, remote.complete(prepared, replies))

    def _look_up(self, source: Source[T]) -> T | Miss:
        """Return what is stored; this thread waits."""
        return _decoded(source, self._strategy.look_up(source.key))

    def _leases(self, waiting: Waiting | None) -> "_Leases":
        fills, remote = self._fills, self._remote
        if waiting is None or fills is None or remote is None or not remote.is_non_blocking():
            return _Leases(self._strategy, waiting)
        return _RemoteLeases(self._strategy, waiting, fills)

    async def _lead_or_follow(
        self, source: Source[T], leases: "_Leases", attempts: int
    ) -> tuple[T, Outcome]:
        """Read the database, or wait for another request of this process that reads the same."""
        flight, is_leader = self._single_flight.join(source.key, source.prefix)
        if is_leader:
            return await self._lead(source, leases, flight)
        await leases.wait(flight.done, singleflight.MAX_WAIT)
        if flight.result is not None:
            return flight.result, SHARED
        found = await leases.call(partial(self._look_up, source))
        if not isinstance(found, Miss):
            return found, HIT
        if flight.is_leased_elsewhere and attempts > 1:
            # Another process is about to fill it; until then only one request asks again.
            return await self._lead_or_follow(source, leases, attempts - 1)
        return await source.read(), NOT_SHARED

    async def _lead(
        self, source: Source[T], leases: "_Leases", flight: Flight
    ) -> tuple[T, Outcome]:
        """Read the database for all followers, unless another process does."""
        try:
            given = await self._lease(source.key, leases)
            if isinstance(given, Lease):
                return await self._fill(source, given, leases, flight)
            found = _decoded(source, given)
            if not isinstance(found, Miss):
                return found, FILLED_ELSEWHERE
            flight.is_leased_elsewhere = found.reason == MissReason.LEASED
            return await source.read(), missed(found.reason)
        finally:
            self._single_flight.close(flight)
            flight.finish()

    async def _fill(
        self, source: Source[T], lease: Lease, leases: "_Leases", flight: Flight
    ) -> tuple[T, Outcome]:
        """Read the database, and store the result if nothing was written meanwhile."""
        try:
            result, stored = await source.read_to_store()
        except Exception:
            await leases.give_back(lease)
            raise
        if stored is None:
            await leases.give_back(lease)
        # A request that comes from now on may begin after a write that this result does not have,
        # so it must not follow.
        self._single_flight.close(flight)
        if stored is None or not await leases.fill(lease, stored, source.ttl):
            return result, NOT_STORED
        flight.result = result
        return result, STORED

    async def _lease(self, key: Key, leases: "_Leases") -> Lease | bytes | Miss:
        """Ask for a lease, for a moment again and again while another process holds it."""
        given = await leases.lease(key)
        for _ in range(_LEASE_POLLS):
            if not isinstance(given, Miss) or given.reason != MissReason.LEASED:
                break
            await leases.wait(futures.Future(), _LEASE_POLL)
            given = await leases.lease(key)
        return given


class _Leases:
    """The leases of a strategy, by its methods that wait."""

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


class _RemoteLeases(_Leases):
    """The leases of a strategy in Redis; only replies are waited for, and by no thread."""

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

"""How fast paths wait, and how many of them are under way."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent import futures
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol, TypeVar

from sqlalchemy import Engine

from pegboard.database import CompiledStatement, execute_alone
from pegboard.redis import Command, Reply

T = TypeVar("T")

Exchange = Callable[[Sequence[Command]], Awaitable[Sequence[Reply]]]
"""Sends commands to Redis and returns the replies, or raises `ChannelError`."""


class Waiting(Protocol):
    """How a fast path waits: on the thread of the request, or beside the server's event loop."""

    async def exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Send commands to Redis and return the replies. Raises `ChannelError`."""

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function that may wait; returns its result, or raises its exception."""

    async def wait(self, done: "futures.Future[None]", seconds: float) -> None:
        """Wait until it is done, for that many seconds at most."""

    async def execute(
        self, engine: Engine, statement: CompiledStatement, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run a statement as a transaction of its own; raises as `execute_alone` does."""

    async def acquire(self, turns: asyncio.Semaphore) -> None:
        """Wait for a turn, unless the request is to be given up before: then raise why."""


def result_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never suspends, as what it waits for does not.

    Its exceptions are raised. Raises `AssertionError` for a coroutine that suspends.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    raise AssertionError


class OnThread:
    """Waits on the thread of the request."""

    def __init__(self, exchange: Callable[[Sequence[Command]], Sequence[Reply]]) -> None:
        """`exchange` waits for the replies, and raises `ChannelError` where there are none."""
        self._exchange = exchange

    async def exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Send commands to Redis and return the replies. Raises `ChannelError`."""
        return self._exchange(commands)

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function; returns its result."""
        return function()

    async def wait(self, done: "futures.Future[None]", seconds: float) -> None:
        """Wait until it is done, for that many seconds at most."""
        futures.wait([done], seconds)

    async def execute(
        self, engine: Engine, statement: CompiledStatement, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of the engine's pool."""
        return execute_alone(engine, statement, values)

    async def acquire(self, turns: asyncio.Semaphore) -> None:
        """Do not wait, as there are no more at once than threads."""


class MeasuredWaiting:
    """Waits as another does, and tells how long each exchange takes."""

    def __init__(self, waiting: Waiting, exchange: Exchange) -> None:
        """`exchange` is that of `waiting`, and tells how long it takes."""
        self._waiting = waiting
        self.exchange = exchange

    def __getattr__(self, name: str) -> Any:
        return getattr(self._waiting, name)


class FastPathLimit:
    """Bounds the fast paths that are under way on an event loop; others wait, in their order.

    Threads bound those that have a thread, but not those that exchange something with Redis. A
    write's fence stands beside those of all other writes under way, and setting it takes Redis
    longer the more there are: with 1,000 writes at once, so long that Redis was taken for one that
    does not answer, and the writes per second fell to a sixth.
    """

    def __init__(self, count: int) -> None:
        """`count` are under way at most."""
        self._count = count
        self._loop: asyncio.AbstractEventLoop | None = None
        self._semaphore = asyncio.Semaphore(count)

    def enter(self, waiting: Waiting) -> AbstractAsyncContextManager[None]:
        """Return a context for one fast path, entered when fewer than that are under way.

        To enter it raises what `acquire` of `waiting` raises.
        """
        if isinstance(waiting, OnThread):
            return nullcontext()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a semaphore belongs to one
            self._loop, self._semaphore = loop, asyncio.Semaphore(self._count)
        return _Turn(self._semaphore, waiting)


class _Turn:
    """A turn of one fast path."""

    __slots__ = ("_turns", "_waiting")

    def __init__(self, turns: asyncio.Semaphore, waiting: Waiting) -> None:
        self._turns = turns
        self._waiting = waiting

    async def __aenter__(self) -> None:
        await self._waiting.acquire(self._turns)

    async def __aexit__(self, *_: object) -> None:
        self._turns.release()

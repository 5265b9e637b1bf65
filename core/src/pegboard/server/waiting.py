"""What the requests of a worker wait for beside its event loop: Redis, the database, a turn."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Engine

from pegboard.database import AllBusyError, AsyncPool, CompiledStatement, execute_alone
from pegboard.deadline import Deadline
from pegboard.redis import Command, Reply
from pegboard.server.client import Client, ClientGoneError
from pegboard.server.request_threads import RequestThreads, late, too_many
from pegboard.stages import Exchange, Stages

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pegboard.redis import Pipeline

T = TypeVar("T")

_LONGEST = 86_400.0


class Backends:
    """What all requests of a worker share."""

    def __init__(self, stages: Stages | None, threads: RequestThreads, *, queue: int) -> None:
        """`queue` bounds the requests that wait for their turn on the event loop."""
        self.threads = threads
        self.exchange: Exchange = self._exchange_on_thread
        """Sends commands to Redis and returns the replies, or raises `ChannelError`."""
        self.runs_stages = False
        """Whether the event loop can run stages; there are servers to which only threads speak."""
        self.queued = 0
        """How many requests wait for their turn."""
        self.queue = queue
        self._stages = stages
        self._pipeline: Pipeline | None = None
        self._database: AsyncPool | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to Redis for a loop that runs or is about to."""
        if self._stages is None:
            return
        channel = self._stages.channel
        if channel is not None:
            self._pipeline = channel.pipeline(loop)
            if self._pipeline is not None:
                self.exchange = self._pipeline.exchange
                self._pipeline.open()
        self.runs_stages = channel is None or self._pipeline is not None

    def close(self) -> None:
        """Disconnect."""
        if self._pipeline is not None:
            self._pipeline.close()
        if self._database is not None:
            self._database.close()

    async def _exchange_on_thread(self, commands: Sequence[Command]) -> Sequence[Reply]:
        assert self._stages is not None  # nothing else asks
        return await self.threads.call(partial(self._stages.exchange, commands))

    async def execute(
        self, engine: Engine, statement: CompiledStatement, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run a statement as a transaction of its own; raises as `execute_alone` does."""
        database = self._database
        if database is None:
            database = self._database = AsyncPool(engine, asyncio.get_running_loop())
        if database.is_usable:
            with suppress(AllBusyError):
                return await database.execute(statement, values)
        return await self.threads.call(partial(execute_alone, engine, statement, values))


class OnLoop:
    """Waits for what one request needs, as a fast path does it on the event loop."""

    __slots__ = ("_backends", "client", "deadline")

    def __init__(self, backends: Backends, client: Client, deadline: Deadline) -> None:
        self._backends = backends
        self.client = client
        self.deadline = deadline

    async def exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Send commands to Redis and return the replies. Raises `ChannelError`."""
        return await self._backends.exchange(commands)

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function on a thread, as it may wait; returns its result."""
        return await self._backends.threads.call(function)

    async def wait(self, done: "Future[None]", seconds: float) -> None:
        """Wait until it is done, for that many seconds at most.

        Takes no thread: else all might wait for a request that needs one itself.
        """
        await asyncio.wait([asyncio.wrap_future(done)], timeout=seconds)

    async def execute(
        self, engine: Engine, statement: CompiledStatement, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run a statement as a transaction of its own; raises as `execute_alone` does."""
        return await self._backends.execute(engine, statement, values)

    async def acquire(self, turns: asyncio.Semaphore) -> None:
        """Wait for the request's turn.

        Raises `APIError` if too many wait already, or its time is over before, and
        `ClientGoneError` if its client has gone.
        """
        if not turns.locked():
            await turns.acquire()
            return
        backends = self._backends
        if backends.queued >= backends.queue:
            backends.threads.count("refused")
            raise too_many()
        turn = asyncio.get_running_loop().create_task(turns.acquire())
        watch = self.client.watch()
        backends.queued += 1
        try:
            awaited: set[asyncio.Task[Any]] = {turn} if watch is None else {turn, watch}
            left = min(self.deadline.left, _LONGEST)
            await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            self._check(turn, watch)
        except BaseException:
            if not turn.cancel():
                turns.release()
            raise
        finally:
            backends.queued -= 1

    def _check(self, turn: "asyncio.Task[Any]", watch: "asyncio.Task[None] | None") -> None:
        """Raise if the request is to be given up."""
        threads = self._backends.threads
        if watch is not None and watch.done():
            threads.count("dropped")
            raise ClientGoneError
        if not turn.done():
            threads.count("late")
            raise late(self.deadline)

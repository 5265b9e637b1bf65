"""What the requests of a worker wait for beside its event loop: Redis, the database, a turn."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Engine

from pegboard.database import AllBusyError, AsyncPool, CompiledStatement, execute_alone
from pegboard.redis import Command, Reply
from pegboard.server.requests.admission import Admission
from pegboard.server.requests.pools import RequestThreads
from pegboard.stages import Exchange, Stages

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pegboard.redis import Pipeline

T = TypeVar("T")


class Backends:
    """What all requests of a worker share."""

    def __init__(self, stages: Stages | None, threads: RequestThreads, *, queue: int) -> None:
        """`queue` bounds the requests that wait for their turn on the event loop."""
        self.threads = threads
        self.exchange: Exchange = self._exchange_at_once
        """Sends commands to Redis and returns the replies, or raises `ChannelError`.

        Only where the event loop runs the stages.
        """
        self.runs_stages = False
        """Whether the event loop can run stages; there are servers to which only threads speak."""
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

    async def _exchange_at_once(self, commands: Sequence[Command]) -> Sequence[Reply]:
        return self.exchange_on_thread(commands)  # there is no Redis, so it raises

    def exchange_on_thread(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Send commands to Redis and wait for the replies. Raises `ChannelError`."""
        assert self._stages is not None  # nothing else asks
        return self._stages.exchange(commands)

    def database(self, engine: Engine) -> AsyncPool:
        """Return the connections of the event loop."""
        if self._database is None:
            self._database = AsyncPool(engine, asyncio.get_running_loop())
        return self._database


class OnLoop:
    """Waits for what one request needs, as a fast path does it on the event loop."""

    __slots__ = ("_backends", "admission")

    def __init__(self, backends: Backends, admission: Admission) -> None:
        self._backends = backends
        self.admission = admission

    async def exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Send commands to Redis and return the replies. Raises `ChannelError`."""
        backends = self._backends
        if backends.runs_stages:
            return await backends.exchange(commands)
        return await self.call(partial(backends.exchange_on_thread, commands))

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function on a thread, as it may wait; returns its result."""
        return await self._backends.threads.call(function, self.admission)

    async def wait(self, done: "Future[None]", seconds: float) -> None:
        """Wait until it is done, for that many seconds at most, and no longer than the request may.

        Takes no thread: else all might wait for a request that needs one itself.
        """
        longest = min(seconds, self.admission.seconds_left)
        await asyncio.wait([asyncio.wrap_future(done)], timeout=longest)

    async def execute(
        self, engine: Engine, statement: CompiledStatement, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run a statement as a transaction of its own; raises as `execute_alone` does."""
        database = self._backends.database(engine)
        if database.is_usable:
            with suppress(AllBusyError):
                return await database.execute(statement, values)
        return await self.call(partial(execute_alone, engine, statement, values))

    async def acquire(self, turns: asyncio.Semaphore) -> None:
        """Wait for the request's turn.

        Raises `APIError` if too many wait already, or its time is over before, and
        `ClientGoneError` if its client has gone.
        """
        if not turns.locked():
            await turns.acquire()
            return
        threads, admission = self._backends.threads, self.admission
        threads.demand()  # those whose turn it is may wait for them
        if threads.waiting_on_loop >= self._backends.queue:
            raise admission.refused()
        turn = asyncio.get_running_loop().create_task(turns.acquire())
        watch = admission.client.watch()
        threads.waiting_on_loop += 1
        try:
            awaited: set[asyncio.Task[Any]] = {turn} if watch is None else {turn, watch}
            left = admission.seconds_left
            await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            _check(turn, admission)
        except BaseException:
            if not turn.cancel():
                turns.release()
            raise
        finally:
            threads.waiting_on_loop -= 1


def _check(turn: "asyncio.Task[Any]", admission: Admission) -> None:
    """Raise if the request is to be given up."""
    if admission.client.has_gone:
        raise admission.dropped()
    if not turn.done():
        raise admission.late()

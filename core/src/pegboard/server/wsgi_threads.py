"""The threads of a worker, for what its event loop does not do."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from pegboard.server.pulse import Stillness
from pegboard.server.request_body import Receive
from pegboard.server.response import Outlet
from pegboard.server.wsgi_work import Work

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

T = TypeVar("T")

_FOR_STAGES = 4


class Threads:
    """Runs functions on threads, at most `count` at once; others wait.

    A thread works in a copy of the caller's context (`contextvars`), so its log lines have the
    request's id.
    """

    def __init__(self, *, count: int, name: str = "pegboard-request") -> None:
        self._count = count
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting = 0
        """How much work no thread has begun."""
        self._running = 0
        self._steps = self._seen = 0
        """How often a thread has gone on, now and when `is_still` was last asked."""

    @property
    def are_busy(self) -> bool:
        """Whether what is submitted now has to wait for a thread."""
        return self._waiting + self._running >= self._count

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function on a thread, as it may wait; returns its result."""
        return await asyncio.wrap_future(self.submit(function))

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Call a function on a thread as soon as one is free."""
        with self._lock:
            self._waiting += 1
        future = self._executor.submit(copy_context().run, self._run, function)
        future.add_done_callback(self._note_cancelled)
        return future

    def _note_cancelled(self, future: "Future[Any]") -> None:
        if future.cancelled():  # and so was never begun
            with self._lock:
                self._waiting -= 1

    def _run(self, function: Callable[[], T]) -> T:
        with self._lock:
            self._waiting -= 1
            self._running += 1
            self._steps += 1
        try:
            return function()
        finally:
            with self._lock:
                self._running -= 1

    def note_step(self) -> None:
        """Take note that a thread has gone on; callable from any."""
        with self._lock:
            self._steps += 1

    def is_still(self) -> bool:
        """Return whether work waits for threads of which none has gone on since the last call."""
        seen, self._seen = self._seen, self._steps
        return seen == self._seen and self._waiting > 0

    def close(self) -> None:
        """Take no further work; what is under way is finished."""
        self._executor.shutdown(wait=False)


class RequestThreads:
    """The threads that answer the requests of a WSGI app.

    Apart from these are a few for what must not wait for a view: whether the process is alive, and
    stages, which count a request or answer it.
    """

    def __init__(self, app: "WSGIApplication", *, count: int, stuck_after: float) -> None:
        """`stuck_after` is for how many seconds all may stand still while requests wait."""
        self._app = app
        self._threads = Threads(count=count)
        self._liveness = Threads(count=1, name="pegboard-liveness")
        self._stages = Threads(count=_FOR_STAGES, name="pegboard-stages")
        self._stillness = Stillness()
        self._stuck_after = stuck_after
        self.is_stuck = False
        """Whether requests have waited for so long while no thread went on."""

    @property
    def are_busy(self) -> bool:
        """Whether a request that comes now has to wait for a thread."""
        return self._threads.are_busy

    def is_still(self) -> bool:
        """Return whether requests wait for threads of which none went on since the last call."""
        is_still = self._threads.is_still()
        self.is_stuck = self._stillness.note(is_still) >= self._stuck_after and is_still
        return is_still

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function on a thread, as it may wait; returns its result."""
        return await self._threads.call(function)

    async def run_stages(self, function: Callable[[], T]) -> T:
        """Call a function that runs stages, without waiting for a view; returns its result."""
        return await (self._stages if self.are_busy else self._threads).call(function)

    async def serve(
        self, environ: "WSGIEnvironment", receive: Receive, outlet: Outlet, *, is_probe: bool
    ) -> None:
        """Answer a request; `is_probe` says whether it asks for nothing but a sign of life."""
        threads = self._liveness if is_probe else self._threads
        work = Work(self._app, environ, outlet, receive, threads.note_step)
        threads.submit(work.run)
        whole = await work.done
        if whole is not None:
            await outlet.give(*whole)

    def close(self) -> None:
        """Take no further request; those under way are finished."""
        for threads in (self._threads, self._liveness, self._stages):
            threads.close()

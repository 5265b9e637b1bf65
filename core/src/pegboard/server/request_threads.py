"""The threads that answer the requests of a WSGI app, and how many requests may wait for one."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pegboard.api import LIVENESS_PATH
from pegboard.deadline import Deadline
from pegboard.http import RETRY_AFTER_SECONDS, APIError
from pegboard.server.client import Client, ClientGoneError
from pegboard.server.pulse import Stillness
from pegboard.server.response import Outlet
from pegboard.server.wsgi_threads import Threads
from pegboard.server.wsgi_work import Work

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

T = TypeVar("T")

_FOR_STAGES = 4
_LONGEST = 86_400.0
_SOON = 0.01
_PAUSE = 0.1


class RequestThreads:
    """Answers requests on threads.

    Apart from these are a few for what must not wait for a view: whether the process is alive, and
    stages, which count a request or answer it.
    """

    def __init__(
        self, app: "WSGIApplication", *, count: int, queue: int, stuck_after: float
    ) -> None:
        """`queue` bounds the requests that wait for one of `count` threads.

        `stuck_after` is for how many seconds all may stand still while requests wait.
        """
        self._app = app
        self._queue = queue
        self._threads = Threads(count=count)
        self._liveness = Threads(count=1, name="pegboard-liveness")
        self._stages = Threads(count=_FOR_STAGES, name="pegboard-stages")
        self._counts: Counter[str] = Counter(refused=0, dropped=0, late=0)
        self._stillness = Stillness()
        self._stuck_after = stuck_after
        self.is_stuck = False
        """Whether requests have waited for so long while no thread went on."""

    @property
    def are_busy(self) -> bool:
        """Whether a request that comes now has to wait for a thread."""
        return self._threads.are_busy

    def stats(self) -> Mapping[str, int]:
        """Return how many requests threads answer, how many wait, and what became of others.

        Those `refused` came when too many waited; the clients of those `dropped` were gone before
        it was their turn, and the time of the `late` was over before or while they were served.
        """
        return {"running": self._threads.running, "waiting": self._threads.waiting, **self._counts}

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
        self, environ: "WSGIEnvironment", outlet: Outlet, client: Client, deadline: Deadline
    ) -> None:
        """Answer a request.

        Raises `APIError` if too many wait already, no thread goes on, or its time is over before it
        is answered, and `ClientGoneError` if its client has gone before a thread was free.
        """
        threads = self._threads
        if environ["PATH_INFO"] == LIVENESS_PATH:
            # While all threads are busy the process is still alive, and must be able to say so.
            threads = self._liveness
            if self.is_stuck:
                status = HTTPStatus.SERVICE_UNAVAILABLE
                raise APIError(status, "No thread of this process goes on.")
        if threads.are_busy and threads.waiting >= self._queue:
            self.count("refused")
            raise too_many()
        work = Work(self._app, environ, outlet, client)
        expiry = asyncio.get_running_loop().call_later(
            min(deadline.left, _LONGEST), self._expire, work, deadline
        )
        try:
            whole = await work.answer_on(threads)
        except ClientGoneError:
            self.count("dropped")
            raise
        finally:
            expiry.cancel()
        if whole is not None:
            await outlet.give(*whole)

    def _expire(self, work: Work, deadline: Deadline) -> None:
        """Answer a request whose time is over; a thread that has begun it goes on."""
        if deadline.left > _SOON or work.has_begun:
            return
        self.count("late")
        self._interrupt(deadline)
        work.give_up(late(deadline) if work.withdraw() else _not_in_time(deadline))

    def _interrupt(self, deadline: Deadline) -> None:
        """End what is under way in the database, and what the view begins after that."""
        for interrupt in [*deadline.interrupts]:
            interrupt()
        if deadline.interrupts:
            asyncio.get_running_loop().call_later(_PAUSE, self._interrupt, deadline)

    def count(self, fate: str) -> None:
        """Note that a request was refused, dropped or late, for `stats`."""
        self._counts[fate] += 1

    def close(self) -> None:
        """Take no further request; those under way are finished."""
        for threads in (self._threads, self._liveness, self._stages):
            threads.close()

    def join(self) -> None:
        """Close, and wait until the threads have ended."""
        for threads in (self._threads, self._liveness, self._stages):
            threads.join()


def too_many() -> APIError:
    """Return the answer to a request when too many wait already."""
    return APIError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many requests are waiting at the moment. Try again.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def late(deadline: Deadline) -> APIError:
    """Return the answer to a request that was not begun in its time."""
    return APIError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"It was not the request's turn within its time of {deadline.seconds:g} s. Try again.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _not_in_time(deadline: Deadline) -> APIError:
    return APIError(
        HTTPStatus.GATEWAY_TIMEOUT,
        f"The request was not answered within its time of {deadline.seconds:g} s.",
    )

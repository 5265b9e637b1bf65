"""The threads that answer the requests of a WSGI app, and how many requests may wait for one."""

from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pegboard.api import LIVENESS_PATH, READINESS_PATH
from pegboard.http import APIError
from pegboard.server.requests.admission import Admission
from pegboard.server.requests.answering import Work
from pegboard.server.requests.response import Outlet
from pegboard.server.requests.threads import Threads
from pegboard.server.requests.turn import Turn
from pegboard.server.stillness import Stillness

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

T = TypeVar("T")

_FOR_STAGES = 4
_FOR_READINESS = 2
"""One runs the checks, and the other tells meanwhile of the last results."""


class RequestThreads:
    """Answers requests on threads.

    Apart from these are a few for what must not wait for a view: whether the process is alive, and
    ready, and stages, which count a request or answer it.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        count: int,
        queue: int,
        worker_timeout: float,
        request_timeout: float,
    ) -> None:
        """`queue` bounds the requests that wait for one of `count` threads, or of those apart.

        All may stand still while requests need them for the longer one of the times.
        """
        self._app = app
        self._queue = queue
        self._threads = Threads(count=count)
        self._stages = Threads(count=_FOR_STAGES, name="pegboard-stages")
        self._probes = {
            LIVENESS_PATH: Threads(count=1, name="pegboard-liveness"),
            READINESS_PATH: Threads(count=_FOR_READINESS, name="pegboard-readiness"),
        }
        self._all = (self._threads, self._stages, *self._probes.values())
        self.counts: Counter[str] = Counter(refused=0, dropped=0, late=0)
        """What became of requests that were given up."""
        self.waiting_on_loop = 0
        """How many requests wait for their turn on the event loop."""
        self._stillness = Stillness()
        self._worker_timeout = worker_timeout
        self._patience = max(0.0, request_timeout - worker_timeout)
        self.is_stuck = False
        """Whether requests have needed threads for so long of which none went on."""

    @property
    def are_busy(self) -> bool:
        """Whether a request that comes now has to wait for a thread."""
        return self._threads.are_busy

    def is_probe(self, path: str) -> bool:
        """Return whether requests of a path have threads of their own."""
        return path in self._probes

    def stats(self) -> Mapping[str, int]:
        """Return how many requests threads answer, how many wait, and what became of others.

        Those `refused` came when too many waited; the clients of those `dropped` were gone before
        it was their turn, and the time of the `late` was over before or while they were served.
        """
        running = self._threads.running + self._stages.running
        waiting = self._threads.waiting + self._stages.waiting + self.waiting_on_loop
        return {"running": running, "waiting": waiting, **self.counts}

    def notice_stillness(self) -> bool:
        """Return whether threads are needed of which none has gone on since the last call.

        And not for longer than a request may take: before, they may answer in time.
        """
        each = [threads.notice_stillness() for threads in self._all]
        is_still = any(each)
        seconds = self._stillness.follow(is_still)
        self.is_stuck = is_still and seconds >= self._patience + self._worker_timeout
        return is_still and seconds >= self._patience

    async def call(self, function: Callable[[], T], admission: Admission) -> T:
        """Call a function that a request needs which is under way; returns its result.

        Raises as `Turn.take` does, but not for what a thread has begun.
        """
        self._threads.demand()
        turn: Turn[T] = Turn(self._threads, admission, is_begun_given_up=False)
        return await turn.call(function)

    async def call_beside_views(self, function: Callable[[], T], admission: Admission) -> T:
        """Call a function without waiting for a view; returns its result.

        Raises `APIError` if too many wait already, and as `Turn.take` does.
        """
        threads = self._stages if self.are_busy else self._threads
        self._check(threads, admission)
        turn: Turn[T] = Turn(threads, admission)
        return await turn.call(function)

    async def serve(self, environ: "WSGIEnvironment", outlet: Outlet, admission: Admission) -> None:
        """Answer a request.

        Raises `APIError` if too many wait already, no thread goes on, or its time is over before it
        is answered, and `ClientGoneError` if its client has gone before.
        """
        threads = self._probes.get(environ["PATH_INFO"], self._threads)
        if self.is_stuck and threads is not self._threads:
            # While all threads are busy the process is still alive, and must be able to say so.
            status = HTTPStatus.SERVICE_UNAVAILABLE
            raise APIError(status, "No thread of this process goes on.")
        self._check(threads, admission)
        whole = await Work(self._app, environ, outlet, admission, threads).answer()
        if whole is None:
            return
        admission.client.check()
        await outlet.give(*whole)

    def _check(self, threads: Threads, admission: Admission) -> None:
        """Refuse a request if too many wait already."""
        if not threads.are_busy:
            return
        threads.demand()
        if threads.waiting >= self._queue:
            raise admission.refused()

    def demand(self) -> None:
        """Ask for a thread to go on, as a request waits for one that may need it."""
        self._threads.demand()

    def close(self) -> None:
        """Take no further request; those under way are finished."""
        for threads in self._all:
            threads.close()

    def join(self) -> None:
        """Close, and wait until the threads have ended."""
        for threads in self._all:
            threads.join()

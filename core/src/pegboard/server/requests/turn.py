"""What a thread does for one request, which waits for it on the event loop."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from pegboard.server.requests.admission import Admission
from pegboard.server.requests.threads import Job, Threads

T = TypeVar("T")


class Turn(Generic[T]):
    """The turn of a request on a thread, taken once.

    Before a thread has begun, the request is given up as soon as its client has gone or its time is
    over.
    """

    def __init__(
        self, threads: Threads, admission: Admission, *, is_begun_given_up: bool = True
    ) -> None:
        """`is_begun_given_up` is whether the time also ends the wait for what has been begun.

        The thread goes on with it all the same.
        """
        self._threads = threads
        self._admission = admission
        self._is_begun_given_up = is_begun_given_up
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[T] = self._loop.create_future()
        self._job: Job | None = None

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function on the thread; returns its result. Raises as `take` does."""
        return await self.take(partial(self._call, function))

    async def take(self, function: Callable[[], object]) -> T:
        """Call a function on the thread; returns what `finish` is given.

        Raises what `fail` is given, `APIError` if the time is over, and `ClientGoneError`.
        """
        threads, client = self._threads, self._admission.client
        if self._admission.deadline.seconds <= 0:
            raise self._admission.late()
        is_waiting = threads.are_busy
        job = self._job = Job(function)
        threads.submit(job)
        if is_waiting:
            client.when_gone(self._drop)
        else:
            client.watch_soon()
        expiry = None
        if is_waiting or self._is_begun_given_up:
            expiry = self._loop.call_later(self._admission.seconds_left, self._expire)
        try:
            return await self._done
        except asyncio.CancelledError:
            threads.withdraw(job)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any longer for what the thread does."""
        return self._done.done()

    def finish(self, result: T) -> None:
        """Have `take` return, unless the request was given up; called on the event loop."""
        if not self._done.done():
            self._done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Have `take` raise an error, unless the request was given up; called on the event loop."""
        if not self._done.done():
            self._done.set_exception(error)

    def _call(self, function: Callable[[], T]) -> None:
        """Do it on the thread."""
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            self._loop.call_soon_threadsafe(self.fail, error)
        else:
            self._loop.call_soon_threadsafe(self.finish, result)

    def _drop(self) -> None:
        """Give up a request that no thread has begun, as its client has gone."""
        if self._withdraw():
            self.fail(self._admission.dropped())

    def _expire(self) -> None:
        """Give up a request whose time is over."""
        admission = self._admission
        if self._done.done() or not admission.deadline.is_over:
            return
        if self._withdraw():
            self.fail(admission.late())
        elif self._is_begun_given_up:
            admission.interrupt()
            self.fail(admission.not_in_time())

    def _withdraw(self) -> bool:
        """Return whether no thread has begun it; none will."""
        return self._job is not None and self._threads.withdraw(self._job)

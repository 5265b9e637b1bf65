"""Whether the client of a request is still there."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from pegboard.server.requests.body import Receive, has_arrived

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_DISCONNECT = "http.disconnect"
_UNTIL_WATCHED = 0.05


class ClientGoneError(Exception):
    """Raised when the client of a request has gone; its text says before what."""


class Client:
    """The client of one request."""

    __slots__ = ("_environ", "_receive", "_timer", "_watch", "is_body_due")

    def __init__(
        self, environ: "WSGIEnvironment", receive: Receive, *, is_body_due: bool = False
    ) -> None:
        self._environ = environ
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_body_due = is_body_due
        """Whether the request has a body of which nothing was received yet."""

    @property
    def has_gone(self) -> bool:
        """Whether it is known to have gone."""
        return self._watch is not None and self._watch.done() and not self._watch.cancelled()

    def check(self) -> None:
        """Raise `ClientGoneError` if it is known to have gone before it was answered."""
        if self.has_gone:
            message = "before it was answered"
            raise ClientGoneError(message)

    def watch(self) -> "asyncio.Task[None] | None":
        """Return a task that ends when the client has gone.

        None while the request's body is arriving: the watch would take it from the view.
        """
        if (
            self._watch is None
            and not self.is_body_due
            and has_arrived(self._environ["wsgi.input"])
        ):
            # One for all that want to know, as Granian tells it once.
            self._watch = asyncio.get_running_loop().create_task(self._until_gone())
        return self._watch

    def watch_soon(self) -> None:
        """Watch the client unless the request is answered at once, as most are."""
        if self._watch is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_UNTIL_WATCHED, self._watch_now)

    def _watch_now(self) -> None:
        self._timer = None
        self.watch()

    def when_gone(self, function: Callable[[], object]) -> None:
        """Watch the client, and call a function when it has gone."""

        def tell(watch: "asyncio.Task[None]") -> None:
            if not watch.cancelled():
                function()

        if (watch := self.watch()) is not None:
            watch.add_done_callback(tell)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != _DISCONNECT:
            pass

    def forget(self) -> None:
        """Watch no longer, as the request is answered."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

"""Whether the client of a request is still there."""

import asyncio
from typing import TYPE_CHECKING

from pegboard.server.request_body import Receive, has_arrived

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_DISCONNECT = "http.disconnect"


class ClientGoneError(Exception):
    """Raised for a request that is not begun, as its client has gone."""


class Client:
    """The client of one request."""

    __slots__ = ("_environ", "_receive", "_watch")

    def __init__(self, environ: "WSGIEnvironment", receive: Receive) -> None:
        self._environ = environ
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None

    def watch(self) -> "asyncio.Task[None] | None":
        """Return a task that ends when the client has gone.

        None while the request's body is arriving: the watch would take it from the view.
        """
        if self._watch is None and has_arrived(self._environ["wsgi.input"]):
            # One for all that want to know, as Granian tells it once.
            self._watch = asyncio.get_running_loop().create_task(self._until_gone())
        return self._watch

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != _DISCONNECT:
            pass

    def forget(self) -> None:
        """Watch no longer, as the request is answered."""
        if self._watch is not None:
            self._watch.cancel()

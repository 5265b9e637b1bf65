"""One request that a WSGI app (PEP 3333) answers on a thread, and the sending of its answer."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from pegboard.server.request_body import Receive, is_over
from pegboard.server.response import Outlet

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

_DISCONNECT = "http.disconnect"


class Whole(NamedTuple):
    """An answer whose body is one part, sent with one message."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Work:
    """One request: its methods run on a thread, its coroutines on the event loop."""

    def __init__(
        self,
        app: "WSGIApplication",
        environ: "WSGIEnvironment",
        outlet: Outlet,
        receive: Receive,
        note_step: Callable[[], None],
    ) -> None:
        self._app = app
        self._note_step = note_step
        self._environ = environ
        self._body = environ["wsgi.input"]
        self._outlet = outlet
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Whole | None] = self._loop.create_future()
        """The answer; None when it was sent in parts."""
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._written: list[bytes] = []
        self._is_begun = False
        self._watch: asyncio.Task[None] | None = None
        self._is_gone = False

    def run(self) -> None:
        """Answer the request; call it on a thread."""
        try:
            chunks = self._app(self._environ, self._start)
            try:
                self._send(chunks)
            finally:
                if (close := getattr(chunks, "close", None)) is not None:
                    close()
        except Exception as error:  # noqa: BLE001 - the event loop raises it
            self._loop.call_soon_threadsafe(self._fail, error)
        except BaseException as error:  # noqa: BLE001 - a view that exits does not end the process
            ended = RuntimeError(f"a view ended with {error!r}")
            ended.__cause__ = error
            self._loop.call_soon_threadsafe(self._fail, ended)

    def _fail(self, error: Exception) -> None:
        if self.done.done():
            logger.error("an answer was given, and could not be closed", exc_info=error)
        else:
            self.done.set_exception(error)
        if self._watch is not None:
            self._watch.cancel()

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None and self._is_begun:
            raise exc_info[1] or RuntimeError(status)
        self._status, self._headers = int(status[:3]), headers
        return self._written.append

    def _send(self, chunks: Iterable[bytes]) -> None:
        parts = iter(chunks)
        first = next(parts, None)
        body = self._with_written(first or b"")
        if not self._status:
            message = "the app answers without a status"
            raise RuntimeError(message)
        if first is None or self._is_whole(body):
            whole = Whole(self._status, self._headers, body)
            self._loop.call_soon_threadsafe(self.done.set_result, whole)
            return
        self._is_begun = True
        self._await(self._begin())
        for part in chain((body,), map(self._with_written, parts)):
            if self._is_gone:
                break
            if part:
                self._await(self._outlet.go_on(part))
        self._await(self._end())

    def _with_written(self, part: bytes) -> bytes:
        """Return a part, preceded by what the app has passed to `write` (PEP 3333)."""
        if not self._written:
            return part
        written = b"".join(self._written)
        self._written.clear()
        return written + part

    def _is_whole(self, body: bytes) -> bool:
        return any(
            name.lower() == "content-length" and value == str(len(body))
            for name, value in self._headers
        )

    async def _begin(self) -> None:
        await self._outlet.begin(self._status, self._headers)
        if is_over(self._body):  # otherwise the watch would take the body from the view
            self._watch = self._loop.create_task(self._watch_client())

    async def _watch_client(self) -> None:
        """Note when the client disconnects, so that no more parts are made."""
        while (await self._receive())["type"] != _DISCONNECT:
            pass
        self._is_gone = True

    async def _end(self) -> None:
        await self._outlet.end()
        if self._watch is not None:
            self._watch.cancel()
        self.done.set_result(None)

    def _await(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        self._note_step()

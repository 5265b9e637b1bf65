"""How a worker stops without losing a request that ends in time.

Told to stop, Granian closes every kept-alive connection at once, also one whose client is about to
use it; under load each client loses a request. So a worker drains first: new connections are held
off, and every answer says `Connection: close`, until no connection is left or the time is up. This
module, `hold_off` and `count_connections` can go when Granian itself answers with
`Connection: close` for a while before it closes connections.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Protocol

from pegboard.server.limits import DRAINING_TIME
from pegboard.server.listening import Address, UnixAddress, count_connections, hold_off

try:
    from uvloop import Loop
except ImportError:  # not made for every system
    from asyncio import SelectorEventLoop as Loop  # type: ignore[assignment]

_TICK = 0.02


class Stopping(Protocol):
    """What a worker serves with, and how it is told that it is about to stop."""

    is_draining: bool
    """Whether each answer says `Connection: close`."""

    def announce_stop(self) -> None:
        """Have `/health/ready` say that the process is about to stop."""


class DrainingLoop(Loop):
    """An event loop that awaits `drain` at a signal, and then calls the handler of the signal."""

    drain: Callable[[], Coroutine[None, None, None]] | None = None

    # Not `_stopping`: loops of asyncio have one of their own.
    _ending: asyncio.Task[None] | None = None

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> None:
        """Call `callback` once, after `drain`; a second signal meanwhile changes nothing."""
        super().add_signal_handler(sig, self._begin, callback, args)

    def _begin(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        if self._ending is None:
            self._ending = self.create_task(self._end(callback, args))

    async def _end(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        try:
            if self.drain is not None:
                await self.drain()
        finally:
            callback(*args)


async def drain(
    worker: Stopping,
    address: Address | UnixAddress,
    delay: float = 0.0,
    *,
    is_replaced: bool = False,
) -> None:
    """Take no new connections, and end the open ones as their clients use them.

    For `delay` seconds before, all are served, and probes of readiness are told. Returns when no
    connection is open, or after `DRAINING_TIME`.
    """
    if delay:
        worker.announce_stop()
        await asyncio.sleep(delay)
    if is_replaced or isinstance(address, Address):
        hold_off(address)  # else the main process has removed the file: nobody new can connect
    worker.is_draining = True
    deadline = time.monotonic() + DRAINING_TIME
    while time.monotonic() < deadline and count_connections(address):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(_TICK)

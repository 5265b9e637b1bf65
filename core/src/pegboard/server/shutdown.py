"""How a worker stops without losing a request, and other things that Granian leaves to its user.

Draining: told to stop, Granian closes every kept-alive connection at once, also one whose client is
about to use it; under load each client loses a request. So a worker drains first: new connections
are held off, and every answer says `Connection: close`, until no connection is left or the time is
up. `DrainingLoop`, `drain`, `hold_off` and `count_connections` can go when Granian itself answers
with `Connection: close` for a while before it closes connections.

Workers that do not serve yet: a fork inherits its parent's signal handlers, which do nothing in a
worker until Granian has set its own; so a service stopped during its start would go on.
`die_at_stop` can go when Granian's workers start with default handlers.

Orphans: a worker whose parent was killed goes on serving, and keeps the port. `stop_with_parent`
can go when Granian's workers notice that by themselves.

Lost clients: Granian asks for no TCP keep-alive. `notice_lost_clients` can go when it does.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path

from pegboard.server.address import DRAINING_TIME, Address
from pegboard.server.response import Stopping
from pegboard.server.unix_socket import UnixAddress, stop_accepting

try:
    from uvloop import Loop
except ImportError:  # not made for every system
    from asyncio import SelectorEventLoop as Loop  # type: ignore[assignment]

_TICK = 0.02
_SO_ATTACH_FILTER = 26
# A classic BPF program on the TCP header: a segment whose flags are SYN without ACK is dropped,
# every other one is let through. See Documentation/networking/filter.rst of Linux.
_DROP_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # accept
)

_STOPS = (signal.SIGINT, signal.SIGTERM)


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


def die_at_stop() -> None:
    """Restore the default handlers of the signals that stop a process."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_DFL)


def stop_with_parent(timeout: float = DRAINING_TIME) -> None:
    """Send this process SIGTERM when its parent is gone, from a thread that waits for that.

    After `timeout` seconds it is killed, as its parent would have done: a view that never returns
    would keep it for good.
    """

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(timeout)
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="pegboard-parent", daemon=True).start()


def hold_off(address: Address | UnixAddress) -> None:
    """Drop what asks to connect to this process's listening sockets of an address.

    Clients are not refused: their kernel tries again after a second, or another worker serves them,
    with which this one shares a Unix socket. To close the sockets instead would reset the
    connections that wait to be accepted.
    """
    if sys.platform != "linux":
        return
    if isinstance(address, UnixAddress):
        stop_accepting([number for number, one in endpoints(address) if _is_listening(one)])
        return
    steps = b"".join(struct.pack("HBBI", *step) for step in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(steps)
    program = struct.pack("HP", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    for listener in _listeners(address):
        with suppress(OSError):  # a sandbox may forbid it; then some clients see a reset
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def notice_lost_clients(address: Address | UnixAddress) -> None:
    """Wait until this process listens on a port, then turn on TCP keep-alive.

    Accepted connections take these options over from the listening socket. Without them the
    connection of a client that lost its network in the middle of a request stays for good.
    """
    if sys.platform != "linux" or isinstance(address, UnixAddress):
        return
    is_listening = False
    while not is_listening:
        time.sleep(_TICK)
        for listener in _listeners(address):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            is_listening = True


def count_connections(address: Address | UnixAddress) -> int:
    """Return how many connections this process has open; elsewhere than on Linux 1."""
    if sys.platform != "linux":
        return 1
    return sum(_is_connected(endpoint) for _, endpoint in endpoints(address))


def endpoints(address: Address | UnixAddress) -> Iterator[tuple[int, socket.socket]]:
    """Yield this process's sockets of an address, which Granian keeps to itself.

    Each is a copy, with the file descriptor of the original.
    """
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - only the names are wanted
        with suppress(OSError):  # closed meanwhile
            if not stat.S_ISSOCK(Path("/proc/self/fd", name).stat().st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as endpoint:
                if address.owns(endpoint):
                    yield int(name), endpoint


def _listeners(address: Address | UnixAddress) -> Iterator[socket.socket]:
    return (endpoint for _, endpoint in endpoints(address) if _is_listening(endpoint))


def _is_listening(endpoint: socket.socket) -> bool:
    return bool(endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_connected(endpoint: socket.socket) -> bool:
    try:
        endpoint.getpeername()
    except OSError:
        return False
    return True

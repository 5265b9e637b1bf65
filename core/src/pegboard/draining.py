"""How a worker of Granian minds its connections, and stops without losing a request.

Told to stop, Granian closes every kept-alive connection at once, also one whose client is about to
use it: under load each client loses a request. So a worker drains first. New connections are held
off, and every answer says `Connection: close`, until no connection is left or the time is up.
"""

import ctypes
import os
import signal
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DRAINING_TIME = 1.0
"""Seconds that clients get to learn that a connection ends."""

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

Handler = Callable[[int, FrameType | None], object]


class Draining:
    """WSGI middleware around an app in a worker that listens on a port."""

    def __init__(self, app: "WSGIApplication", port: int) -> None:
        self._app = app
        self._port = port
        self._is_draining = False
        self._stop: Handler | None = None

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        if not self._is_draining:
            return self._app(environ, start_response)

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            return start_response(status, [*headers, ("Connection", "close")], exc_info)

        return self._app(environ, start)

    def precede_stop(self) -> None:
        """Drain before the worker's own handler of SIGINT and SIGTERM is called.

        To be called in the main thread before that handler is set; it is waited for.
        """
        die_at_stop()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        # Two signals at once, as from the terminal and from the parent, can both end up in a
        # thread of Granian's, and Python's handlers would wait until the main thread wakes. The
        # wake-up descriptor is written at once, whichever thread it is.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(
            target=self._await_stop, args=(reader,), name="pegboard-draining", daemon=True
        ).start()

        def take_over(_number: int, _frame: FrameType | None) -> None:
            handler = signal.getsignal(signal.SIGTERM)
            if not callable(handler):
                return
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._stop = handler
            for number in _STOPS:
                signal.signal(number, lambda number, _frame: os.write(writer, bytes([number])))

        signal.signal(signal.SIGALRM, take_over)
        signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)

    def _await_stop(self, reader: int) -> None:
        notice_lost_clients(self._port)
        while True:
            number = os.read(reader, 1)[0]
            if number in _STOPS and self._stop is not None:
                self._drain()
                self._stop(number, None)
                return

    def _drain(self) -> None:
        hold_off(self._port)
        self._is_draining = True
        deadline = time.monotonic() + DRAINING_TIME
        while time.monotonic() < deadline and count_connections(self._port):
            time.sleep(_TICK)


def die_at_stop() -> None:
    """Let a worker that does not serve yet be stopped: the fork gave it its parent's handlers."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_DFL)


def hold_off(port: int) -> None:
    """Let nobody connect to this process's listening sockets any more.

    Clients that try are not refused but try again after a second. To close the sockets would reset
    the connections that wait to be accepted.
    """
    if sys.platform != "linux":
        return
    steps = b"".join(struct.pack("HBBI", *step) for step in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(steps)
    program = struct.pack("HP", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    for listener in _listeners(port):
        with suppress(OSError):  # a sandbox may forbid it; then some clients see a reset
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def notice_lost_clients(port: int) -> None:
    """Once this process listens, have the kernel ask silent clients whether they are still there.

    Accepted connections take these options over from the listening socket. Without them the
    connection of a client that lost its network in the middle of a request stays for good.
    """
    if sys.platform != "linux":
        return
    is_listening = False
    while not is_listening:
        time.sleep(_TICK)
        for listener in _listeners(port):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            is_listening = True


def count_connections(port: int) -> int:
    """Return how many connections to a port this process has open; it never says too few."""
    if sys.platform != "linux":
        return 1
    return sum(_is_connected(endpoint) for endpoint in _endpoints(port))


def _endpoints(port: int) -> Iterator[socket.socket]:
    """Yield this process's TCP sockets on a port, which Granian keeps to itself."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - only the names are wanted
        with suppress(OSError):  # closed meanwhile
            if not stat.S_ISSOCK(Path("/proc/self/fd", name).stat().st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as endpoint:
                if endpoint.family in {socket.AF_INET, socket.AF_INET6} and (
                    endpoint.getsockname()[1] == port
                ):
                    yield endpoint


def _listeners(port: int) -> Iterator[socket.socket]:
    for endpoint in _endpoints(port):
        if endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            yield endpoint


def _is_connected(endpoint: socket.socket) -> bool:
    try:
        endpoint.getpeername()
    except OSError:
        return False
    return True

"""The production server: how Granian is configured and run.

What Granian does not do by itself, and why that is needed, is in `supervision`, `workers` and
`listening`.
"""

import asyncio
import gc
import logging
import math
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from granian import loops
from granian.constants import HTTPModes, Interfaces, TaskImpl
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels

from pegboard.http import MAX_HEADERS
from pegboard.server.limits import Limits, most_connections
from pegboard.server.listening import (
    CAN_SEE_CONNECTIONS,
    Address,
    ServedTLS,
    Transport,
    UnixAddress,
)
from pegboard.server.loader import Loader
from pegboard.server.requests import SlowClientError
from pegboard.server.supervision import Served, SupervisedServer
from pegboard.server.workers import (
    COMPANION_TIMEOUT,
    STACKS,
    TOGGLE,
    Companion,
    DrainingLoop,
    Leash,
    Roster,
    ServiceManager,
    Watch,
    die_at_stop,
)

if TYPE_CHECKING:
    from flask import Flask

_MAX_HEADERS = 2 * MAX_HEADERS
"""Bytes of a request's line and headers beyond which Granian answers 431, which nobody is told of.

Fewer are read, and refused in the platform's own form where they are too large. In HTTP/1.1 it
refuses as soon as it has to read beyond: it takes up to twice as much that has arrived at once. In
HTTP/2 each header counts as 32 bytes more than it has.
"""

_LOOP = "pegboard"
_OPEN_FILES = 65_536
_LISTENING_POLL = 0.01
_TICK = 0.5
# Granian logs like the rest of the process; the level comes from elsewhere.
_LOGGING = {
    "incremental": True,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}},
}


_TOLD_ELSEWHERE = (SlowClientError.__name__, "Unexpected exit from worker-")
"""In what Granian logs of answers that the gateway, and of workers that the supervisor tells of."""


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether Granian logs what nobody else has told."""
    return not any(text in record.getMessage() for text in _TOLD_ELSEWHERE)


def run(
    load: Callable[[], "Flask"],
    address: Address | UnixAddress,
    transport: Transport,
    limits: Limits,
    announce: Callable[[], None],
    manage: Callable[[Roster, Leash], None] | None = None,
) -> None:
    """Do as `pegboard.server.run`, which has imported this."""
    _raise_file_limit()
    for name in ("_granian", "_granian.utils"):
        logging.getLogger(name).addFilter(_is_news)
    os.register_at_fork(after_in_child=_restore_handlers)
    # Workers share the memory of what is not written to; to look at an object for garbage writes.
    gc.collect()
    gc.freeze()
    served, roster = Served(), Roster(limits.workers)
    service_manager = ServiceManager()
    companion = Companion(
        "the process of the management port",
        partial(manage, roster) if manage else None,
        COMPANION_TIMEOUT,
    )
    server = SupervisedServer(
        "pegboard:create_app",
        served=served,
        watch=Watch(limits, roster),
        roster=roster,
        companion=companion,
        service_manager=service_manager,
        drain_delay=limits.drain_delay,
        **_options(address, limits, is_http2=transport.http2),
    )
    tls = None if transport.tls is None else ServedTLS(transport.tls)
    if tls is not None:
        context: Any = tls.for_granian()  # Granian declares that nothing is in it
        server.ssl_ctx = context

    @server.on_startup
    def started() -> None:
        logging.getLogger("_granian").setLevel(logging.WARNING)
        _when_serving(address, served, announce, service_manager)

    loader = Loader(load, address, tls, limits, served, roster, transport.http2)
    try:
        with address.reserved(limits.backlog) as listener:
            server.listener = listener
            server.serve(target_loader=loader, wrap_loader=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        roster.close()


def _options(address: Address | UnixAddress, limits: Limits, *, is_http2: bool) -> dict[str, Any]:
    """Return the options of Granian's server."""
    return {
        **({"address": address.ip, "port": address.port} if isinstance(address, Address) else {}),
        "interface": Interfaces.ASGINL,
        "loop": _LOOP,
        # Tasks of asyncio: Granian's own do not go on after an exception that they have caught.
        "task_impl": TaskImpl.asyncio,
        "http": HTTPModes.auto if is_http2 else HTTPModes.http1,
        "websockets": False,
        "workers": limits.workers,
        "backlog": limits.backlog,
        # This bounds the connections of a worker, idle ones included, and not the requests.
        "backpressure": min(limits.backlog, most_connections() or limits.backlog),
        "http1_settings": HTTP1Settings(
            # Of idle connections, too; `ConnectionWatch` closes those of slow senders.
            header_read_timeout=math.ceil(_header_read_timeout(limits) * 1000),
            max_buffer_size=_MAX_HEADERS,
        ),
        "http2_settings": HTTP2Settings(max_headers_size=_MAX_HEADERS),
        "workers_kill_timeout": limits.kill_timeout,
        "log_level": LogLevels.error,
        "log_dictconfig": _LOGGING,
    }


@loops.register(_LOOP)
def _new_loop() -> asyncio.AbstractEventLoop:
    loop = DrainingLoop()
    asyncio.set_event_loop(loop)
    return loop


def _header_read_timeout(limits: Limits) -> float:
    if not CAN_SEE_CONNECTIONS:
        return limits.header_timeout
    return max(limits.header_timeout, limits.keep_alive_timeout)


def _when_serving(
    address: Address | UnixAddress,
    served: Served,
    announce: Callable[[], None],
    service_manager: ServiceManager,
) -> None:
    """Call `announce` as soon as a client is served, from a signal handler, and tell systemd.

    A timer makes the signals; a thread could not do it, as Granian forks from this process. The
    timer then goes on: when the kernel hands SIGTERM to another thread, the main thread sleeps on,
    and handles it only when the next signal wakes it.
    """

    def tick(_number: int, _frame: object) -> None: ...

    def look(_number: int, _frame: object) -> None:
        # A Unix socket listens before a worker does.
        if not (served.is_set() and address.is_listening()):
            signal.setitimer(signal.ITIMER_REAL, _LISTENING_POLL, _TICK)
        # A tick can interrupt a slow look with another one: the first to end is the one that tells.
        elif signal.signal(signal.SIGALRM, tick) is look:
            announce()
            service_manager.tell_ready()

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LISTENING_POLL, _TICK)


def _restore_handlers() -> None:
    """Do in a fork what its parent's handlers of signals would do in its place."""
    die_at_stop()
    for number in (STACKS, TOGGLE):  # until it can
        signal.signal(number, signal.SIG_IGN)


def _raise_file_limit() -> None:
    """Raise the soft limit of open files: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

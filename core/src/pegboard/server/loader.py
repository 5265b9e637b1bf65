"""The ASGI application of a worker process, and what is begun beside it in that process."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from pegboard.api import get_health
from pegboard.database import db
from pegboard.forking import after_fork
from pegboard.logs import LEVELS
from pegboard.redis import get_fleet_keys
from pegboard.server.limits import Limits
from pegboard.server.listening import (
    CAN_SEE_CONNECTIONS,
    Address,
    ConnectionLimits,
    ConnectionWatch,
    ServedTLS,
    UnixAddress,
    leave_to_parent,
    prepare_connections,
)
from pegboard.server.requests import Gateway
from pegboard.server.supervision import Served
from pegboard.server.workers import (
    TOGGLE,
    DrainingLoop,
    LevelFollower,
    Phase,
    Pulse,
    Roster,
    die_at_stop,
    drain,
    memory_of,
    stop_with_parent,
    take_place,
    tell_error,
)
from pegboard.settings import CoreSettings, get_settings

if TYPE_CHECKING:
    from flask import Flask


@dataclass(frozen=True)
class Loader:
    """Makes the ASGI application of a worker process, in that process."""

    load: Callable[[], "Flask"]
    address: Address | UnixAddress
    tls: ServedTLS | None
    limits: Limits
    served: Served
    roster: Roster
    http2: bool
    """Whether clients may speak HTTP/2."""

    def __call__(self, pulse: Pulse) -> Gateway:
        """Return the app to serve; `pulse` is that of this process."""
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        pulse.begin()
        app, gateway = self._build()
        stop_with_parent(self.limits.kill_timeout)
        level = LevelFollower(self.roster)
        take_place(pulse, self.roster, partial(_unready, app), level.follow)
        after_fork(gateway, lambda _: leave_to_parent(self.address))
        threading.Thread(
            target=prepare_connections, args=(self.address,), name="pegboard-clients", daemon=True
        ).start()
        self._start(gateway, pulse, level)
        if keys := get_fleet_keys(app):
            keys.watch()
        # What the app consists of stays: to look at it all in each full collection would stop every
        # request for tens of milliseconds.
        gc.collect()
        gc.freeze()
        pulse.vitals.fresh_memory = sum(memory_of([os.getpid()]).values())
        die_at_stop()
        self.served.set()
        return gateway

    def _build(self) -> "tuple[Flask, Gateway]":
        """Make the app and what serves it; the process ends with an error if that fails."""
        try:
            app = self.load()
            if self.tls is not None:
                self.tls.refresh(get_settings(CoreSettings, app).tls_key_password)
            return app, Gateway(app, threads=self.limits.threads)
        except Exception as error:  # noqa: BLE001 - `multiprocessing` would print any
            tell_error(error)
            sys.exit(error.exit_code if isinstance(error, click.ClickException) else 1)

    def _start(self, gateway: Gateway, pulse: Pulse, level: LevelFollower) -> None:
        """Start what goes on beside requests, in the event loop and at a signal."""
        loop = asyncio.get_event_loop()
        assert isinstance(loop, DrainingLoop)
        loop.drain = partial(self._drain, gateway, pulse)
        gateway.start(loop)

        def follow(*_: object) -> None:
            level.follow()
            pulse.vitals.level = LEVELS.index(level.level or "")

        pulse.start(loop, gateway, follow)
        self._watch_connections(gateway, loop)
        signal.signal(TOGGLE, follow)

    def _watch_connections(self, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        if isinstance(self.address, UnixAddress) or not CAN_SEE_CONNECTIONS:
            return  # the clients of a Unix socket are proxies of this machine
        limits = ConnectionLimits(
            header_timeout=self.limits.header_timeout,
            per_client=self.limits.connections_per_client,
            proxies=gateway.trusted_proxies,
            is_http2=self.http2,
        )
        asked = gateway.asked = set()
        watch = ConnectionWatch(self.address, limits, gateway.serving, gateway.arriving, asked)
        watch.start(loop)

    async def _drain(self, gateway: Gateway, pulse: Pulse) -> None:
        # Where another worker goes on there is no need to tell load balancers.
        is_replaced = pulse.vitals.phase == Phase.REPLACED
        delay = 0.0 if is_replaced else self.limits.drain_delay
        await drain(gateway, self.address, delay, is_replaced=is_replaced)
        pulse.vitals.phase = Phase.DRAINED


def _unready(app: "Flask") -> Mapping[str, str]:
    """Return why the required checks of an app fail, by their names."""
    with app.app_context():
        reasons = get_health(app).unready()
        if reasons:  # the old worker may need the connections
            for engine in db.engines.values():
                engine.dispose()
        return reasons

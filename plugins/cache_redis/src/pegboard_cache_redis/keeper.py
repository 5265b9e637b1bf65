"""What looks after the cache in the background, as long as it is used.

It keeps the knowledge of the state young, turns caching on again once Redis can be relied on, and
adds this process's counts to those of the fleet.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

import pegboard
from pegboard_cache_redis.state import Fleet, State

logger = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two looks at the state."""

COUNTED = (
    *("hits", "misses", "bypasses", "fills", "refused_fills"),
    *("fences", "unconfirmed", "invalid"),
)

IDLE = 10.0
"""Seconds without a request after which a process stops looking."""


class Keeper:
    """Looks after the cache of one app."""

    def __init__(self, channel: pegboard.Channel, fleet: Fleet, *, prefix: str) -> None:
        self.counters = pegboard.Counters(*COUNTED)
        self._channel = channel
        self._fleet = fleet
        self._prefix = prefix
        self._used_at = 0.0
        self._disposals = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._foreign: str | None = None
        self._obstacle: str | None = None
        self._sent: Mapping[str, int] = {}
        _keepers.add(self)

    def wake(self) -> None:
        """Note that the cache is used; begin to look after it if nobody does."""
        self._used_at = time.monotonic()
        self._disposals = self._fleet.disposals
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=_keep, args=(weakref.ref(self),), name="pegboard-cache", daemon=True
                    )
                    self._thread.start()

    def begin(self) -> State | None:
        """Return the state, read from the database; a cache that never was on is turned on."""
        state = self._fleet.current()
        if state is not None and state.is_never_on and self._obstacle is None:
            self._turn_on()
            state = self._fleet.trusted()
        return state

    def report_foreign(self, server: str) -> None:
        """Note that a server answered that is none of the epoch: it was restarted, or replaced."""
        if self._foreign is None:
            self._foreign = server

    def look(self) -> bool:
        """Do what there is to do; returns whether to go on.

        An app that nobody uses any more, or that has closed its connections, is left in peace.
        """
        if self._disposals != self._fleet.disposals or time.monotonic() - self._used_at > IDLE:
            return False
        state = self._fleet.refresh()
        if state is not None and not self._channel.is_away:
            if not state.enabled:
                self._turn_on()
            elif self._foreign is not None:
                self._leave(state)
        self._send_counts()
        return True

    def _turn_on(self) -> None:
        try:
            servers = self._channel.servers()
            (reply,) = self._channel.exchange([_probe(self._prefix)])
            if reply.value != b"OK":
                self._stay_off(f"Redis does not take writes: {reply.value}")
            elif "" in servers:
                self._stay_off("Redis does not tell its run id (ACL: +info)")
            else:
                self._obstacle = None
                self._foreign = None
                self._fleet.enable(servers)
        except (pegboard.ChannelError, SQLAlchemyError) as error:
            logger.debug("caching stays off: %s", error)

    def _stay_off(self, obstacle: str) -> None:
        """Say once what keeps caching off."""
        if self._obstacle != obstacle:
            self._obstacle = obstacle
            logger.warning("caching stays off: %s", obstacle)

    def _leave(self, state: State) -> None:
        """Turn caching off in an epoch whose servers are not those that answer."""
        self._foreign = None
        try:
            # The connections of a server that was replaced without a word are dropped.
            self._channel.reset()
            if self._channel.servers() <= state.servers:
                return
            self._fleet.disable()
        except (pegboard.ChannelError, SQLAlchemyError) as error:
            logger.debug("the servers cannot be compared: %s", error)

    def _send_counts(self) -> None:
        counts = self.counters.figures()
        changed = {
            name: count - self._sent.get(name, 0)
            for name, count in counts.items()
            if count != self._sent.get(name, 0)
        }
        if not changed or self._channel.is_away:
            return
        key = _figures_key(self._prefix)
        commands = [
            pegboard.command("HINCRBY", key, name, number, key=key)
            for name, number in changed.items()
        ]
        with suppress(pegboard.ChannelError):
            self._channel.exchange(commands)
            self._sent = counts

    def figures(self) -> Mapping[str, int | float | str | bool]:
        """Return the fleet's counts and the state; of this process alone while Redis is away."""
        self._send_counts()
        state = self._fleet.current()
        counts: dict[str, int] = dict(self.counters.figures())
        scope = "process"
        key = _figures_key(self._prefix)
        with suppress(pegboard.ChannelError):
            (reply,) = self._channel.exchange([pegboard.command("HMGET", key, *COUNTED, key=key)])
            if isinstance(reply.value, list):
                counts = dict(zip(COUNTED, map(_number, reply.value), strict=True))
                scope = "fleet"
        return {
            **counts,
            "counted_in": scope,
            "breaker": "open" if self._channel.is_away else "closed",
            "enabled": state.enabled if state else "unknown",
            "epoch": state.epoch if state else "unknown",
        }

    def forget(self) -> None:
        """Start afresh in a forked process."""
        self._thread = None
        self._starting = threading.Lock()


_keepers: "weakref.WeakSet[Keeper]" = weakref.WeakSet()


def _keep(keeper: "weakref.ref[Keeper]") -> None:
    while (known := keeper()) is not None:
        try:
            goes_on = known.look()
        except Exception:
            logger.exception("the keeper of the cache stumbled")
            goes_on = True
        if not goes_on:
            known._thread = None  # noqa: SLF001 - this is its thread
            return
        del known
        time.sleep(INTERVAL)


def _forget_inherited() -> None:
    for keeper in tuple(_keepers):
        keeper.forget()


os.register_at_fork(after_in_child=_forget_inherited)


def _figures_key(prefix: str) -> str:
    return f"{prefix}:figures"


def _probe(prefix: str) -> pegboard.Command:
    """Return a command that only a server which takes writes, and has room, obeys."""
    key = f"{prefix}:probe"
    return pegboard.command("SET", key, "1", "PX", 1000, key=key)


def _number(text: object) -> int:
    return int(text) if isinstance(text, bytes) and text.isdigit() else 0

"""What looks after the cache in the background, as long as it is used.

It keeps the knowledge of the state fresh, lets the `Switch` turn caching on again, or off, when it
is time, and adds this process's counts to those of the fleet.
"""

import logging
import threading
import time
import weakref

from pegboard import after_fork
from pegboard.redis import Channel
from pegboard_cache_redis.cache.activation import Switch
from pegboard_cache_redis.cache.epoch import Fleet
from pegboard_cache_redis.cache.stats import Stats

logger = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two looks at the state."""

IDLE = 10.0
"""Seconds without a request after which a process stops looking."""


class Keeper:
    """Looks after the cache of one app."""

    def __init__(self, channel: Channel, fleet: Fleet, switch: Switch, stats: Stats) -> None:
        self._channel = channel
        self._fleet = fleet
        self._switch = switch
        self._stats = stats
        self._used_at = 0.0
        self._disposals = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        after_fork(self, Keeper.forget)

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

    def look(self) -> bool:
        """Do what there is to do; returns whether to go on.

        An app that nobody uses any more, or that has closed its connections, is left in peace.
        """
        if self._disposals != self._fleet.disposals or time.monotonic() - self._used_at > IDLE:
            return False
        state = self._fleet.refresh()
        if state is not None and not self._channel.is_unavailable:
            self._switch.adjust(state)
        self._stats.send()
        return True

    def forget(self) -> None:
        """Start afresh in a forked process."""
        self._thread = None
        self._starting = threading.Lock()


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

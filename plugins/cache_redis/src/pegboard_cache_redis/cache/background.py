"""What a process does for the cache in the background, as long as the cache is used.

It reads the row of the state again, lets `Activation` turn caching on or off, and adds the counts
of this process to those of all processes.
"""

import logging
import threading
import time
import weakref

from pegboard import after_fork
from pegboard.redis import Channel
from pegboard_cache_redis.cache.activation import Activation
from pegboard_cache_redis.cache.epoch import EpochStore
from pegboard_cache_redis.cache.stats import Stats

logger = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two readings of the state."""

IDLE = 10.0
"""Seconds without a request after which a process stops."""


class BackgroundRefresh:
    """The thread that refreshes the state of the cache of one app, while it is used."""

    def __init__(
        self, channel: Channel, epochs: EpochStore, activation: Activation, stats: Stats
    ) -> None:
        self._channel = channel
        self._epochs = epochs
        self._activation = activation
        self._stats = stats
        self._used_at = 0.0
        self._disposals = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        after_fork(self, BackgroundRefresh.reset)

    def wake(self) -> None:
        """Note that the cache is used, and start the thread if it does not run."""
        self._used_at = time.monotonic()
        self._disposals = self._epochs.disposals
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=_run, args=(weakref.ref(self),), name="pegboard-cache", daemon=True
                    )
                    self._thread.start()

    def run_once(self) -> bool:
        """Do what is due; returns whether to go on.

        It does not go on when the app is idle, or has closed its database connections.
        """
        if self._disposals != self._epochs.disposals or time.monotonic() - self._used_at > IDLE:
            return False
        state = self._epochs.refresh()
        if state is not None and not self._channel.is_unavailable:
            self._activation.adjust(state)
        self._stats.send()
        return True

    def reset(self) -> None:
        """Start afresh in a forked process."""
        self._thread = None
        self._starting = threading.Lock()


def _run(reference: "weakref.ref[BackgroundRefresh]") -> None:
    """Run until the app is idle or garbage: between two runs nothing keeps it alive."""
    while (refresh := reference()) is not None:
        try:
            goes_on = refresh.run_once()
        except Exception:
            logger.exception("refreshing the state of the cache failed")
            goes_on = True
        if not goes_on:
            refresh._thread = None  # noqa: SLF001 - this is its thread
            return
        del refresh
        time.sleep(INTERVAL)

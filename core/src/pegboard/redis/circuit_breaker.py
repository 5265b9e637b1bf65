"""A circuit breaker: after one time-out, fail fast until a probe succeeds."""

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between probes, and the time within which failures belong together.

In a row of failures at most one request in so many seconds pays, after the first two.
"""


class CircuitBreaker:
    """Open while a server is unavailable; a probe in the background, one at a time, closes it again.

    `probe` raises as long as the server cannot serve. The breaker of an app that nobody uses any
    more ends its probe.
    """

    def __init__(self, name: str, probe: Callable[[], object]) -> None:
        self.is_open = False
        self._closed_at = -math.inf
        self._name = name
        # A bound method would keep its owner, and so this breaker, alive.
        self._probe = weakref.WeakMethod(probe) if hasattr(probe, "__self__") else (lambda: probe)
        self._lock = threading.Lock()
        _breakers.add(self)

    def trip(self, cause: BaseException, *, is_doubtful: bool = False) -> None:
        """Open it; if it is doubtful whether the server is unavailable, probe at once.

        A doubt soon after the last one is none: a server that answers probes and nothing else is
        unavailable.
        """
        with self._lock:
            if self.is_open:
                return
            self.is_open = True
            is_first = time.monotonic() - self._closed_at >= PAUSE
        pause = 0.0 if is_doubtful and is_first else PAUSE
        # Not the error itself: a kept log record would keep everything that its traceback refers to.
        logger.warning(
            "%s is unavailable; serving without it until it answers again: %s",
            self._name,
            str(cause),
        )
        threading.Thread(
            target=_probe_until_back,
            args=(weakref.ref(self), pause),
            name="pegboard-breaker",
            daemon=True,
        ).start()

    def attempt(self) -> bool:
        """Probe once; return whether there is nothing left to do."""
        probe = self._probe()
        if probe is None:
            return True
        try:
            probe()
        except Exception as error:  # noqa: BLE001 - however it fails, the server does not serve yet
            logger.debug("%s is still unavailable: %s", self._name, str(error))
            return False
        with self._lock:
            self._closed_at = time.monotonic()
            self.is_open = False
        logger.warning("%s answers again", self._name)
        return True

    def reset(self) -> None:
        """Forget everything; for a process just forked, which has no probe running."""
        self.is_open = False
        self._lock = threading.Lock()


_breakers: "weakref.WeakSet[CircuitBreaker]" = weakref.WeakSet()


def _probe_until_back(breaker: "weakref.ref[CircuitBreaker]", pause: float) -> None:
    while True:
        time.sleep(pause)
        if (known := breaker()) is None or known.attempt():
            return
        del known
        pause = PAUSE


def _reset_all() -> None:
    for breaker in tuple(_breakers):
        breaker.reset()


os.register_at_fork(after_in_child=_reset_all)

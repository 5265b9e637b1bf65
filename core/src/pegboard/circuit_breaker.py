"""A circuit breaker: after one time-out, fail fast until a probe succeeds."""

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable

from pegboard.forking import after_fork
from pegboard.redaction import reason_of

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between probes, and the time within which failures belong together.

While failures repeat, at most one request in this time waits for a time-out, after the first two.
"""


class CircuitBreaker:
    """Open while a server is unavailable; a probe in the background, one at a time, closes it.

    A breaker that nobody uses any more ends its probe.
    """

    def __init__(
        self, name: str, probe: Callable[[], object], *, meanwhile: str, pause: float | None = None
    ) -> None:
        """`probe` raises as long as the server cannot serve.

        The log says that the server `name` is unavailable, and what happens `meanwhile`. `pause`
        replaces `PAUSE`.
        """
        self.is_open = False
        self._closed_at = -math.inf
        self._name = name
        self._meanwhile = meanwhile
        self._pause = pause
        # A bound method would keep its owner, and so this breaker, alive.
        self._probe = weakref.WeakMethod(probe) if hasattr(probe, "__self__") else (lambda: probe)
        self._lock = threading.Lock()
        after_fork(self, CircuitBreaker.reset)

    @property
    def pause(self) -> float:
        """Seconds between probes."""
        return PAUSE if self._pause is None else self._pause

    def trip(self, cause: object, *, is_doubtful: bool = False) -> None:
        """Open it; if it is doubtful whether the server is unavailable, probe at once.

        If it has closed less than `pause` seconds ago, it does not probe at once: the server may
        answer probes and nothing else.
        """
        with self._lock:
            if self.is_open:
                return
            self.is_open = True
            is_first = time.monotonic() - self._closed_at >= self.pause
        delay = 0.0 if is_doubtful and is_first else self.pause
        # Not the error itself: a kept log record would keep all that its traceback refers to.
        logger.warning(
            "%s is unavailable; %s until it answers again: %s",
            self._name,
            self._meanwhile,
            reason_of(cause),
        )
        threading.Thread(
            target=_probe_until_closed,
            args=(weakref.ref(self), delay),
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
            logger.debug("%s is still unavailable: %s", self._name, reason_of(error))
            return False
        with self._lock:
            self._closed_at = time.monotonic()
            self.is_open = False
        logger.warning("%s answers again", self._name)
        return True

    def reset(self) -> None:
        """Close it; for a process just forked, in which no probe runs."""
        self.is_open = False
        self._lock = threading.Lock()


def _probe_until_closed(breaker: "weakref.ref[CircuitBreaker]", delay: float) -> None:
    while True:
        time.sleep(delay)
        if (known := breaker()) is None or known.attempt():
            return
        delay = known.pause
        del known

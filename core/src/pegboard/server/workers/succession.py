"""Whether a worker may take the place of another: if it is ready, or the other is not either.

Ready is a worker that passes the required checks of `/health/ready`. A new one may not, as with a
wrong password in a file that was changed, and would answer with 503 what the old one can still do.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping

from pegboard.server.workers.pulse import Phase, Pulse, Readiness
from pegboard.server.workers.roster import Roster

logger = logging.getLogger(__name__)

_LONGEST = 10.0
"""Seconds that a new worker has to become ready."""

_POLL = 0.2

Unready = Callable[[], Mapping[str, str]]
"""Returns why a worker is not ready: the reason of each check, by its name."""


def take_place(pulse: Pulse, roster: Roster, unready: Unready) -> None:
    """Return when the worker of a pulse may serve; it ends if it is not ready and the old one is.

    Another is then tried, which reads the files of secrets anew.
    """
    deadline = time.monotonic() + _LONGEST
    while (old := roster.predecessor_of(pulse)) not in {None, Readiness.UNREADY}:
        if not (reasons := unready()):
            return
        if time.monotonic() >= deadline:
            if old is Readiness.UNKNOWN:
                return  # it does not move
            logger.error(
                "the new worker is not ready, while the one that it is to replace is, and goes on "
                "serving: %s",
                "; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
            )
            sys.exit(1)
        time.sleep(_POLL)


class ReadinessTeller:
    """Tells the successor of a worker whether that is ready."""

    def __init__(self, pulse: Pulse, unready: Unready) -> None:
        self._vitals = pulse.vitals
        self._unready = unready
        self._is_checking = False

    def follow(self) -> None:
        """Check it on a thread, if there is a successor; called every second."""
        if self._vitals.phase == Phase.HAS_SUCCESSOR and not self._is_checking:
            self._is_checking = True
            threading.Thread(target=self._check, name="pegboard-ready", daemon=True).start()

    def _check(self) -> None:
        try:
            is_ready = not self._unready()
            self._vitals.readiness = Readiness.READY if is_ready else Readiness.UNREADY
        finally:
            self._is_checking = False

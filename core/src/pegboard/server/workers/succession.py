"""When a worker may take the place of another: when it is ready, or the other is gone.

Ready is a worker that passes the required checks of `/health/ready`. A new one may not, as with a
wrong password in a file that was changed, and would answer with 503 what the old one can still do.
Whether the old one is ready at this moment does not matter: it may be again.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from pegboard.redaction import reason_of
from pegboard.server.workers.pulse import Pulse
from pegboard.server.workers.roster import Roster

logger = logging.getLogger(__name__)

_POLL = 0.2
_PAUSE = 1.0
"""Seconds between two runs of the checks."""
_UNTIL_TOLD_AGAIN = 10.0
"""Seconds after which it is told that the checks which fail do so for other reasons."""
_OVERDUE = 5.0
"""Seconds without a result of the checks after which that is told."""

Unready = Callable[[], Mapping[str, str]]
"""Returns why a worker is not ready: the reason of each check, by its name."""


def take_place(
    pulse: Pulse, roster: Roster, unready: Unready, meanwhile: Callable[[], object]
) -> None:
    """Return when the worker of a pulse may serve; calls `meanwhile` again and again.

    How long it may wait is for who looks after the workers.
    """
    if not roster.has_predecessor(pulse):
        return
    checks = _Checks(f"the new worker {pulse.vitals.number}", unready)
    checks.start()
    while not checks.is_ready.wait(_POLL) and roster.has_predecessor(pulse):
        checks.tell_if_overdue()
        meanwhile()
    checks.is_over.set()
    if not checks.is_ready.is_set():
        logger.warning("%s serves though it is not ready, as the old one is gone", checks.title)


class _Checks(threading.Thread):
    """Runs the checks until they pass, on a thread as requests do."""

    def __init__(self, title: str, unready: Unready) -> None:
        super().__init__(name="pegboard-ready", daemon=True)
        self.title = title
        self.is_ready, self.is_over = threading.Event(), threading.Event()
        self._unready = unready
        self._is_overdue_told = False
        self._result_at = time.monotonic()

    def tell_if_overdue(self) -> None:
        """Log once that the checks have no result for long."""
        if time.monotonic() - self._result_at >= _OVERDUE and not self._is_overdue_told:
            self._is_overdue_told = True
            logger.warning(
                "%s has not ended its health checks after %g s, so the old one goes on serving",
                self.title,
                _OVERDUE,
            )

    def run(self) -> None:
        """Log why the worker is not ready, again when that changes."""
        told: Mapping[str, str] = {}
        told_at = 0.0
        while reasons := self._reasons():
            if self.is_over.is_set():
                return
            now = self._result_at = time.monotonic()
            is_late = now - told_at >= _UNTIL_TOLD_AGAIN
            if reasons.keys() != told.keys() or (reasons != told and is_late):
                told, told_at = reasons, now
                why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
                message = "%s is not ready, so the old one goes on serving: %s"
                logger.warning(message, self.title, why)
            if self.is_over.wait(_PAUSE):
                return
        self.is_ready.set()

    def _reasons(self) -> Mapping[str, str]:
        try:
            return self._unready()
        except BaseException as error:  # noqa: BLE001 - the next time it may work
            return {"the checks": reason_of(error)}

"""When a worker may take the place of another: when it is ready, or the other is gone.

Ready is a worker that passes the required checks of `/health/ready`. A new one may not, as with a
wrong password in a file that was changed, and would answer with 503 what the old one can still do.
Whether the old one is ready at this moment does not matter: it may be again.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from pegboard.server.workers.pulse import Pulse
from pegboard.server.workers.roster import Roster

logger = logging.getLogger(__name__)

_POLL = 0.2


def take_place(pulse: Pulse, roster: Roster, unready: Callable[[], Mapping[str, str]]) -> None:
    """Return when the worker of a pulse may serve.

    `unready` returns why it is not ready: the reason of each check, by its name. It is called on a
    thread, as requests call it. How long it may take is for who looks after the worker.
    """
    if not roster.has_predecessor(pulse):
        return
    is_ready, is_over = threading.Event(), threading.Event()

    def check() -> None:
        told = ""
        while reasons := unready():
            why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            if why != told:
                logger.warning(
                    "the new worker %d is not ready, so the old one goes on serving: %s",
                    pulse.vitals.number,
                    why,
                )
                told = why
            if is_over.wait(_POLL):
                return
        is_ready.set()

    threading.Thread(target=check, name="pegboard-ready", daemon=True).start()
    while not is_ready.wait(_POLL) and roster.has_predecessor(pulse):
        pass
    is_over.set()

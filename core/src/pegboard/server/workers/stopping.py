"""How processes stop which cannot be told to: before they serve, and without their parent.

A fork inherits its parent's signal handlers, which do nothing in a worker until Granian has set its
own; so a service stopped during its start would go on. `die_at_stop` can go when Granian's workers
start with default handlers.

A worker whose parent was killed goes on serving, and keeps the port. `stop_with_parent` can go when
Granian's workers notice that by themselves.
"""

import multiprocessing
import os
import signal
import threading
import time

from pegboard.server.limits import DRAINING_TIME

_STOPS = (signal.SIGINT, signal.SIGTERM)


def die_at_stop() -> None:
    """Restore the default handlers of the signals that stop a process."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_DFL)


def stop_with_parent(timeout: float = DRAINING_TIME) -> None:
    """Send this process SIGTERM when its parent is gone, from a thread that waits for that.

    After `timeout` seconds it is killed, as its parent would have done: a view that never returns
    would keep it for good.
    """

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(timeout)
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="pegboard-parent", daemon=True).start()

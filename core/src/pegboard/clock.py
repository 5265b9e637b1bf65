"""The time by which the platform keeps things: how long a value is fresh, a limit counts, a row is.

Code that keeps something for a time asks here, by `pegboard.clock.monotonic()`: so a test can move
the time by the fixture `clock` of the testing kit. What waits for another process, as for a socket,
a lock or a server, and what is measured asks Python's `time`, which no test moves. Until a test
moves it, each name is Python's own function: asking costs nothing more.
"""

import time as machine
from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["monotonic", "monotonic_ns", "time"]

monotonic: Callable[[], float] = machine.monotonic
"""Return seconds that never go back, from any beginning.

Call it by `pegboard.clock.monotonic()`: an imported name stays Python's function in a test.
"""

monotonic_ns: Callable[[], int] = machine.monotonic_ns
"""Return what `monotonic` returns, in nanoseconds."""

time: Callable[[], float] = machine.time
"""Return the seconds since 1970 in UTC."""

now: Callable[..., datetime] = datetime.now


def utcnow() -> datetime:
    """Return the current time as it is stored: UTC, without a time zone."""
    return now(UTC).replace(tzinfo=None)

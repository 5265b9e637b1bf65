"""How much the production server takes on."""

import math
import resource
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from pegboard.problems import Code, Problem

if TYPE_CHECKING:
    from pegboard.settings import CoreSettings

OTHER_FILES = 256
"""Open files that a worker needs beside its connections: of the database, of Redis, of views."""

DRAINING_TIME = 1.0
"""Seconds that clients get to learn that a connection ends."""


@dataclass(frozen=True)
class Limits:
    """How much the server takes on; durations are in seconds."""

    workers: int
    """Processes that serve."""
    threads: int
    """Requests that Flask answers at once in each worker."""
    backlog: int
    """Connections that wait to be accepted, and connections of each worker."""
    header_timeout: float
    keep_alive_timeout: float
    """How long a connection may be idle."""
    connections_per_client: int
    shutdown_timeout: float
    drain_delay: float = 0.0
    worker_timeout: float = 0.0
    """How long a worker may stand still; 0 for ever, and so in the others."""
    worker_start_timeout: float = 0.0
    worker_lifetime: float = 0.0
    worker_max_requests: int = 0
    worker_max_rss: int = 0
    """MiB of memory."""

    @classmethod
    def of(cls, core: "CoreSettings") -> Self:
        """Return those that are set: each is the setting of its name."""
        return cls(**{one.name: getattr(core, one.name) for one in fields(cls)})

    @property
    def kill_timeout(self) -> int:
        """How long a worker may take to end, once it is told to; then it is killed."""
        return math.ceil(self.drain_delay + DRAINING_TIME + self.shutdown_timeout)


def most_connections() -> int | None:
    """Return how many connections a worker can have; None if the system sets no limit.

    Each is an open file, and a worker without any left can answer nobody, nor close one.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else max(hard - OTHER_FILES, hard // 2)


def find_contradictions(core: "CoreSettings") -> Iterator[Problem]:
    """Yield a problem for each setting of the server that another one keeps from its effect."""
    pairs = (
        (
            "SHUTDOWN_TIMEOUT",
            "REQUEST_TIMEOUT",
            "a stop cuts requests that have time left",
        ),
        ("KEEP_ALIVE_TIMEOUT", "HEADER_TIMEOUT", "idle connections are kept for the longer time"),
    )
    if core.connections_per_client >= core.backlog:
        yield Problem(
            Code.SETTINGS_CONTRADICT,
            f"PEGBOARD_CONNECTIONS_PER_CLIENT ({core.connections_per_client}) is not less than "
            f"PEGBOARD_BACKLOG ({core.backlog}): one client may have all connections of a worker",
            "Raise PEGBOARD_BACKLOG, or lower PEGBOARD_CONNECTIONS_PER_CLIENT.",
        )
    if (most := most_connections()) is not None and most < core.backlog:
        yield Problem(
            Code.SETTINGS_CONTRADICT,
            f"PEGBOARD_BACKLOG ({core.backlog}) is more than the {most} connections that a worker "
            "can have, as the system limits its open files",
            "Raise that limit (ulimit -n, LimitNOFILE= of systemd), or lower PEGBOARD_BACKLOG.",
        )
    for lower, higher, effect in pairs:
        low, high = (getattr(core, name.lower()) for name in (lower, higher))
        if low < high:
            yield Problem(
                Code.SETTINGS_CONTRADICT,
                f"PEGBOARD_{lower} ({low:g} s) is less than PEGBOARD_{higher} ({high:g} s): "
                f"{effect}",
                f"Raise PEGBOARD_{lower}, or lower PEGBOARD_{higher}.",
            )

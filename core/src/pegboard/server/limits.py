"""How much the production server takes on."""

import math
from dataclasses import dataclass

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

    @property
    def kill_timeout(self) -> int:
        """How long a worker may take to end, once it is told to; then it is killed."""
        return math.ceil(self.drain_delay + DRAINING_TIME + self.shutdown_timeout)

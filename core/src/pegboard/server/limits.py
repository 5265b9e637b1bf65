"""How much the server takes on."""

from dataclasses import dataclass


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
    shutdown_timeout: float

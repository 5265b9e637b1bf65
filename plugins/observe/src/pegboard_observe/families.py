"""The metrics: their names, labels and meaning. A dashboard relies on them."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric is, as prometheus_client begins the names of its files."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUM = "gauge_livesum"
    """A gauge: the sum over all processes that live."""
    SAME = "gauge_livemax"
    """A gauge that is the same in all processes."""


@dataclass(frozen=True)
class Family:
    """One metric."""

    name: str
    """Without the suffix of its samples."""
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """The name of a sample of a counter or a gauge."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


_OF_REQUEST = ("method", "route", "status", "plugin", "cached")

DURATION = Family(
    "pegboard_http_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time from the headers of a request to the end of its answer, whoever gives it.",
    _OF_REQUEST,
)
SIZE = Family(
    "pegboard_http_response_bytes",
    Kind.COUNTER,
    "Bytes of the bodies of answers.",
    _OF_REQUEST,
)
IN_FLIGHT = Family(
    "pegboard_http_requests_in_flight", Kind.SUM, "Requests that have begun and not ended."
)
WORKERS = Family("pegboard_workers", Kind.SUM, "Processes that serve and have taken a request.")
STARTS = Family(
    "pegboard_worker_starts",
    Kind.COUNTER,
    "Processes that have taken their first request; more than the workers means replaced ones.",
)
BUILD = Family(
    "pegboard_build_info",
    Kind.SAME,
    "The versions that serve, as labels; the value is 1.",
    ("version", "python"),
)
PLUGIN = Family(
    "pegboard_plugin_info", Kind.SAME, "The active plugins; the value is 1.", ("plugin", "version")
)
POOL_SIZE = Family(
    "pegboard_database_pool_size", Kind.SUM, "Connections to the database that may be kept open."
)
POOL_USED = Family(
    "pegboard_database_pool_in_use", Kind.SUM, "Connections to the database that are in use."
)
QUEUE = Family(
    "pegboard_queue_requests",
    Kind.SUM,
    "Requests that threads answer (running), and those that wait for their turn (waiting).",
    ("state",),
)
GIVEN_UP = Family(
    "pegboard_requests_given_up",
    Kind.COUNTER,
    "Requests refused as too many waited, dropped as their clients had gone, or late.",
    ("reason",),
)
BREAKER = Family(
    "pegboard_circuit_breaker_open",
    Kind.SUM,
    "Processes for which a server does not answer, and that fail fast until it does.",
    ("server",),
)
PART = Family(
    "pegboard_plugin_duration_seconds",
    Kind.HISTOGRAM,
    "Time in a step of a stage, in the wait of stages for Redis, or in a hook, for requests; of "
    "stages and Redis for a share of the requests, each of which stands for several.",
    ("plugin", "kind", "name"),
)
STATE = Family(
    "pegboard_state",
    Kind.SUM,
    "What the log calls stats, as of the cache, the limiter and the threads; summed over workers.",
    ("of", "name"),
)
SHARED = Family(
    "pegboard_shared_state",
    Kind.SAME,
    "Stats that all processes of all instances tell alike, as they count together.",
    ("of", "name"),
)
EVENTS = Family(
    "pegboard_events",
    Kind.COUNTER,
    "What plugins count by kind, as the limiter the requests it admits and refuses, by rule.",
    ("of", "name", "kind"),
)

ALL = (
    *(DURATION, SIZE, IN_FLIGHT, WORKERS, STARTS, BUILD),
    *(PLUGIN, POOL_SIZE, POOL_USED, QUEUE, GIVEN_UP, BREAKER, PART, STATE, SHARED, EVENTS),
)

_OF_REQUESTS = {
    "running": (QUEUE, ("running",)),
    "waiting": (QUEUE, ("waiting",)),
    "refused": (GIVEN_UP, ("refused",)),
    "dropped": (GIVEN_UP, ("dropped",)),
    "late": (GIVEN_UP, ("late",)),
}


def family_of(of: str, name: str, *, is_shared: bool) -> tuple[Family, tuple[str, ...]]:
    """Return the metric of one of the stats of a service, and its labels."""
    if of == "requests" and name in _OF_REQUESTS:
        return _OF_REQUESTS[name]
    if of == "circuit_breakers":
        return BREAKER, (name,)
    return SHARED if is_shared else STATE, (of, name)

"""What is explored: by which rules who works, and what may go wrong."""

from dataclasses import dataclass
from enum import StrEnum

from .rules import PROTOCOL, Rules


class Fault(StrEnum):
    """What may go wrong, beside a kill: who is killed is who takes no more steps."""

    LATE = "late"
    """A command's sender gets no answer and gives up. The server executes it at once (the
    reply was lost), later (it was slow) or never (the command was lost).
    """
    RESTART = "restart"
    """A server comes back with nothing, or with what it held when some fill was done."""
    FAILOVER = "failover"
    """A replica that lags takes over, and the old server answers some none the less."""
    RESYNC = "resync"
    """A server takes over the data of one that lags, and keeps its run id: no restart."""


PROMISED = frozenset({Fault.LATE, Fault.RESTART, Fault.FAILOVER})
"""The faults the protocol survives."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A few requests, each of which may be in a process of its own."""

    rules: Rules = PROTOCOL
    writers: tuple[bool, ...] = (False, False)
    """Whether each writes in bulk, and so fences the group's marker and not the key."""
    readers: int = 2
    faults: int = 0
    """How many may happen in one run."""
    kinds: frozenset[Fault] = PROMISED
    evictions: bool = True
    """Anything may expire, be evicted or flushed at any time; none of it counts as a fault."""
    never_enabled: bool = False
    """Caching has yet to be turned on for the first time: the row is as the migration left it."""
    background_refresh: bool = True
    """Caching is turned on again."""
    siblings: bool = False
    """Other keys of the group, as the totals of other filters, are filled at any time."""
    kills_oblige: bool = False
    """Reads that begin after a writer was killed must see what it committed, if it did; if it
    had turned caching off, those that begin after all trust in the epoch has ended.
    """
    forgets: bool = True
    """What nobody can see any more is forgotten (see ``forgetting``)."""

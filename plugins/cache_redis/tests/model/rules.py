"""The rules of the protocol, each of which can be left out."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All of them together are the protocol of ``pegboard_cache_redis``."""

    # Readers
    leases: bool = True
    """A reader fills only under a lease."""
    reads_after_lease: bool = True
    """It reads the database after it has the lease."""
    checks_lease: bool = True
    """The server fills only while the lease stands."""
    checks_generation: bool = True
    """The server fills only while the marker is of the lease's generation."""
    absent_marker_is_miss: bool = True
    """A value whose group has no marker is a miss."""

    # Writers
    fences: bool = True
    """A writer fences before it commits."""
    disables_with_commit: bool = True
    """One that could not turns caching off in its own transaction."""
    locks_row: bool = True
    """That UPDATE takes the row's lock, even if the row says off already."""
    trusts_after_commit: bool = True
    """The release is under an epoch that is trusted after the commit."""
    reads_row_afresh: bool = True
    """One that believes caching is off reads the row after the commit."""
    release_erases: bool = True
    """The release erases the value and the lease, and not only its fence."""
    release_keeps_fences: bool = True
    """The release keeps the fences of others."""
    release_is_confirmed: bool = True
    """One that cannot release turns caching off."""

    # The row
    epochs: bool = True
    """There is a row in the database, with an epoch."""
    checks_servers: bool = True
    """Only the row's servers are believed."""
    waits_to_acknowledge: bool = True
    """One that found caching off or turned it off waits until all trust in the epoch ends."""
    waits_per_epoch: bool = True
    """The wait is counted from when this epoch was known to be off, not caching as such."""
    waits_to_enable: bool = True
    """The background refresh waits as well."""
    raises_epoch: bool = True
    """The background refresh raises the epoch."""


DELETE_AFTER_COMMIT = Rules(leases=False, fences=False, epochs=False, checks_servers=False)
LEASES = Rules(fences=False, epochs=False, checks_servers=False)
FENCES_AND_LEASES = Rules(epochs=False, checks_servers=False)
PROTOCOL = Rules()

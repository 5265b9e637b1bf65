"""What a cache has to do so that nobody reads an older value than one that is saved.

The core decides what to cache and knows what a transaction has touched; a strategy stores. A reader
calls

- `look_up`;
- on a miss `lease`, then it reads the database in a transaction begun *after* the lease;
- then `fill`, or `give_back` if there is nothing to store.

A writer calls

- `fence` right before its transaction commits;
- `release` right after; the write is acknowledged when that has returned and the moment that it
  returned is past;
- `abandon` instead, if the commit failed and was rolled back.

The contract, for any number of threads and processes that share the storage:

1. `look_up` and `lease` return a value only if no `release` of a fence on its key, or on its group,
   has returned and passed its moment since the value was read from the database.
2. `fill` stores only while its lease stands. A fence on the key or the group ends the lease.
3. While a fence stands there are neither values nor leases under it, and none are given.
4. At most one lease stands for a key.
5. Nothing a storage does raises: what cannot be done is a `Miss`, a `False` or, where a write could
   not be made safe at all, `UnconfirmedError` from `release`.

`pegboard.testing.contracts.CacheStrategyContract` tests it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from sqlalchemy import Executable


class Key(NamedTuple):
    """What a value is stored under.

    Both parts are printable ASCII without spaces, and not empty.
    """

    group: str
    """The look-up: the table of its row, and its own name; or a collection of rows."""
    name: str
    """The row's primary key; or what of the collection it is."""


COLLECTION_MARK = "::"
"""What stands between the table and the name in the group of a collection."""


def is_of_collection(group: str) -> bool:
    """Return whether a group is of all rows of a table, as of its lists and their totals.

    Each write to the table covers such a group as a whole, so keep it in one place: in a cluster
    a group that is divided among slots costs a command for each.
    """
    return COLLECTION_MARK in group


class MissReason(StrEnum):
    """Why there is no value; the text is the `detail` of `Cache-Status`."""

    MISS = "miss"
    """Nothing is stored."""
    LEASED = "leased"
    """Another reader holds the lease and is about to fill the key."""
    FENCED = "fenced"
    """A write is under way."""
    UNAVAILABLE = "unavailable"
    """The storage does not answer, or does not take writes."""
    INVALID = "invalid"
    """The storage holds something that was not stored by this service under this key."""
    DISABLED = "disabled"
    """Caching is turned off for all processes."""
    STATE_UNKNOWN = "state-unknown"
    """Whether caching is on could not be found out."""
    FOREIGN_SERVER = "foreign-server"
    """The storage was restarted or replaced, and may hold what is stale."""
    OFF = "off"
    """This process does not cache."""
    QUERY = "query"
    """The URL has a query, on which the answer may depend."""
    IN_TRANSACTION = "in-transaction"
    """The request has read the database before the look-up."""
    NOT_CACHEABLE = "not-cacheable"
    """The key can be written in several ways, or writes to the view's table are not watched."""
    OTHER_RELEASE = "other-release"
    """The value was stored by another release, or another version of the view."""
    UNREADABLE = "unreadable"
    """The value is not an answer."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Says that there is no value, and why; `Cache-Status` shows the reason."""

    reason: MissReason
    """Why there is no value."""
    may_fill: bool = True
    """Whether to ask for a lease."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fill a key once; it ends when it is used, fenced, given back or too old.

    `token` tells it from every other lease on the key.
    """

    key: Key
    """The key that may be filled."""
    token: str
    """Tells the lease from every other one on the key."""
    context: Any = None
    """Whatever the strategy wants to know again in `fill`."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What a transaction has written: single keys, and groups of which any key may have changed."""

    keys: frozenset[Key] = frozenset()
    """The single keys whose rows were written."""
    groups: frozenset[str] = frozenset()
    """The groups of which any key may have changed."""


class UnconfirmedError(Exception):
    """Raised when a write is committed, but some cache could still hold the older value.

    A cache strategy raises it from `release` and `clear`. The request is answered with 503.
    """


class Transaction(Protocol):
    """The connection of a writer: in its transaction before the commit, in a new one after it."""

    def execute(self, statement: Executable) -> Sequence[Any]:
        """Run a SQLAlchemy statement; returns its rows.

        It counts as the platform's own, not as the writer's: a migration that must not touch the
        strategy's tables is not refused for it.
        """

    def commit(self) -> None:
        """Commit what was executed since the writer's own commit; only for `release`."""


class CacheStrategy(Protocol):
    """Stores bytes under keys. Threads call it at the same time.

    The rules that it must keep are in the guide "Keep cached answers elsewhere", and are tested by
    `pegboard.testing.contracts.CacheStrategyContract`. `name` is shown to operators.
    """

    name: str
    """The name that operators see, as in `pegboard cache stats`."""

    def look_up(self, key: Key) -> bytes | Miss:
        """Return the value, or why there is none.

        The storage's time-out bounds the wait; a storage that does not answer is a `Miss`.
        """

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Return the right to fill the key, or the value if the key was filled meanwhile.

        A `Miss` whose reason is `MissReason.LEASED` means that another process or thread is about
        to fill it.
        """

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Store a value for `ttl` seconds; returns whether it was stored."""

    def give_back(self, lease: Lease) -> None:
        """End a lease under which nothing was stored, so that the next reader need not wait."""

    def fence(self, touched: Touched, transaction: Transaction) -> Any:
        """Forget what the transaction has touched, and store nothing there until `release`.

        Called right before the commit. It may write in the transaction, so that a rollback undoes
        what it wrote. Returns whatever `release` or `abandon` of this fence need to know.
        """

    def release(self, fence: Any, transaction: Transaction) -> float:
        """Forget again what the fence covers, and lift it.

        Called after the commit. Returns the moment of `time.monotonic` from which the write may be
        acknowledged, in seconds, 0 for at once. Raises `UnconfirmedError` when another process
        could still return the older value.
        """

    def abandon(self, fence: Any) -> None:
        """Lift a fence without forgetting anything, as its transaction was rolled back.

        If the storage does not answer, do nothing: the fence expires.
        """

    def clear(self, group: str | None = None) -> None:
        """Forget all values, or those of a group.

        Raises `UnconfirmedError` when some could remain.
        """

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Return counts and states for the operator by name: hits, misses, fills, and the like.

        Where all processes count together a strategy names those of the numbers that each of them
        returns alike, in an attribute `shared_stats`; metrics do not add them up.
        """


@runtime_checkable
class SharedStrategy(Protocol):
    """A strategy whose storage is shared by processes that may not all know the same look-ups."""

    def join(self, schema_fingerprint: str) -> None:
        """Learn the fingerprint of this process; called once, before any other method.

        It is a hash of which writes invalidate which values, and differs between processes that
        have other plugins or another release. Only processes of one fingerprint may share values.
        """

    def must_fence_all(self) -> bool:
        """Return whether processes with another fingerprint cache values in the storage.

        They may cache what this process does not. So while this is true, `fence` is also called
        for a write to a table of which this process caches nothing, with an empty `Touched`. It
        then has to keep the other processes from returning what they have cached, for example by
        turning caching off for all.
        """


class NullStrategy:
    """No cache: nothing is ever stored."""

    name = "none"

    def look_up(self, key: Key) -> bytes | Miss:  # noqa: ARG002 - the contract's arguments
        """Return no value."""
        return Miss(MissReason.OFF, may_fill=False)

    def lease(self, key: Key) -> Lease | bytes | Miss:  # noqa: ARG002
        """Give no lease."""
        return Miss(MissReason.OFF, may_fill=False)

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:  # noqa: ARG002
        """Store nothing."""
        return False

    def give_back(self, lease: Lease) -> None:
        """Do nothing, as no lease was given."""

    def fence(self, touched: Touched, transaction: Transaction) -> Any:  # noqa: ARG002
        """Do nothing, as nothing is stored."""
        return None

    def release(self, fence: Any, transaction: Transaction) -> float:  # noqa: ARG002
        """Let the write be acknowledged at once."""
        return 0.0

    def abandon(self, fence: Any) -> None:
        """Do nothing, as nothing is fenced."""

    def clear(self, group: str | None = None) -> None:
        """Do nothing, as nothing is stored."""

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Return nothing."""
        return {}


def keys_of(touched: Touched) -> Iterable[Key]:
    """Return the keys of what is touched that no group covers already."""
    return (key for key in touched.keys if key.group not in touched.groups)

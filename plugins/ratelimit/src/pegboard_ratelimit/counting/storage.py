"""What the limiter wants of a storage, and what it gets."""

from typing import NamedTuple, Protocol

from pegboard.redis import Command
from pegboard_ratelimit.rules import Limit


class StorageError(Exception):
    """Raised by a storage that cannot count at the moment."""


class Verdict(NamedTuple):
    """Whether a request is admitted, and how the client stands then."""

    wait: int
    """Microseconds until it would be admitted; 0 when it is."""
    numbers: tuple[int, ...]
    """For each policy how many more requests are admitted now, and in how many seconds more are.

    All are whole and not negative. A verdict that is otherwise counts as a `StorageError`.
    """


class Counter(Protocol):
    """Counts the requests of each client under one rule."""

    def prepare(self, client: str, *, charge: bool = True) -> Verdict | Command:
        """Admit a request of the client and count it, or only look when it is not charged.

        A command is sent in the one round trip of the request; its reply goes to `complete`.
        Raises `StorageError`; any other exception is taken as one, and logged with its traceback.
        """

    def complete(self, value: object) -> Verdict:
        """Read what Redis replied. Raises `StorageError`."""


class Storage(Protocol):
    """Keeps the counts.

    A storage whose counters never wait has the attribute `is_non_blocking = True`; the server then
    needs no thread for it.
    """

    def counter(self, rule: str, limit: Limit) -> Counter:
        """Return what counts for a rule; what it has counted outlives a change of the quotas."""

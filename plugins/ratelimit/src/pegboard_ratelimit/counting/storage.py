"""The interface of a storage, which keeps the counts."""

from typing import NamedTuple, Protocol

from pegboard.redis import Command
from pegboard_ratelimit.rules import Limit


class StorageError(Exception):
    """Raised by a storage that cannot count at the moment."""


class Verdict(NamedTuple):
    """Whether a request is admitted, and what the client has left then."""

    wait: int
    """Microseconds until the request would be admitted; 0 if it is."""
    numbers: tuple[int, ...]
    """For each policy the requests left, and the seconds until there are more.

    All are integers and not negative; any other verdict is treated as a `StorageError`.
    """


class Counter(Protocol):
    """Counts the requests of each client under one rule."""

    def prepare(self, client: str, *, charge: bool = True) -> Verdict | Command:
        """Admit a request of the client and count it, or refuse it.

        With `charge=False` return the same verdict without counting. A returned command is sent in
        the one round trip of the request, and its reply is passed to `complete`. May be called by
        several threads at once. Raises `StorageError`; any other exception is treated as one, and
        logged with its traceback.
        """

    def complete(self, value: object) -> Verdict:
        """Return the verdict in the reply to the command. Raises as `prepare` does."""


class Storage(Protocol):
    """Keeps the counts of all rules.

    A storage whose counters never block has the attribute `is_non_blocking = True`; the server then
    calls them on its event loop instead of in a thread.
    """

    def counter(self, rule: str, limit: Limit) -> Counter:
        """Return the counter of a rule.

        Called again with the same rule when its limit changes; the counts should be kept then.
        """

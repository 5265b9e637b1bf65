"""A storage of another plugin: whatever it does, the worst is that it cannot count."""

from pegboard.redis import Command
from pegboard_ratelimit.counting.storage import Counter, Storage, StorageError, Verdict
from pegboard_ratelimit.rules import Limit

_MOST = 999_999_999_999_999
"""The greatest number that a header can hold (RFC 9651)."""


class ProvidedCounter:
    """Counts for one rule in a storage of another plugin, and believes no verdict unseen."""

    __slots__ = ("_counter", "_limit", "_rule", "_storage")

    def __init__(self, storage: Storage, rule: str, limit: Limit) -> None:
        self._storage = storage
        self._rule = rule
        self._limit = limit
        self._counter: Counter | None = None

    def prepare(self, client: str, *, charge: bool = True) -> Verdict | Command:
        """Admit a request of the client and count it, or only look."""
        if self._counter is None:
            # Not sooner: a storage that cannot give a counter cannot count, and may do so later.
            self._counter = self._storage.counter(self._rule, self._limit)
        asked = self._counter.prepare(client, charge=charge)
        return asked if isinstance(asked, Command) else self._checked(asked)

    def complete(self, value: object) -> Verdict:
        """Read what Redis replied."""
        if self._counter is None:
            message = "nothing was asked"
            raise StorageError(message)
        return self._checked(self._counter.complete(value))

    def _checked(self, verdict: object) -> Verdict:
        """Return the verdict if clients can be told of it."""
        if isinstance(verdict, Verdict):
            count = 2 * len(self._limit.policies)
            if _is_number(verdict.wait) and _are_numbers(verdict.numbers, count):
                return verdict
        kind = type(self._storage).__qualname__
        message = f"the storage {kind} gave no verdict on {self._limit}, but {verdict!r:.200}"
        raise StorageError(message)


def _are_numbers(values: object, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(map(_is_number, values))


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST

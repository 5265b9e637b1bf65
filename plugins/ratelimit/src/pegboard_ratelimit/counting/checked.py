"""Checks what a storage of another plugin returns, so that no fault of it breaks a request."""

from pegboard.redis import Command
from pegboard_ratelimit.counting.storage import Counter, Storage, StorageError, Verdict
from pegboard_ratelimit.rules import Limit

_MOST = 999_999_999_999_999
"""The greatest integer in a structured field (RFC 9651)."""


class CheckedCounter:
    """A counter of another plugin's storage; raises `StorageError` for an invalid verdict."""

    __slots__ = ("_counter", "_limit", "_rule", "_storage")

    def __init__(self, storage: Storage, rule: str, limit: Limit) -> None:
        self._storage = storage
        self._rule = rule
        self._limit = limit
        self._counter: Counter | None = None

    def prepare(self, client: str, *, charge: bool = True) -> Verdict | Command:
        """Admit a request of the client and count it, or refuse it."""
        if self._counter is None:
            # Not in the constructor: a storage that fails to return a counter may do so later.
            self._counter = self._storage.counter(self._rule, self._limit)
        result = self._counter.prepare(client, charge=charge)
        return result if isinstance(result, Command) else self._checked(result)

    def complete(self, value: object) -> Verdict:
        """Return the verdict in the reply."""
        if self._counter is None:
            message = "no command was sent"
            raise StorageError(message)
        return self._checked(self._counter.complete(value))

    def _checked(self, verdict: object) -> Verdict:
        """Return the verdict if it can be written into headers."""
        if isinstance(verdict, Verdict):
            count = 2 * len(self._limit.policies)
            if _is_number(verdict.wait) and _are_numbers(verdict.numbers, count):
                return verdict
        kind = type(self._storage).__qualname__
        message = (
            f"the storage {kind} returned an invalid verdict on {self._limit}: {verdict!r:.200}"
        )
        raise StorageError(message)


def _are_numbers(values: object, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(map(_is_number, values))


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST

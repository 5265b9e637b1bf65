"""Counts in the memory of the process, which is bounded."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import NoReturn

from pegboard import clock
from pegboard_ratelimit.counting.sliding_window import Log, weigh
from pegboard_ratelimit.counting.storage import StorageError, Verdict
from pegboard_ratelimit.rules import Limit

MAX_CLIENTS = 10_000
"""Default number of clients that a process remembers for each rule."""

SHARED_RECORDS = 256
"""Records per rule that new clients share while the memory is full."""


def microseconds() -> int:
    """Return the time of the monotonic clock."""
    return clock.monotonic_ns() // 1000


class _Record:
    """The logs of one client: one for each window of the limit that last counted it."""

    __slots__ = ("counted_at", "logs", "spans")

    def __init__(self, limit: Limit) -> None:
        self.spans = limit.spans
        self.logs = [Log() for _ in self.spans]
        self.counted_at = 0

    def logs_for(self, limit: Limit, now: int) -> list[Log]:
        """Return a log for each window of a limit, whose windows may have changed.

        A new window gets a copy of the log of the next longer window, or of the longest if none is
        longer.
        """
        if self.spans == limit.spans:
            return self.logs
        for log, span in zip(self.logs, self.spans, strict=True):
            log.forget(now - span)
        known = dict(zip(self.spans, self.logs, strict=True))
        longest = max(known)
        return [
            deepcopy(known[min((one for one in known if one >= span), default=longest)])
            for span in limit.spans
        ]


class _Table:
    """The clients of one rule, in the order in which they were last counted."""

    __slots__ = ("records", "shared", "span")

    def __init__(self) -> None:
        self.span = 0
        """The longest window of the current limit."""
        self.records: OrderedDict[str, _Record] = OrderedDict()
        self.shared: dict[int, _Record] = {}

    def keep(self, client: str, record: _Record, limit: Limit, logs: list[Log], now: int) -> None:
        """Store the logs of a limit in a client's record after they have counted."""
        record.spans, record.logs, record.counted_at = limit.spans, logs, now
        if client in self.records:
            self.records.move_to_end(client)

    def is_over(self, record: _Record, now: int) -> bool:
        """Tell whether all windows of the record are over."""
        return now - record.counted_at >= self.span

    def forget(self, now: int, most: int) -> None:
        """Drop at most `most` records that are over."""
        forgotten = 0
        while self.records and forgotten < most:
            client, record = next(iter(self.records.items()))
            if not self.is_over(record, now):
                break
            del self.records[client]
            forgotten += 1


class MemoryStorage:
    """A storage of one process.

    It remembers at most `max_clients` clients of each rule, and drops one only when its windows are
    over. While all of them are still counted, new clients share a few records: a flood of clients
    can slow other new clients of the same rule, but no client gets more than the limit.
    """

    is_non_blocking = True

    def __init__(
        self, max_clients: int = MAX_CLIENTS, clock: Callable[[], int] = microseconds
    ) -> None:
        """`clock` returns microseconds and never goes back."""
        self._max_clients = max_clients
        self._clock = clock
        self._lock = threading.Lock()
        self._tables: dict[str, _Table] = {}

    def counter(self, rule: str, limit: Limit) -> "MemoryCounter":
        """Return the counter of a rule."""
        with self._lock:
            table = self._tables.setdefault(rule, _Table())
        return MemoryCounter(self, table, limit)

    def take(self, table: _Table, client: str, limit: Limit, *, charge: bool) -> Verdict:
        """Admit a request of the client and count it if charged, or refuse it."""
        with self._lock:
            now = self._clock()
            table.span = limit.span
            record = table.records.get(client)
            if record is None:
                record = self._new_record(table, client, limit, now, keep=charge)
            logs = record.logs_for(limit, now)
            verdict = weigh(logs, limit, now, charge=charge)
            if charge and not verdict.wait:
                table.keep(client, record, limit, logs, now)
            return verdict

    def raise_to(
        self, table: _Table, client: str, limit: Limit, left: Sequence[int], at: int
    ) -> None:
        """Take over a count of another storage: at most `left` requests remain of each policy."""
        with self._lock:
            now = self._clock()
            if now - at >= limit.span:
                return
            table.span = limit.span
            record = table.records.get(client)
            if record is None:
                record = self._new_record(table, client, limit, now, keep=True)
            logs = record.logs_for(limit, now)
            for log, (quota, span, _), rest in zip(logs, limit.terms, left, strict=False):
                log.forget(now - span)
                if now - at < span:
                    log.raise_to(quota - min(rest, quota), at)
            table.keep(client, record, limit, logs, now)

    def _new_record(
        self, table: _Table, client: str, limit: Limit, now: int, *, keep: bool
    ) -> _Record:
        place = hash(client) % SHARED_RECORDS
        shared = table.shared.get(place)
        if shared is not None:
            if not table.is_over(shared, now):
                # The client may already be counted in it.
                return shared
            del table.shared[place]
        record = _Record(limit)
        if not keep:
            return record
        table.forget(now, 2)
        if len(table.records) >= self._max_clients:
            table.shared[place] = record
        else:
            record.counted_at = now
            table.records[client] = record
        return record


class MemoryCounter:
    """Counts for one rule in the memory of the process."""

    __slots__ = ("_limit", "_storage", "_table")

    def __init__(self, storage: MemoryStorage, table: _Table, limit: Limit) -> None:
        self._storage = storage
        self._table = table
        self._limit = limit

    def prepare(self, client: str, *, charge: bool = True) -> Verdict:
        """Admit a request of the client and count it, or refuse it."""
        return self._storage.take(self._table, client, self._limit, charge=charge)

    def raise_to(self, client: str, left: Sequence[int], at: int) -> None:
        """Take over a count of another storage, made at that time: `left` for each policy."""
        self._storage.raise_to(self._table, client, self._limit, left, at)

    def complete(self, value: object) -> NoReturn:
        """Raise `StorageError`, as `prepare` never returns a command."""
        message = f"unexpected reply: {value!r}"
        raise StorageError(message)

"""Counts that are kept in the process, in bounded memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import NoReturn

from pegboard_ratelimit.counting.sliding_window import Log, weigh
from pegboard_ratelimit.counting.storage import StorageError, Verdict
from pegboard_ratelimit.rules import Limit

MAX_CLIENTS = 10_000
"""Clients of each rule that a process remembers, if nothing else is said."""

SHARED = 256
"""Counts per rule that the clients share who come when the memory is full."""


def microseconds() -> int:
    """Return the time of a clock that is never set back."""
    return time.monotonic_ns() // 1000


class _Record:
    """A log for each window of the limit under which the client was counted last."""

    __slots__ = ("counted_at", "logs", "spans")

    def __init__(self, limit: Limit) -> None:
        self.spans = limit.spans
        self.logs = [Log() for _ in self.spans]
        self.counted_at = 0

    def logs_for(self, limit: Limit, now: int) -> list[Log]:
        """Return the logs of a limit: of each window that, or a copy of the next longer one.

        Where none is longer it is one of the longest.
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

    def keep(self, limit: Limit, logs: list[Log], now: int) -> None:
        """Take note that these logs of a limit have counted."""
        self.spans, self.logs, self.counted_at = limit.spans, logs, now


class _Table:
    """The clients of one rule, who was counted longest ago first."""

    __slots__ = ("records", "shared", "span")

    def __init__(self) -> None:
        self.span = 0
        """The longest window of the limit that holds now."""
        self.records: OrderedDict[str, _Record] = OrderedDict()
        self.shared: dict[int, _Record] = {}

    def is_over(self, record: _Record, now: int) -> bool:
        """Tell whether nothing of the record counts any more."""
        return now - record.counted_at >= self.span

    def forget(self, now: int, most: int) -> None:
        """Forget at most so many records that are over."""
        forgotten = 0
        while self.records and forgotten < most:
            client, record = next(iter(self.records.items()))
            if not self.is_over(record, now):
                break
            del self.records[client]
            forgotten += 1


class MemoryStorage:
    """A storage of one process.

    It remembers at most so many clients of each rule, and forgets one only when its windows are
    over. When all that it remembers still counts, newcomers share a few counts: a flood of clients
    can slow other newcomers at the same rule, but it lets nobody have more than the limit.
    """

    is_non_blocking = True

    def __init__(
        self, max_clients: int = MAX_CLIENTS, clock: Callable[[], int] = microseconds
    ) -> None:
        """`clock` tells microseconds and is never set back."""
        self._max_clients = max_clients
        self._clock = clock
        self._lock = threading.Lock()
        self._tables: dict[str, _Table] = {}

    def counter(self, rule: str, limit: Limit) -> "MemoryCounter":
        """Return what counts for a rule."""
        with self._lock:
            table = self._tables.setdefault(rule, _Table())
        return MemoryCounter(self, table, limit)

    def take(self, table: _Table, client: str, limit: Limit, *, charge: bool) -> Verdict:
        """Admit a request of the client and count it."""
        with self._lock:
            now = self._clock()
            table.span = limit.span
            record = table.records.get(client)
            is_own = record is not None
            if record is None:
                record = self._newcomer(table, client, limit, now, keep=charge)
                is_own = client in table.records
            logs = record.logs_for(limit, now)
            verdict = weigh(logs, limit, now, charge=charge)
            if charge and not verdict.wait:
                record.keep(limit, logs, now)
                if is_own:
                    table.records.move_to_end(client)
            return verdict

    def reach(self, table: _Table, client: str, limit: Limit, left: Sequence[int], at: int) -> None:
        """Count what somebody else has counted: no more than so many requests are left."""
        with self._lock:
            now = self._clock()
            if now - at >= limit.span:
                return
            table.span = limit.span
            record = table.records.get(client)
            if record is None:
                record = self._newcomer(table, client, limit, now, keep=True)
            logs = record.logs_for(limit, now)
            for log, (quota, span, _), rest in zip(logs, limit.terms, left, strict=False):
                log.forget(now - span)
                if now - at < span:
                    log.reach(quota - min(rest, quota), at)
            record.keep(limit, logs, now)
            if client in table.records:
                table.records.move_to_end(client)

    def _newcomer(
        self, table: _Table, client: str, limit: Limit, now: int, *, keep: bool
    ) -> _Record:
        place = hash(client) % SHARED
        shared = table.shared.get(place)
        if shared is not None:
            if not table.is_over(shared, now):
                # The client may be among those who were counted here.
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
    """Counts for one rule in the process."""

    __slots__ = ("_limit", "_storage", "_table")

    def __init__(self, storage: MemoryStorage, table: _Table, limit: Limit) -> None:
        self._storage = storage
        self._table = table
        self._limit = limit

    def prepare(self, client: str, *, charge: bool = True) -> Verdict:
        """Admit a request of the client and count it, or only look."""
        return self._storage.take(self._table, client, self._limit, charge=charge)

    def reach(self, client: str, left: Sequence[int], at: int) -> None:
        """Count what somebody else has counted by then, so that no more than that is left."""
        self._storage.reach(self._table, client, self._limit, left, at)

    def complete(self, value: object) -> NoReturn:
        """Refuse: nothing was asked."""
        message = f"a process has no reply such as {value!r}"
        raise StorageError(message)

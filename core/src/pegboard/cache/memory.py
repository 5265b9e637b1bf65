"""The cache in memory: correct as long as no other process writes to the database.

On SQLite it is correct beside other processes too: each commit to a file, by any program, changes
the `PRAGMA data_version` of other connections, and a value is valid for one version only.
"""

import os
import secrets
import sqlite3
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.engine import URL

from pegboard import clock
from pegboard.cache.counters import Counters
from pegboard.cache.strategy import Key, Lease, Miss, MissReason, Touched, Transaction, keys_of

LEASE_TIME = 5.0
"""Seconds after which a lease ends whose reader has neither filled nor given it back."""

FENCE_TIME = 60.0
"""Seconds after which a fence ends whose writer has not released it."""


@dataclass(slots=True)
class _Entry:
    value: bytes
    version: object
    generation: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Lease:
    token: str
    generation: int
    expires_at: float


@dataclass(frozen=True, eq=False, slots=True)
class _Fence:
    touched: Touched
    expires_at: float


class MemoryStrategy:
    """Values of one process; when it is full, the least recently filled is dropped."""

    name = "memory"

    def __init__(
        self,
        *,
        size: int,
        version: Callable[[], object] = lambda: None,
    ) -> None:
        """Keep at most `size` values; `version` returns another result after writes of others."""
        self._size = size
        self._version = version
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._leases: dict[Key, _Lease] = {}  # in the order of their ends
        # What is of another generation than its group counts as absent: so a group is forgotten
        # without looking at everything there is.
        self._generations: defaultdict[str, int] = defaultdict(int)
        self._standing: set[_Fence] = set()
        self._counters = Counters("hits", "misses", "fills", "refused_fills", "fences")

    def look_up(self, key: Key) -> bytes | Miss:
        """Return the value, or why there is none."""
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at > clock.monotonic():
            # Read last: the value is valid at this moment.
            value, version = entry.value, self._version()
            if (
                entry.version == version
                and self._entries.get(key) is entry
                and self._is_current(key, entry)
            ):
                self._counters.add("hits")
                return value
        self._counters.add("misses")
        return Miss(MissReason.MISS)

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Return the right to fill the key, or the value that another reader stored meanwhile."""
        version = self._version()
        now = clock.monotonic()
        with self._lock:
            if self._is_fenced(key, now):
                return Miss(MissReason.FENCED, may_fill=False)
            entry = self._entries.get(key)
            if (
                entry is not None
                and entry.expires_at > now
                and entry.version == version
                and self._is_current(key, entry)
            ):
                return entry.value
            self._drop_leases(now)
            held = self._leases.get(key)
            if held is not None and self._is_current(key, held):
                return Miss(MissReason.LEASED)
            self._leases.pop(key, None)  # so that the new one is the last
            lease = Lease(key, secrets.token_hex(8), version)
            generation = self._generations[key.group]
            self._leases[key] = _Lease(lease.token, generation, now + LEASE_TIME)
            return lease

    def give_back(self, lease: Lease) -> None:
        """End the lease if it still stands."""
        with self._lock:
            if self._stands(lease):
                del self._leases[lease.key]

    def fill(self, lease: Lease, value: bytes, ttl: int) -> bool:
        """Store a value if the lease still stands."""
        version = self._version()
        with self._lock:
            stands = self._stands(lease)
            if stands:
                del self._leases[lease.key]
            if not stands or version != lease.context:
                self._counters.add("refused_fills")
                return False
            generation = self._generations[lease.key.group]
            self._entries[lease.key] = _Entry(value, version, generation, clock.monotonic() + ttl)
            self._entries.move_to_end(lease.key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
        self._counters.add("fills")
        return True

    def fence(self, touched: Touched, transaction: Transaction) -> Any:  # noqa: ARG002 - not needed
        """Forget what is touched, and keep anyone from filling it."""
        fence = _Fence(touched, clock.monotonic() + FENCE_TIME)
        with self._lock:
            self._forget(touched)
            self._standing.add(fence)
        self._counters.add("fences")
        return fence

    def release(self, fence: Any, transaction: Transaction) -> float:  # noqa: ARG002 - not needed
        """Lift the fence; only after its time can anything have been filled, which is forgotten."""
        with self._lock:
            self._standing.discard(fence)
            if fence.expires_at <= clock.monotonic():
                self._forget(fence.touched)
        return 0.0

    def abandon(self, fence: Any) -> None:
        """Lift the fence."""
        with self._lock:
            self._standing.discard(fence)

    def clear(self, group: str | None = None) -> None:
        """Forget all values, or those of a group."""
        with self._lock:
            wanted = [group] if group is not None else [*self._generations]
            self._forget(Touched(groups=frozenset(wanted)))

    def stats(self) -> Mapping[str, int | float | str | bool]:
        """Return the counters, and how many values there are."""
        with self._lock:
            values = sum(self._is_current(key, entry) for key, entry in self._entries.items())
        return {**self._counters.stats(), "values": values}

    def _is_fenced(self, key: Key, now: float) -> bool:
        if self._standing:
            self._standing = {fence for fence in self._standing if fence.expires_at > now}
        return any(
            key in fence.touched.keys or key.group in fence.touched.groups
            for fence in self._standing
        )

    def _stands(self, lease: Lease) -> bool:
        held = self._leases.get(lease.key)
        return held is not None and held.token == lease.token and self._is_current(lease.key, held)

    def _is_current(self, key: Key, kept: _Entry | _Lease) -> bool:
        return kept.generation == self._generations.get(key.group, 0)

    def _drop_leases(self, now: float) -> None:
        for key, lease in tuple(self._leases.items()):
            if lease.expires_at > now:
                break
            del self._leases[key]

    def _forget(self, touched: Touched) -> None:
        for key in keys_of(touched):
            self._entries.pop(key, None)
            self._leases.pop(key, None)
        for group in touched.groups:
            self._generations[group] += 1


class SQLiteVersion:
    """The version of an SQLite file, which each commit changes; callable from any thread."""

    def __init__(self, url: URL) -> None:
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None
        self._process = 0
        self._lock = threading.Lock()
        arguments, options = url.get_dialect()().create_connect_args(url)
        options["check_same_thread"] = False
        self._connect = partial(sqlite3.connect, *arguments, **options)

    def __call__(self) -> object:
        """Return another value after each commit of another connection."""
        try:
            with self._lock:
                return self._read()
        except sqlite3.Error:
            return object()  # equal to no other version

    def __del__(self) -> None:
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()

    def _read(self) -> tuple[int, int]:
        if self._connection is None or self._process != os.getpid():
            # A forked process must neither use nor close its parent's connection.
            self._inherited = self._connection
            self._connection = self._connect()
            self._process = os.getpid()
        # A forked process has a connection of its own, whose versions begin anew.
        return self._process, self._connection.execute("PRAGMA data_version").fetchone()[0]

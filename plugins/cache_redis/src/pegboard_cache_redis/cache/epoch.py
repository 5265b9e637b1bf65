"""The row that says whether caching is on, and in which epoch, as this process knows it.

A process trusts what it has read for `TRUST` seconds. One that turns caching off waits for `WAIT`
seconds: then no process takes a value from the cache any more. `activation` decides when.
"""

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Engine, Text, column, event, func, literal, select, update
from sqlalchemy import table as table_of
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from pegboard.cache import Transaction
from pegboard_cache_redis.models import table

logger = logging.getLogger(__name__)

TRUST = 1.5
"""Seconds for which a process trusts what it has read."""

WARNING_INTERVAL = 60.0
"""Seconds between two warnings that the state cannot be read."""

WAIT = 1.6
"""Seconds after which no process trusts an earlier state; more than `TRUST`, as clocks differ."""

ROW = select(table.columns.epoch, table.columns.enabled, table.columns.servers).where(
    table.columns.id == 1
)

DISABLE = (
    update(table)
    .where(table.columns.id == 1)
    .values(enabled=False, updated_at=func.current_timestamp())
)
"""Also executed when it is off: the row's lock keeps it off until the writer has committed."""

_EXISTS = {
    "postgresql": select(func.to_regclass(literal(table.name, Text))),
    "sqlite": select(column("name"))
    .select_from(table_of("sqlite_master"))
    .where(column("name", Text) == table.name),
}
"""Asks whether the transaction sees the table; a statement that needs it would end one."""


@dataclass(frozen=True, slots=True)
class EpochState:
    """The row as it was read."""

    epoch: int
    enabled: bool
    servers: frozenset[str]
    read_at: float
    """`time.monotonic` before the row was asked for."""

    @property
    def is_never_on(self) -> bool:
        """Whether caching has never been on."""
        return self.epoch == 0 and not self.enabled

    def is_same_epoch(self, other: "EpochState") -> bool:
        """Return whether caching is on in both, in one epoch."""
        return self.enabled and other.enabled and self.epoch == other.epoch


class EpochStore:
    """Reads and writes the row, and remembers it; callable from any thread."""

    def __init__(
        self, engine: Engine, keys: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`keys` names how keys are made: processes that make other keys share no epoch."""
        self._own_keys = keys
        self._keys = f"{keys}@"
        # Connections of its own, made like the app's: a writer needs the state while it holds one
        # of the app's, and hits need it when requests have taken all of those.
        self._engine = Engine(engine.pool.recreate(), engine.dialect, engine.url)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._opened = _watch_connections(self._engine)
        # An app that is garbage may have read the row after it closed its connections.
        weakref.finalize(self, _close, self._opened).atexit = False
        event.listen(engine, "engine_disposed", self._dispose)
        self._process = os.getpid()
        self._clock = clock
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._state: EpochState | None = None
        self._disabled_at: float | None = None
        self._vanished_at: float | None = None
        self._warned_at = -math.inf
        self.is_missing = False
        """Whether the table or its row is missing, as before the migrations."""
        self.disposals = 0
        """How often the app has closed its connections, and with them those of this store."""

    def join(self, schema_fingerprint: str) -> None:
        """Share epochs only with processes whose writes invalidate the same values."""
        self._keys = f"{self._own_keys}:{schema_fingerprint}@"

    def _dispose(self, _: Engine) -> None:
        """Close the connections; in a forked process, which must not touch them, forget them."""
        is_forked, self._process = self._process != os.getpid(), os.getpid()
        if is_forked:
            self._lock, self._reading = threading.Lock(), threading.Lock()
            self._opened.clear()
        with self._reading:
            self.disposals += 1
            self._engine.dispose(close=not is_forked)

    def trusted(self) -> EpochState | None:
        """Return the state as it was last read; None if that was too long ago to be trusted."""
        state = self._state
        if state is not None and self._clock() - state.read_at < TRUST:
            return state
        return None

    def current(self) -> EpochState | None:
        """Return the state, read again unless it is trusted; None if it cannot be read."""
        state = self.trusted()
        if state is not None:
            return state
        # One thread reads for all that wait.
        with self._reading:
            return self.trusted() or self._read()

    def refresh(self) -> EpochState | None:
        """Read the row; None if it cannot be read."""
        with self._reading:
            return self._read()

    def _read(self) -> EpochState | None:
        read_at = self._clock()
        try:
            with self._reader.connect() as connection:
                row = connection.execute(ROW).first()
        except DBAPIError as error:
            if not _is_missing_table(error):
                self.is_missing = False
                self._warn(error.orig, read_at)
                return None
            row = None
        except SQLAlchemyError as error:
            self._warn(error.args[0], read_at)  # without the link to SQLAlchemy's pages
            return None
        self._warned_at = -math.inf
        if row is None:
            self._note_missing()
            return None
        return self.note(row[0], row[1], row[2], read_at)

    def _warn(self, reason: object, now: float) -> None:
        """Log that the state cannot be read, but not for each request that asks for it."""
        if now - self._warned_at >= WARNING_INTERVAL:
            self._warned_at = now
            one_line = " ".join(str(reason).split())
            logger.warning("the state of the cache cannot be read: %s", one_line)

    def _note_missing(self) -> None:
        with self._lock:
            self.is_missing = True
            if self._state is not None:
                self._state, self._vanished_at = None, self._clock()

    def moment_if_missing(self) -> float | None:
        """Return when a write may be acknowledged, if the row is still missing; else None."""
        self.refresh()
        if not self.is_missing:
            return None
        # It may have been there a moment ago, and other processes may trust what they have read.
        return 0.0 if self._vanished_at is None else self._vanished_at + WAIT

    def is_dropped_by(self, transaction: Transaction) -> bool:
        """Return whether a transaction has dropped the table, as the downgrade to base does."""
        exists = _EXISTS.get(self._engine.dialect.name)
        return exists is not None and not any(row[0] for row in transaction.execute(exists))

    def read_after_commit(self, transaction: Transaction) -> EpochState | None:
        """Read the row on the connection of a writer, after its commit."""
        read_at = self._clock()
        rows = transaction.execute(ROW)
        transaction.commit()
        if not rows:
            return None
        epoch, enabled, servers = rows[0]
        return self.note(epoch, enabled, servers, read_at)

    def note(self, epoch: int, enabled: bool, servers: str, read_at: float) -> EpochState:  # noqa: FBT001 - a row
        """Remember what was read, unless something newer is known; returns the newest."""
        own = (name for name in servers.split() if name.startswith(self._keys))
        names = frozenset(name.removeprefix(self._keys) for name in own)
        state = EpochState(epoch, bool(enabled), names, read_at)
        now = self._clock()
        with self._lock:
            known = self._state
            if known is not None and known.read_at > read_at:
                return known
            self.is_missing = False
            if state.enabled:
                self._disabled_at = None
            elif self._disabled_at is None or known is None or known.epoch != state.epoch:
                self._disabled_at = now
            self._state = state
            return state

    def note_disabled(self) -> None:
        """Remember that this process has just turned caching off."""
        now = self._clock()
        with self._lock:
            # Even if it was known to be off: it may have been on again meanwhile.
            self._disabled_at = now
            if self._state is not None:
                self._state = replace(self._state, enabled=False, read_at=now)

    @property
    def trust_ends_at(self) -> float:
        """The moment from which no process takes values from the cache, now that it is off."""
        disabled_at = self._disabled_at
        return (self._clock() if disabled_at is None else disabled_at) + WAIT

    def disable(self) -> None:
        """Turn caching off, outside any transaction. Raises `SQLAlchemyError`."""
        with self._engine.begin() as connection:
            connection.execute(DISABLE)
        self.note_disabled()

    def _named(self, servers: frozenset[str]) -> str:
        return " ".join(sorted(self._keys + server for server in servers))

    @property
    def may_enable(self) -> bool:
        """Whether caching is off, and no process trusts an earlier epoch any more."""
        state = self._state
        if state is None or state.enabled:
            return False
        return state.is_never_on or self._clock() >= self.trust_ends_at

    def enable(self, servers: frozenset[str]) -> None:
        """Turn caching on in a new epoch, unless another process has; not before `may_enable`.

        Raises `SQLAlchemyError`.
        """
        state = self._state
        if state is None or not self.may_enable:
            return
        # A number never used before, even if the table was dropped and created anew: else what
        # Redis still holds of that epoch would be taken for valid.
        epoch = max(state.epoch + 1, int(time.time()))
        statement = (
            update(table)
            .where(
                table.columns.id == 1,
                table.columns.enabled.is_(False),
                table.columns.epoch == state.epoch,
            )
            .values(enabled=True, epoch=epoch, servers=self._named(servers))
        )
        with self._engine.begin() as connection:
            is_done = connection.execute(statement).rowcount == 1
        if is_done:
            logger.warning("caching is on, epoch %d", epoch)
        self.refresh()


def _watch_connections(engine: Engine) -> set[DBAPIConnection]:
    """Return a set that always has the open connections of an engine, and not the engine itself."""
    opened: set[DBAPIConnection] = set()
    event.listen(engine, "connect", lambda connection, _: opened.add(connection))
    event.listen(engine, "close", lambda connection, _: opened.discard(connection))
    return opened


def _close(opened: set[DBAPIConnection]) -> None:
    while opened:
        opened.pop().close()


def _is_missing_table(error: DBAPIError) -> bool:
    text = str(error.orig)
    if isinstance(error, ProgrammingError):
        return getattr(error.orig, "pgcode", None) == "42P01" or "cache_state" in text
    return isinstance(error, OperationalError) and "no such table" in text

"""Keeps the rules of the table in force, without a query on the path of a request.

While requests come, the table is read again in the background. Only the first request, and one that
comes after a quiet time, waits for that, and not for long.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from sqlalchemy import Engine
from sqlalchemy.pool import StaticPool

from pegboard import after_fork
from pegboard_ratelimit.rules import Rule, RuleBook, Stored, in_force, read_rows

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds from one reading to the next."""

TOLERATED = 4.0
"""Seconds after which rules are old: a request then waits for the reading."""

PATIENCE = 0.2
"""Seconds that it waits."""

FIRST_PATIENCE = 1.0
"""Seconds that the first requests of a process wait."""


class Keeper:
    """The rules of one app: those that never change, and those of the table as last read."""

    def __init__(
        self,
        engine: Engine,
        fixed: Iterable[Rule],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._fixed = tuple(fixed)
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: threading.Event | None = None
        self._patience = 0.0
        self._read_at: float | None = None
        self._has_failed = False
        self._broken: frozenset[Stored] = frozenset()
        self.book = RuleBook.of(self._fixed)
        """The rules in force; another object as soon as one of them is another."""
        self.due = -1.0
        """When to call `refresh`, by the clock."""
        after_fork(self, Keeper.reset)

    def reset(self) -> None:
        """Begin to read again; for a process just forked, in which no thread reads."""
        self._lock = threading.Lock()
        self._reading = None
        self.due = -1.0

    @property
    def broken(self) -> list[int]:
        """The numbers of the rules that are left out."""
        return sorted(row.number for row in self._broken)

    def refresh(self, now: float) -> None:
        """See to it that the rules are read again."""
        with self._lock:
            if self._reading is None:
                self._begin(now)
            reading = self._reading
            is_old = self._read_at is None or now - self._read_at > TOLERATED
            if not is_old or self._has_failed:
                # The requests of the next two seconds need not come here.
                self.due = now + INTERVAL
                return
        if reading is not None:
            reading.wait(max(0.0, self._patience - self._clock()))

    def _begin(self, now: float) -> None:
        if isinstance(self._engine.pool, StaticPool):
            # The one connection of a database in memory must not be used by another thread.
            self.read()
            return
        self._reading = threading.Event()
        self._patience = now + (FIRST_PATIENCE if self._read_at is None else PATIENCE)
        threading.Thread(target=self._read_and_tell, name="pegboard-ratelimit", daemon=True).start()

    def _read_and_tell(self) -> None:
        try:
            self.read()
        finally:
            reading, self._reading = self._reading, None
            if reading is not None:
                reading.set()

    def read(self) -> None:
        """Read the rules; if they cannot be read, the last ones stay in force."""
        try:
            self.load()
        except Exception as error:  # noqa: BLE001 - whatever it is, requests must be served
            if not self._has_failed:
                problem = " ".join(str(getattr(error, "orig", None) or error).split())
                logger.warning("the rules cannot be read, and the last ones hold: %s", problem)
            self._has_failed = True
            self.due = self._clock() + INTERVAL

    def load(self) -> None:
        """Read the rules. Raises what the database raises."""
        with self._engine.connect() as connection:
            rows = read_rows(connection)
        if self._has_failed:
            logger.info("the rules can be read again")
        self._report(rows)
        book = RuleBook.of((*self._fixed, *in_force(rows)))
        if book != self.book:
            self.book = book
        self._has_failed = False
        self._read_at = self._clock()
        self.due = self._read_at + INTERVAL

    def _report(self, rows: Iterable[Stored]) -> None:
        broken = frozenset(row for row in rows if row.rule is None)
        for row in sorted(broken - self._broken, key=lambda row: row.number):
            logger.error("rule %d is broken, and left out: %s", row.number, row.problem)
        self._broken = broken

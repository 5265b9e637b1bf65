"""Reading the rules of the table in the background, so that no request waits for a query.

While requests come, the table is read again every two seconds in a thread. Only the first request
of a process, and one after a quiet time, waits for that reading, and only for a moment.
"""

import logging
import threading
from collections.abc import Iterable

from sqlalchemy import Engine

from pegboard import after_fork, clock
from pegboard_ratelimit.rules import Rule, RuleBook, StoredRule, in_force, read_rows

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds from one reading to the next."""

MAX_AGE = 4.0
"""Seconds after which the rules are too old, and a request waits for the next reading."""

PATIENCE = 0.2
"""Seconds that such a request waits at most."""

FIRST_PATIENCE = 1.0
"""Seconds that the first requests of a process wait at most."""


_MOMENT = 0.5


class RuleRefresher:
    """The rules of one app: the fixed ones, and those of the table as they were last read."""

    def __init__(
        self,
        engine: Engine,
        fixed: Iterable[Rule],
    ) -> None:
        self._engine = engine
        self._fixed = tuple(fixed)
        self._lock = threading.Lock()
        self._reading: threading.Event | None = None
        self._patience = 0.0
        self._read_at: float | None = None
        self._has_failed = False
        self._broken: frozenset[StoredRule] = frozenset()
        self.book = RuleBook.of(self._fixed)
        """The rules in force; replaced by another object whenever a rule changes."""
        self.due = -1.0
        """The time of the clock from which `refresh` must be called."""
        after_fork(self, RuleRefresher.reset)

    def reset(self) -> None:
        """Start afresh in a forked process, which has no thread that reads."""
        self._lock = threading.Lock()
        self._reading = None
        self.due = -1.0

    @property
    def broken(self) -> list[int]:
        """The numbers of the rows that are left out because they cannot be read."""
        return sorted(row.number for row in self._broken)

    def would_wait(self, now: float) -> bool:
        """Return whether `refresh` would wait, if it was called now or in a moment."""
        if now < self.due or self._has_failed:
            return False
        return self._read_at is None or now - self._read_at > MAX_AGE - _MOMENT

    def refresh(self, now: float) -> None:
        """Start reading the rules again; wait for it, within limits, if they are too old."""
        with self._lock:
            if self._reading is None:
                self._begin(now)
            reading = self._reading
            is_old = self._read_at is None or now - self._read_at > MAX_AGE
            if not is_old or self._has_failed:
                # Requests of the next two seconds need not call this.
                self.due = now + INTERVAL
                return
        if reading is not None:
            reading.wait(max(0.0, self._patience - clock.monotonic()))

    def _begin(self, now: float) -> None:
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
        """Read the rules; if that fails, log it and keep the rules last read."""
        try:
            self.load()
        except Exception as error:  # noqa: BLE001 - requests must be served in any case
            if not self._has_failed:
                problem = " ".join(str(getattr(error, "orig", None) or error).split())
                logger.warning(
                    "the rules cannot be read, those last read stay in force: %s", problem
                )
            self._has_failed = True
            self.due = clock.monotonic() + INTERVAL

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
        self._read_at = clock.monotonic()
        self.due = self._read_at + INTERVAL

    def _report(self, rows: Iterable[StoredRule]) -> None:
        broken = frozenset(row for row in rows if row.rule is None)
        for row in sorted(broken - self._broken, key=lambda row: row.number):
            logger.error("rule %d is broken and left out: %s", row.number, row.problem)
        self._broken = broken

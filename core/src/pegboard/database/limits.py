"""The time limits of transactions on PostgreSQL, as the statements that set them."""

from dataclasses import dataclass
from functools import cached_property

from pegboard.database.watchdog import time_is_unlimited
from pegboard.deadline import seconds_left

_ANY = 0.001


@dataclass(frozen=True)
class Limits:
    """Time limits of PostgreSQL, in seconds."""

    connect: float
    statement: float
    lock: float

    def settings(self) -> str:
        """Return the statements that set them, and UTC as the time zone, for one transaction."""
        return self._unlimited_settings if time_is_unlimited() else self.within(seconds_left())

    def within(self, left: float) -> str:
        """Return the settings of a transaction for which there are so many seconds."""
        return self._limited_settings if left >= self.statement else self._settings(max(left, _ANY))

    def shortened(self) -> str:
        """Return what ends the next statement of a transaction with the time of the request."""
        left = seconds_left()
        if left >= self.statement or time_is_unlimited():
            return ""
        return f"SET LOCAL statement_timeout = {max(left, _ANY) * 1000:.0f};\n"

    @cached_property
    def _limited_settings(self) -> str:
        return self._settings(self.statement)

    @cached_property
    def _unlimited_settings(self) -> str:
        return self._settings(0)

    def _settings(self, statement: float) -> str:
        return (
            f"SET LOCAL statement_timeout = {statement * 1000:.0f}; "
            f"SET LOCAL lock_timeout = {self.lock * 1000:.0f}; SET LOCAL TimeZone = 'UTC';\n"
        )

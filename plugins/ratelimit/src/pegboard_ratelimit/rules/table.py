"""The rules of the table `ratelimit_rules`, read so that a broken row does not hide the others."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, LargeBinary, Text, cast, select

import pegboard
from pegboard_ratelimit.models import TEXT_LENGTH, table
from pegboard_ratelimit.rules.rule import Rule, Source, WrittenRule


@dataclass(frozen=True)
class StoredRule:
    """One row of the table, readable or not."""

    number: int
    text: WrittenRule
    note: str
    until: datetime | None = None
    rule: Rule | None = None
    """None if the row is broken; `problem` then says why."""
    problem: str = ""

    def is_over(self, now: datetime) -> bool:
        """Tell whether the rule has ended."""
        return self.until is not None and self.until <= now


_INFINITE = {
    "infinity": datetime.max,  # noqa: DTZ901 - times are naive UTC
    "-infinity": datetime.min,  # noqa: DTZ901 - times are naive UTC
}
"""How PostgreSQL writes times after and before all others."""

# All values are read as text, because one that the driver cannot convert would fail the whole
# query: PostgreSQL has times that Python has not, and SQLite may hold any type and invalid UTF-8.
_RAW = select(
    table.columns.id,
    *(
        cast(table.columns[name], Text().with_variant(LargeBinary(), "sqlite")).label(name)
        for name in ("limits", "client", "route", "methods", "on_failure", "until", "note")
    ),
).order_by(table.columns.id)


def read_rows(connection: Connection) -> list[StoredRule]:
    """Read all rows, the broken ones included."""
    return [_stored(*row) for row in connection.execute(_RAW)]


def in_force(rows: list[StoredRule]) -> list[Rule]:
    """Return the rules of the readable rows that have not ended."""
    now = pegboard.utcnow()
    return [row.rule for row in rows if row.rule is not None and not row.is_over(now)]


def _stored(number: int, *values: str | bytes | None) -> StoredRule:
    shown = [_shown(value) for value in values]
    limit, client, route, methods, on_failure, until, note = shown
    text = WrittenRule(limit, client, route, methods, on_failure)
    try:
        for value, read in zip(values[:-1], shown, strict=False):
            _check(value, read)
        rule = text.read(f"rule-{number}", Source.ROW, number)
        ending = parse_time(until)
    except ValueError as error:
        return StoredRule(number, text, note, problem=str(error))
    return StoredRule(number, text, note, ending, rule)


def _shown(value: str | bytes | None) -> str:
    """Return any value as text that can be shown to an operator."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value or ""
    return text[:TEXT_LENGTH]


def _check(value: str | bytes | None, shown: str) -> None:
    """Raise `ValueError` unless the shown text is the whole value."""
    if shown.encode() != (value.encode() if isinstance(value, str) else value or b""):
        message = f"{shown!r} is not UTF-8 text of at most {TEXT_LENGTH} characters."
        raise ValueError(message)


def parse_time(text: str) -> datetime | None:
    """Read a time, in UTC unless it has an offset; return None for the empty text.

    Raises `ValueError`.
    """
    if not text:
        return None
    if text in _INFINITE:
        return _INFINITE[text]
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        message = f"{text!r} is not a time such as 2030-01-31T18:00."
        raise ValueError(message) from None
    return found

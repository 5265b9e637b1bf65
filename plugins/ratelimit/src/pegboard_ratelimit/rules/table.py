"""The rules in the table: read whatever is there, and told apart from what is broken."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, LargeBinary, Text, cast, select

import pegboard
from pegboard_ratelimit.models import TEXT_LENGTH, table
from pegboard_ratelimit.rules.rule import Rule, Source, WrittenRule


@dataclass(frozen=True)
class Stored:
    """One row, as an operator sees it."""

    number: int
    text: WrittenRule
    note: str
    until: datetime | None = None
    rule: Rule | None = None
    """None: the row is broken."""
    problem: str = ""

    def is_over(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return self.until is not None and self.until <= now


_INFINITE = {
    "infinity": datetime.max,  # noqa: DTZ901 - times are naive UTC
    "-infinity": datetime.min,  # noqa: DTZ901 - likewise
}
"""How PostgreSQL writes what is later or earlier than all times."""

# A value that the driver cannot convert would fail all rows: PostgreSQL has times that Python has
# not, and what SQLite holds may be of any type, and no UTF-8.
_RAW = select(
    table.columns.id,
    *(
        cast(table.columns[name], Text().with_variant(LargeBinary(), "sqlite")).label(name)
        for name in ("limits", "client", "route", "methods", "on_failure", "until", "note")
    ),
).order_by(table.columns.id)


def read_rows(connection: Connection) -> list[Stored]:
    """Read all rows; none that is broken hinders the others."""
    return [_stored(*row) for row in connection.execute(_RAW)]


def in_force(rows: list[Stored]) -> list[Rule]:
    """Return the rules of the rows that are not over."""
    now = pegboard.utcnow()
    return [row.rule for row in rows if row.rule is not None and not row.is_over(now)]


def _stored(number: int, *values: str | bytes | None) -> Stored:
    shown = [_shown(value) for value in values]
    limit, client, route, methods, on_failure, until, note = shown
    text = WrittenRule(limit, client, route, methods, on_failure)
    try:
        for value, read in zip(values[:-1], shown, strict=False):
            _check(value, read)
        rule = text.read(f"rule-{number}", Source.ROW, number)
        ending = parse_time(until)
    except ValueError as error:
        return Stored(number, text, note, problem=str(error))
    return Stored(number, text, note, ending, rule)


def _shown(value: str | bytes | None) -> str:
    """Return a value as an operator may see it, whatever it is."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value or ""
    return text[:TEXT_LENGTH]


def _check(value: str | bytes | None, shown: str) -> None:
    """Raise `ValueError` for what cannot be shown as it is."""
    if shown.encode() != (value.encode() if isinstance(value, str) else value or b""):
        message = f"{shown!r} is no text in UTF-8 of at most {TEXT_LENGTH} characters."
        raise ValueError(message)


def parse_time(text: str) -> datetime | None:
    """Read a time, UTC where it does not say otherwise. Raises `ValueError`."""
    if not text:
        return None
    if text in _INFINITE:
        return _INFINITE[text]
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        message = f"{text!r} is no time, as in 2030-01-31T18:00."
        raise ValueError(message) from None
    return found

"""The rules in the table: read whatever is there, and told apart from what is broken."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, String, select, type_coerce

import pegboard
from pegboard_ratelimit.models import table
from pegboard_ratelimit.rules import Rule, Source, Text


@dataclass(frozen=True)
class Stored:
    """One row, as an operator sees it."""

    number: int
    text: Text
    note: str
    until: datetime | None = None
    rule: Rule | None = None
    """None: the row is broken."""
    problem: str = ""

    def is_over(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return self.until is not None and self.until <= now


# What SQLite holds may be of any type; what it holds as a time need not be one.
_RAW = select(
    table.columns.id,
    *(
        type_coerce(table.columns[name], String).label(name)
        for name in ("client", "route", "methods", "limits", "on_failure", "until", "note")
    ),
).order_by(table.columns.id)


def read_rows(connection: Connection) -> list[Stored]:
    """Read all rows; none that is broken hinders the others."""
    return [_stored(row) for row in connection.execute(_RAW)]


def in_force(rows: list[Stored]) -> list[Rule]:
    """Return the rules of the rows that are not over."""
    now = pegboard.utcnow()
    return [row.rule for row in rows if row.rule is not None and not row.is_over(now)]


def _stored(row: Row[Any]) -> Stored:
    client, route, methods, limit, on_failure, note = (
        "" if value is None else str(value)
        for value in (row.client, row.route, row.methods, row.limits, row.on_failure, row.note)
    )
    number = int(row.id)
    text = Text(limit, client, route, methods, on_failure)
    try:
        rule = text.read(f"rule-{number}", Source.ROW, number)
        until = parse_time(row.until)
    except ValueError as error:
        return Stored(number, text, note, problem=str(error))
    return Stored(number, text, note, until, rule)


def parse_time(value: object) -> datetime | None:
    """Read a time, UTC where it does not say otherwise. Raises `ValueError`."""
    if value is None or value == "":
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        message = f"{value!r} is no time, as in 2030-01-31T18:00."
        raise ValueError(message) from None
    return found

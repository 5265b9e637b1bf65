"""Values of types that have an order, such as numbers and dates, beside others of their type."""

from datetime import date, datetime, time, timedelta
from typing import Any


def moved(value: Any, steps: int) -> Any:
    """Return a value moved by steps of its type; None if there is none, or no such type.

    A step is so large that a value which is sent in part, as a time without seconds, differs too.
    """
    if not steps:
        return value
    try:
        if isinstance(value, time):
            there = datetime.combine(date(2000, 1, 1), value) + timedelta(minutes=steps)
            return there.timetz() if there.day == 1 else None
        if isinstance(value, date):  # or a datetime
            return value + timedelta(days=steps)
        return value + (timedelta(seconds=steps) if isinstance(value, timedelta) else steps)
    except (OverflowError, TypeError):
        return None


def between(low: Any, high: Any) -> Any:
    """Return the value in the middle of two; None if there is none."""
    try:
        return low + (high - low) / 2
    except (OverflowError, TypeError):
        return None

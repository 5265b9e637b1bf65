"""Rules in words, as the commands print them."""

from datetime import datetime

from flask import current_app

from pegboard_ratelimit.enforcement import matches_any_route
from pegboard_ratelimit.rules import Rule, StoredRule

NO_ROUTE = "matches no route"
"""What is said of a rule without effect."""


def describe(rule: Rule) -> str:
    """Return what a rule says, without its name."""
    return rule.in_words


def describe_row(row: StoredRule, now: datetime) -> str:
    """Return what a row of the table says, and whether it has any effect now (in UTC)."""
    if row.rule is None:
        text = row.text
        shown = f"{text.limit!r} for {text.client!r} at {text.methods!r} {text.route!r}"
        return f"BROKEN, left out: {row.problem} ({shown})"
    parts = [describe(row.rule)]
    if row.until is not None:
        ending = f"{row.until:%Y-%m-%dT%H:%M:%S} UTC"
        parts.append(f"ended {ending}" if row.is_over(now) else f"until {ending}")
    if not matches_any_route(current_app, row.rule):
        parts.append(NO_ROUTE)
    described = ", ".join(parts)
    return f"{described} ({row.note})" if row.note else described


def printable(text: str) -> str:
    """Return a text with control characters escaped, so that it cannot steer the terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )

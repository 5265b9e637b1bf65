"""Limits such as `100/minute;10/second`: their values, and how to read and write them."""

import re
from dataclasses import dataclass
from functools import cached_property

SECOND = 1_000_000
"""Microseconds in a second; the limiter counts time in whole microseconds."""

MAX_QUOTA = 1_000_000_000
MAX_WINDOW = 31 * 24 * 3600
MAX_POLICIES = 4

RUNS = 50
"""The grain of a window is this fraction of it; see `counting.sliding_window`."""

UNLIMITED = "none"
"""The text that stands for the absence of a limit."""

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_ABBREVIATIONS = {
    **{unit: unit for unit in _UNITS},
    **{f"{unit}s": unit for unit in _UNITS},
    **{unit[0]: unit for unit in _UNITS},
    "sec": "second",
    "secs": "second",
    "min": "minute",
    "mins": "minute",
}
_POLICY = re.compile(r"(\d{1,12})\s*/\s*(\d{0,9})\s*([a-z]+)", re.ASCII | re.IGNORECASE)


class LimitError(ValueError):
    """Raised for a limit that cannot be read; the message is a sentence saying why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `quota` requests in any window of `window` seconds."""

    quota: int
    """How many requests."""
    window: int
    """For how long, in seconds."""

    @property
    def span(self) -> int:
        """The window, in microseconds."""
        return self.window * SECOND

    @property
    def grain(self) -> int:
        """The longest run of requests that are counted as one, in microseconds.

        0 for a small quota, whose requests are counted one by one.
        """
        return self.span // RUNS if self.quota > RUNS else 0

    @property
    def period(self) -> str:
        """The window in words, such as `minute` or `2-seconds`."""
        unit, seconds = next(one for one in reversed(_UNITS.items()) if not self.window % one[1])
        count = self.window // seconds
        return unit if count == 1 else f"{count}-{unit}s"

    def __str__(self) -> str:
        count, _, unit = self.period.rpartition("-")
        return f"{self.quota}/{count}{' ' if count else ''}{unit}"


@dataclass(frozen=True)
class Limit:
    """Policies that apply together: a request is counted by all of them or by none."""

    policies: tuple[Policy, ...]
    """At least one; none is like another."""

    def __str__(self) -> str:
        return ";".join(map(str, self.policies))

    @cached_property
    def span(self) -> int:
        """The longest window, in microseconds."""
        return max(self.spans)

    @cached_property
    def spans(self) -> tuple[int, ...]:
        """All windows, in microseconds."""
        return tuple(policy.span for policy in self.policies)

    @cached_property
    def terms(self) -> tuple[tuple[int, int, int], ...]:
        """The quota, span and grain of each policy."""
        return tuple((policy.quota, policy.span, policy.grain) for policy in self.policies)

    def is_exceeded_by(self, workers: int) -> bool:
        """Tell whether that many workers exceed it even if each admits only one request."""
        return any(policy.quota < workers for policy in self.policies)

    def shared_by(self, workers: int) -> "Limit":
        """Return the limit for each of that many workers, which together keep this one."""
        return Limit(
            tuple(Policy(share(policy.quota, workers), policy.window) for policy in self.policies)
        )


def share(requests: int, workers: int) -> int:
    """Return how many of the requests each worker may admit: at least one."""
    return max(1, requests // workers)


def parse_limit(text: str) -> Limit | None:
    """Read `100/minute;10/second` or `10/2s`; return None for `none`, which is no limit.

    Raises `LimitError`.
    """
    if text.strip().lower() == UNLIMITED:
        return None
    policies = tuple(map(_parse_policy, text.split(";")))
    windows = [policy.window for policy in policies]
    if len(set(windows)) < len(windows):
        message = f"{text!r} has two limits for the same window."
        raise LimitError(message)
    if len(policies) > MAX_POLICIES:
        message = f"{text!r} has more than {MAX_POLICIES} parts."
        raise LimitError(message)
    return Limit(policies)


def _parse_policy(text: str) -> Policy:
    found = _POLICY.fullmatch(text.strip())
    if not found or found[3].lower() not in _ABBREVIATIONS:
        message = (
            f"{text.strip()!r} is not a limit: write 100/minute, 10/2s, "
            f"several as 100/minute;10/second, or {UNLIMITED}; units: {', '.join(_UNITS)}."
        )
        raise LimitError(message)
    quota = int(found[1])
    window = int(found[2] or 1) * _UNITS[_ABBREVIATIONS[found[3].lower()]]
    if not 1 <= quota <= MAX_QUOTA:
        message = f"{text.strip()!r}: the number of requests is from 1 to {MAX_QUOTA}."
        raise LimitError(message)
    if not 1 <= window <= MAX_WINDOW:
        message = f"{text.strip()!r}: the time is from 1 second to {MAX_WINDOW // 86400} days."
        raise LimitError(message)
    return Policy(quota, window)

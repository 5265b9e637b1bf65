"""Until when the request that is being served has to be answered."""

import math
import re
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_KEY = "HTTP_REQUEST_TIMEOUT"
"""The key in the WSGI environment of the header by which a client says how long it waits."""

_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}

_EARLY = 0.01
"""Seconds by which a timer may be early."""


class Deadline:
    """The end of the time of one request."""

    __slots__ = ("_ends_at", "interrupts", "is_asked", "seconds")

    def __init__(self, seconds: float, passed: float = 0.0) -> None:
        """Begin the time of a request, of which some seconds may have passed."""
        self.seconds = seconds
        """How long it was at the beginning; infinite for one without an end."""
        self.is_asked = False
        """Whether the client has asked for less time than the service gives."""
        self._ends_at = time.monotonic() + seconds - passed
        self.interrupts: set[Callable[[], object]] = set()
        """What ends the work that is under way for the request; callable from any thread."""

    @property
    def left(self) -> float:
        """Seconds that are left; negative when the time is over."""
        return self._ends_at - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is over, or so nearly that a timer says so."""
        return self.left <= _EARLY

    def lift(self) -> None:
        """Let the request take as long as it needs, as its answer has begun."""
        self._ends_at = math.inf


_current: ContextVar[Deadline | None] = ContextVar("pegboard_deadline", default=None)


def begin_deadline(longest: float, asked: str | None, passed: float = 0.0) -> Deadline:
    """Begin the time of the request of the current context: `longest`, or less if it asks for less.

    It arrived before as many seconds as have `passed`.
    `asked` is the value of the header `Request-Timeout`, as in `1.5`, `2s`, `500ms` or `1m`; what
    cannot be understood is ignored.
    """
    seconds = longest
    if asked is not None and (found := _TIME.fullmatch(asked.strip())) is not None:
        seconds = min(longest, float(found[1]) * _UNITS[found[2] or "s"])
    deadline = Deadline(seconds, passed)
    deadline.is_asked = seconds < longest
    _current.set(deadline)
    return deadline


def current_deadline() -> Deadline | None:
    """Return the end of the time of the current request; None outside of requests."""
    return _current.get()


def forget_deadline() -> None:
    """Do in the current context what is not done for a request alone."""
    _current.set(None)


def seconds_left() -> float:
    """Return how much time is left to the current request; infinite outside of requests."""
    deadline = _current.get()
    return math.inf if deadline is None else deadline.left


def lift_deadline() -> None:
    """Let the current request take as long as it needs."""
    if (deadline := _current.get()) is not None:
        deadline.lift()

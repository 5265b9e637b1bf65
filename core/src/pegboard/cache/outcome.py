"""How an answer of a cached view came about, and how `Cache-Status` (RFC 9211) says it."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pegboard.cache.strategy import MissReason


class Source(StrEnum):
    """Where an answer comes from, as a parameter of `Cache-Status`."""

    CACHE = "hit"
    VIEW = "fwd=miss"
    """From the view, as nothing was cached."""
    BYPASS = "fwd=bypass"
    """From the view, as the cache was not to be used."""


class Detail(StrEnum):
    """What else an operator may want to know, besides the reason of a miss."""

    SHARED = "shared"
    FILLED_ELSEWHERE = "filled-elsewhere"
    NOT_SHARED = "not-shared"
    NOT_STORED = "not-stored"


@dataclass(frozen=True)
class Outcome:
    """How an answer came about."""

    source: Source
    detail: Detail | MissReason | None = None
    is_stored: bool = False
    """Whether the answer is in the cache now."""

    @cached_property
    def cache_status(self) -> str:
        """The value of the header `Cache-Status`."""
        stored = ["stored"] if self.is_stored else []
        detail = [] if self.detail is None else [f"detail={self.detail}"]
        return "; ".join(["pegboard", self.source, *stored, *detail])


HIT = Outcome(Source.CACHE)
SHARED = Outcome(Source.CACHE, Detail.SHARED)
"""Another request of this process read it at the same moment."""
FILLED_ELSEWHERE = Outcome(Source.CACHE, Detail.FILLED_ELSEWHERE)
"""Another process filled it at the same moment."""
STORED = Outcome(Source.VIEW, is_stored=True)
NOT_STORED = Outcome(Source.VIEW, Detail.NOT_STORED)
"""It may not be cached, or something was written meanwhile."""
NOT_SHARED = Outcome(Source.VIEW, Detail.NOT_SHARED)
"""Another request was reading it, and has not filled the cache."""


def missed(reason: MissReason) -> Outcome:
    """Return the outcome of a request that was given no lease."""
    return Outcome(Source.VIEW, reason)


def bypassed(reason: MissReason) -> Outcome:
    """Return the outcome of a request that asked for no lease."""
    return Outcome(Source.BYPASS, reason)

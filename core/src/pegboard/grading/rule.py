"""What a rule of the grade is, and what its checker can find."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from pegboard.grading.evidence import Evidence


class Tier(IntEnum):
    """The grades, the lowest first; each needs the rules of those below it."""

    NONE = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3
    PLATINUM = 4

    @property
    def label(self) -> str:
        """The name that is written in a file and shown."""
        return self.name.lower()


class Outcome(StrEnum):
    """What became of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    EXEMPT = "exempt"
    """The plugin's file gives a reason why the rule does not hold for it."""
    NOT_APPLICABLE = "not applicable"
    """The checker found nothing that the rule is about, as for tables in a plugin without any."""
    UNKNOWN = "unknown"
    """The rule could not be checked, as without the source; it does not count as passed."""


COUNTED = frozenset({Outcome.PASSED, Outcome.EXEMPT, Outcome.NOT_APPLICABLE})
"""The outcomes that do not keep a plugin from a grade."""


@dataclass(frozen=True)
class Finding:
    """What a checker found, and in which places."""

    outcome: Outcome
    details: tuple[str, ...]


def passed(text: str) -> Finding:
    """Return that the rule holds, and by what."""
    return Finding(Outcome.PASSED, (text,))


def failed(*details: str) -> Finding:
    """Return that the rule does not hold, with each place, and what to do there."""
    return Finding(Outcome.FAILED, details)


def not_applicable(text: str) -> Finding:
    """Return that the plugin has nothing that the rule is about."""
    return Finding(Outcome.NOT_APPLICABLE, (text,))


def unknown(text: str) -> Finding:
    """Return that the rule cannot be checked, and what it needs."""
    return Finding(Outcome.UNKNOWN, (text,))


def judged(mistakes: list[str], fine: str) -> Finding:
    """Return that the rule holds if there are no mistakes, else these."""
    return failed(*mistakes) if mistakes else passed(fine)


@dataclass(frozen=True)
class GradeRule:
    """One rule of a tier."""

    id: str
    """Its name in files, and its section of the page of all rules."""
    tier: Tier
    sentence: str
    """What is true of a plugin that passes."""
    advice: str
    """What an author does to pass, and what is checked, in a few sentences."""
    check: Callable[[Evidence], Finding]
    """Finds whether the rule holds; raises `Unavailable` for evidence that cannot be had."""
    may_be_exempt: bool = True
    """Whether a plugin's file may give a reason instead."""

    @property
    def section(self) -> str:
        """The section of the documentation that describes the rule."""
        return f"how-to/grade.md#{self.id}"

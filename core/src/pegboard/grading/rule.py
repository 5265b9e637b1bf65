"""What a rule of the grade is, and what its checker can find."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from pegboard.grading.documented import names
from pegboard.grading.evidence import Evidence
from pegboard.grading.started import Event


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
    """The rule allows that, and what the plugin's file says as the reason is so."""
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


def judged_events(events: Sequence[Event], own: str, fine: str) -> Finding:
    """Return that the rule holds if nothing happened, else what did, and by which package."""
    texts = [one.text if one.package == own else f"{one.text}, by {one.package}" for one in events]
    return judged(texts, fine)


@dataclass(frozen=True)
class Exemption:
    """When a plugin may be exempt from a rule."""

    condition: str
    """What must be so, and what the reason has to name; goes on after "A plugin may be exempt"."""
    check: Callable[[Evidence, str], list[str]]
    """Returns what of it is not so, by the reason that is given."""


def libraries_do(deed: str, events: Callable[[Evidence], Sequence[Event]]) -> Exemption:
    """Return the exemption from a rule that only libraries break; `deed` is what they do."""

    def check(evidence: Evidence, reason: str) -> list[str]:
        return [*_not_of_libraries(events(evidence), evidence.subject.package, reason)]

    return Exemption(
        f"where libraries {deed}, and neither its own code nor Pegboard's does; the reason names "
        "the import package of each.",
        check,
    )


def _not_of_libraries(events: Sequence[Event], own: str, reason: str) -> Iterator[str]:
    for one in events:
        if one.package == own or one.package.startswith("pegboard"):
            yield f"{one.text}: that is {one.package}, and no library"
        elif not names(reason, one.package):
            yield f"{one.text}: that is {one.package}, which the reason does not name"


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
    exemption: Exemption | None = None
    """When a plugin's file may give a reason instead; None if no plugin may be exempt."""

    @property
    def section(self) -> str:
        """The section of the documentation that describes the rule."""
        return f"how-to/grade.md#{self.id}"

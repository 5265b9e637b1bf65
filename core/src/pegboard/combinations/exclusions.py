"""A file of failures that are known, each with its reason.

    # distribution        test                               reason
    pegboard-audit        tests/test_log.py::test_order*     # waits for audit 2.1, issue 14
    pegboard-mail                                            # has no tests in its sdist

A line without a test is for all of the distribution. In the name of a test `*` is any text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from packaging.utils import canonicalize_name


class ExclusionError(Exception):
    """A line says no reason, or is none."""


@dataclass(frozen=True)
class Exclusion:
    """A failure that is known."""

    place: str
    """File and line."""
    distribution: str
    """The canonical name."""
    test: str | None
    """The test's id, in which `*` is any text; None means all, and also what prevents tests."""
    reason: str

    def covers(self, distribution: str, test: str | None) -> bool:
        """Return whether it is this failure; None is one before any test."""
        if distribution != self.distribution:
            return False
        if self.test is None:
            return True
        pattern = ".*".join(map(re.escape, self.test.split("*")))
        return test is not None and re.fullmatch(pattern, test) is not None

    def __str__(self) -> str:
        return f"{self.place}: {self.distribution} {self.test or ''}".rstrip()


def read_exclusions(path: Path) -> tuple[Exclusion, ...]:
    """Return the exclusions of a file. Raises `ExclusionError` that names all wrong lines."""
    found, wrong = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text, _, reason = map(str.strip, line.partition(" #"))
        if not text or text.startswith("#"):
            continue
        place, words = f"{path}:{number}", text.split()
        if not reason:
            wrong.append(f"{place}: {text} has no reason: write it behind ' #'")
        elif len(words) > 2:  # noqa: PLR2004 - a distribution and a test
            wrong.append(f"{place}: {text} is more than a distribution and a test")
        else:
            name, test = words[0], words[1] if len(words) > 1 else None
            found.append(Exclusion(place, canonicalize_name(name), test, reason))
    if wrong:
        raise ExclusionError("\n".join(wrong))
    return tuple(found)


def unneeded(
    exclusions: Iterable[Exclusion], failures: Iterable[tuple[str, str | None]], ran: set[str]
) -> list[Exclusion]:
    """Return the exclusions of distributions that ran which no failure needs any more."""
    known = [*failures]
    return [
        one
        for one in exclusions
        if one.distribution in ran and not any(one.covers(*failure) for failure in known)
    ]


def misspelled(exclusions: Iterable[Exclusion], known: Iterable[str]) -> list[str]:
    """Return, of each exclusion of a distribution that is not known, what to say."""
    names = sorted(known)
    told = []
    for exclusion in exclusions:
        if exclusion.distribution not in names:
            near = get_close_matches(exclusion.distribution, names, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            told.append(f"{exclusion}: no such distribution with plugins is installed.{hint}")
    return told

"""Grading a plugin: every rule is checked, exemptions and claims are compared."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegboard.grading import bronze, gold, platinum, silver
from pegboard.grading.errors import Unavailable
from pegboard.grading.evidence import Evidence
from pegboard.grading.options import Options, check_rules
from pegboard.grading.rule import COUNTED, GradeRule, Outcome, Tier, unknown
from pegboard.grading.subject import find_claims, find_subject

RULES: tuple[GradeRule, ...] = (*bronze.RULES, *silver.RULES, *gold.RULES, *platinum.RULES)
"""All rules, those of the lowest tier first."""

TIERS = tuple(tier.label for tier in Tier if tier)
"""The names of the tiers, the lowest first."""


@dataclass(frozen=True)
class Verdict:
    """What became of one rule."""

    rule: GradeRule
    outcome: Outcome
    details: tuple[str, ...]
    """What the checker found, or the reason of an exemption."""
    is_needless: bool = False
    """Whether there is an exemption that the plugin does not need: it passes."""

    @property
    def counts(self) -> bool:
        """Whether the rule does not keep the plugin from its tier."""
        return self.outcome in COUNTED


@dataclass(frozen=True)
class Report:
    """The grade of a plugin."""

    plugin: str
    distribution: str
    version: str
    has_source: bool
    """Whether the source was there; without it no plugin has a grade."""
    verdicts: tuple[Verdict, ...]
    claim: Tier | None
    """The tier that the plugin claims."""
    done: frozenset[str]
    """The rules that it says it passes."""

    @property
    def grade(self) -> Tier:
        """The highest tier of which, and of those below, no rule is left."""
        reached = Tier.NONE
        for tier in list(Tier)[1:]:
            if not all(one.counts for one in self.verdicts if one.rule.tier == tier):
                break
            reached = tier
        return reached

    @property
    def contradictions(self) -> tuple[str, ...]:
        """Where the plugin says of itself what the checkers do not confirm."""
        return tuple(self._contradictions())

    def _contradictions(self) -> Iterator[str]:
        for one in self.verdicts:
            if one.counts:
                continue
            if self.claim is not None and one.rule.tier <= self.claim:
                yield f"it claims {self.claim.label}, and {one.rule.id} is {one.outcome}"
            elif one.rule.id in self.done:
                yield f"it says that {one.rule.id} is done, and that is {one.outcome}"


def claimed_grades() -> dict[str, str]:
    """Return the tiers that installed plugins claim, by plugin; nothing is checked or imported."""
    return find_claims(TIERS)


def grade(
    name: str,
    source: Path | None = None,
    results: Sequence[Path] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Grade an installed plugin.

    `source` is the folder of its pyproject.toml, by default that of an editable installation or the
    current one. `results` are files and folders with reports of pytest and data of coverage;
    without them its tests are run here. `tell` is called with a line before what takes long. Raises
    `GradeError` for a plugin that cannot be graded.
    """
    subject = find_subject(name, TIERS, source)
    check_rules(subject.options, {rule.id: rule.exemption is not None for rule in RULES})
    evidence = Evidence(subject, results, tell)
    verdicts = tuple(_judge(rule, evidence, subject.options) for rule in RULES)
    claim = subject.options.claim
    return Report(
        name,
        subject.distribution,
        subject.version,
        subject.source_folder is not None,
        verdicts,
        Tier[claim.upper()] if claim else None,
        frozenset(subject.options.done),
    )


def _judge(rule: GradeRule, evidence: Evidence, options: Options) -> Verdict:
    try:
        finding = rule.check(evidence)
    except Unavailable as error:
        finding = unknown(str(error))
    reason = options.exempt.get(rule.id)
    if reason is None or rule.exemption is None:
        return Verdict(rule, finding.outcome, finding.details)
    if finding.outcome in {Outcome.PASSED, Outcome.NOT_APPLICABLE}:
        return Verdict(rule, finding.outcome, finding.details, is_needless=True)
    if finding.outcome == Outcome.UNKNOWN:
        return Verdict(rule, finding.outcome, finding.details)
    if mistakes := rule.exemption.check(evidence, reason):
        refused = (f"it is not exempt: {one}" for one in mistakes)
        return Verdict(rule, finding.outcome, (*finding.details, *refused))
    return Verdict(rule, Outcome.EXEMPT, (reason,))

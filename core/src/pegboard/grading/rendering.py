"""A report as text, as JSON and as a badge."""

import json
from collections.abc import Iterator
from xml.sax.saxutils import escape

from pegboard.grading.report import Report, Verdict
from pegboard.grading.rule import Outcome, Tier

MARKS = {
    Outcome.PASSED: "ok",
    Outcome.FAILED: "FAILED",
    Outcome.EXEMPT: "exempt",
    Outcome.NOT_APPLICABLE: "-",
    Outcome.UNKNOWN: "unknown",
}
COLOURS = {
    Tier.NONE: "#6b6b6b",
    Tier.BRONZE: "#8a5a2b",
    Tier.SILVER: "#5f6b76",
    Tier.GOLD: "#8a6d00",
    Tier.PLATINUM: "#2f6f8f",
}
"""Of the badge; white text on each has a contrast of at least 4.5."""

_BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="{label}: {value}">
<title>{label}: {value}</title>
<rect width="{width}" height="20" rx="3" fill="#333"/>
<path d="M{left} 0h{right_less}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right_less}z" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="6" y="14" textLength="{label_length}">{label}</text>
<text x="{value_x}" y="14" textLength="{value_length}">{value}</text>
</g>
</svg>
"""
_LETTER = 7
"""Pixels of a letter, on average; `textLength` makes every font as wide."""


def render_text(report: Report) -> str:
    """Return a report for people: each tier with its rules, then what is wrong."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.plugin} ({report.distribution} {report.version}): {report.grade.label}"
    for tier in list(Tier)[1:]:
        verdicts = [one for one in report.verdicts if one.rule.tier == tier]
        yield ""
        yield f"{tier.label} ({sum(one.counts for one in verdicts)} of {len(verdicts)})"
        for one in verdicts:
            yield from _lines_of(one)
    if not report.has_source:
        yield ""
        yield (
            "Without the source its tests cannot be run, and its table of the grade is read only "
            "if the wheel carries it: such a plugin reaches no grade."
        )
    if contradictions := report.contradictions:
        yield ""
        yield "What it says of itself is not so:"
        yield from (f"  {one}" for one in contradictions)


def _lines_of(one: Verdict) -> Iterator[str]:
    first, *rest = one.details or ("",)
    yield f"  {MARKS[one.outcome]:8} {one.rule.id:26} {first}"
    yield from (f"{'':38}{detail}" for detail in rest)
    if one.is_needless:
        yield f"{'':38}its exemption is not needed: remove it"
    if not one.counts:
        yield f"{'':38}{one.rule.section}"


def render_json(report: Report) -> str:
    """Return a report for programs, as one JSON document."""
    found = {
        "plugin": report.plugin,
        "distribution": report.distribution,
        "version": report.version,
        "has_source": report.has_source,
        "grade": report.grade.label,
        "claim": report.claim.label if report.claim else None,
        "contradictions": report.contradictions,
        "rules": [
            {
                "id": one.rule.id,
                "tier": one.rule.tier.label,
                "sentence": one.rule.sentence,
                "section": one.rule.section,
                "outcome": one.outcome,
                "details": one.details,
                "is_needless": one.is_needless,
            }
            for one in report.verdicts
        ],
    }
    return json.dumps(found, indent=2)


def render_badge(report: Report) -> str:
    """Return the grade as a picture in SVG."""
    label, value = f"pegboard {report.plugin}", report.grade.label
    label_length, value_length = _LETTER * len(label), _LETTER * len(value)
    left, right = label_length + 12, value_length + 12
    return _BADGE.format(
        label=escape(label, {'"': "&quot;"}),
        value=value,
        width=left + right,
        left=left,
        right_less=right - 3,
        colour=COLOURS[report.grade],
        label_length=label_length,
        value_x=left + 6,
        value_length=value_length,
    )

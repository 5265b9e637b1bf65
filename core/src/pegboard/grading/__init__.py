"""The grade of a plugin: rules in four tiers, each with a checker, and what a plugin claims.

Only the command `pegboard plugins grade`, those that show a grade, and the contracts of the testing
kit, which ask the same of a plugin, import this package; a service that serves does not.
"""

from pegboard.grading.documented import undocumented_hooks, undocumented_settings
from pegboard.grading.errors import GradeError
from pegboard.grading.import_watch import (
    HOSTS,
    Effect,
    import_watched,
    is_within,
    line_that_runs,
    place_of,
)
from pegboard.grading.rendering import render_badge, render_json, render_text
from pegboard.grading.report import RULES, TIERS, Report, Verdict, claimed_grades, grade
from pegboard.grading.rule import GradeRule, Outcome, Tier

__all__ = [
    "HOSTS",
    "RULES",
    "TIERS",
    "Effect",
    "GradeError",
    "GradeRule",
    "Outcome",
    "Report",
    "Tier",
    "Verdict",
    "claimed_grades",
    "grade",
    "import_watched",
    "is_within",
    "line_that_runs",
    "place_of",
    "render_badge",
    "render_json",
    "render_text",
    "undocumented_hooks",
    "undocumented_settings",
]

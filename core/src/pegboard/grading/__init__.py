"""The grade of a plugin: rules in four tiers, each with a checker, and what a plugin claims.

Only the command `pegboard plugins grade` and those that show a grade import this package; a service
that serves does not.
"""

from pegboard.grading.errors import GradeError
from pegboard.grading.rendering import render_badge, render_json, render_text
from pegboard.grading.report import RULES, TIERS, Report, Verdict, grade
from pegboard.grading.rule import GradeRule, Outcome, Tier
from pegboard.grading.subject import claimed_grade

__all__ = [
    "RULES",
    "TIERS",
    "GradeError",
    "GradeRule",
    "Outcome",
    "Report",
    "Tier",
    "Verdict",
    "claimed_grade",
    "grade",
    "render_badge",
    "render_json",
    "render_text",
]

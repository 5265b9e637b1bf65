"""Which limits hold where: written by settings, by decorators of views, and in the table."""

from pegboard_ratelimit.rules.annotations import MarkError, marks_of
from pegboard_ratelimit.rules.limits import SECOND, UNLIMITED, Limit, Policy, parse_limit, share
from pegboard_ratelimit.rules.matching import METHODS, Who, shape
from pegboard_ratelimit.rules.rule import OnFailure, Rule, RuleBook, Source, WrittenRule, choose
from pegboard_ratelimit.rules.table import Stored, in_force, parse_time, read_rows

__all__ = [
    "METHODS",
    "SECOND",
    "UNLIMITED",
    "Limit",
    "MarkError",
    "OnFailure",
    "Policy",
    "Rule",
    "RuleBook",
    "Source",
    "Stored",
    "Who",
    "WrittenRule",
    "choose",
    "in_force",
    "marks_of",
    "parse_limit",
    "parse_time",
    "read_rows",
    "shape",
    "share",
]

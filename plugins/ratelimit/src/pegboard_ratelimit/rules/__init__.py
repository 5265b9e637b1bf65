"""Rules: which limit applies to which clients and routes, and where rules are declared."""

from pegboard_ratelimit.rules.annotations import AnnotationError, annotated_rules
from pegboard_ratelimit.rules.limits import SECOND, UNLIMITED, Limit, Policy, parse_limit, share
from pegboard_ratelimit.rules.matching import METHODS, ClientPattern, shape
from pegboard_ratelimit.rules.rule import OnFailure, Rule, RuleBook, Source, WrittenRule, choose
from pegboard_ratelimit.rules.table import StoredRule, in_force, parse_time, read_rows

__all__ = [
    "METHODS",
    "SECOND",
    "UNLIMITED",
    "AnnotationError",
    "ClientPattern",
    "Limit",
    "OnFailure",
    "Policy",
    "Rule",
    "RuleBook",
    "Source",
    "StoredRule",
    "WrittenRule",
    "annotated_rules",
    "choose",
    "in_force",
    "parse_limit",
    "parse_time",
    "read_rows",
    "shape",
    "share",
]

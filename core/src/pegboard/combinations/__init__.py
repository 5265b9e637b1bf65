"""Combinations of plugins, for their authors: smaller ones that still fail, and other cores.

What chooses combinations is in the distribution tox-pegboard, which needs no service: the extra
`author` has it.
"""

from pegboard.combinations.compat import Compat, CompatError, Outcome
from pegboard.combinations.exclusions import Exclusion, ExclusionError, read_exclusions, unneeded
from pegboard.combinations.runs import COMMAND, NOT_SET_UP, Runner
from pegboard.combinations.shrink import Shrinker, Shrunk

__all__ = [
    "COMMAND",
    "NOT_SET_UP",
    "Compat",
    "CompatError",
    "Exclusion",
    "ExclusionError",
    "Outcome",
    "Runner",
    "Shrinker",
    "Shrunk",
    "read_exclusions",
    "unneeded",
]

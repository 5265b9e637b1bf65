"""Problems: what stops or degrades a start, each with a stable code and a hint."""

from pegboard.problems.codes import Code
from pegboard.problems.problem import PLUGIN_FAULTS as PLUGIN_FAULTS
from pegboard.problems.problem import PluginError, Problem, ProblemCode, StartupError

__all__ = ["Code", "PluginError", "Problem", "ProblemCode", "StartupError"]

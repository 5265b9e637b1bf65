"""Which combinations of plugins, Pythons, databases and cores a project tests.

All sets of plugins while they are few; else none, each alone with what it needs, all, and as many
more as cover every pair. What plugins require is read from packaging metadata: none is imported.
"""

from tox_pegboard.combinations.environments import Environment, environment_of, required_folders
from tox_pegboard.combinations.formats import FORMATS, ini_lines, render
from tox_pegboard.combinations.matrix import Matrix, make_matrix, read_matrix, read_space
from tox_pegboard.combinations.names import checked, name_of, parse_name
from tox_pegboard.combinations.settings import Settings, has_matrix, read_pyproject, read_settings
from tox_pegboard.combinations.values import (
    AXES,
    Combination,
    Exclusion,
    MatrixError,
    Plugin,
    Space,
)

__all__ = [
    "AXES",
    "FORMATS",
    "Combination",
    "Environment",
    "Exclusion",
    "Matrix",
    "MatrixError",
    "Plugin",
    "Settings",
    "Space",
    "checked",
    "environment_of",
    "has_matrix",
    "ini_lines",
    "make_matrix",
    "name_of",
    "parse_name",
    "read_matrix",
    "read_pyproject",
    "read_settings",
    "read_space",
    "render",
    "required_folders",
]

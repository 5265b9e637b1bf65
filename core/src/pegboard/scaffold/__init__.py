"""The scaffold: what `pegboard new` writes, and how it brings an older plugin up to date.

The template is one of copier's, which is imported only when a template is rendered.
"""

from pegboard.scaffold.create import create
from pegboard.scaffold.errors import ConflictError, ScaffoldError
from pegboard.scaffold.names import Names, find_names
from pegboard.scaffold.update import Step, update
from pegboard.scaffold.versions import Template, shipped_template

__all__ = [
    "ConflictError",
    "Names",
    "ScaffoldError",
    "Step",
    "Template",
    "create",
    "find_names",
    "shipped_template",
    "update",
]

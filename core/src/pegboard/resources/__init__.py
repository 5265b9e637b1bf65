"""Resources: what a plugin declares of a model, and the REST interface that follows from it."""

from pegboard.resources.declaration import (
    CRUD,
    EQUALITY,
    RANGE,
    Comparison,
    Filter,
    Operation,
    ResourceError,
)
from pegboard.resources.fields import Decimal, Line, Moment, Text
from pegboard.resources.representation import Representation, Representer
from pegboard.resources.resource import Resource

__all__ = [
    "CRUD",
    "EQUALITY",
    "RANGE",
    "Comparison",
    "Decimal",
    "Filter",
    "Line",
    "Moment",
    "Operation",
    "Representation",
    "Representer",
    "Resource",
    "ResourceError",
    "Text",
]

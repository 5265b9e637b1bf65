"""Resources: what a plugin declares of a model, and the REST interface that follows from it."""

from pegboard.http import InvalidJSONError, load_json
from pegboard.resources.declaration import (
    CRUD,
    EQUALITY,
    RANGE,
    Comparison,
    Filter,
    Operation,
    ResourceError,
    TransferLimits,
)
from pegboard.resources.fields import Decimal, Line, Moment, Text
from pegboard.resources.formats import Format as Format
from pegboard.resources.formats import RowWriter as RowWriter
from pegboard.resources.formats import holds_text as holds_text
from pegboard.resources.formats import value_of_cell as value_of_cell
from pegboard.resources.representation import Representation, Representer
from pegboard.resources.resource import Resource
from pegboard.resources.schemas import Values as Values

__all__ = [
    "CRUD",
    "EQUALITY",
    "RANGE",
    "Comparison",
    "Decimal",
    "Filter",
    "InvalidJSONError",
    "Line",
    "Moment",
    "Operation",
    "Representation",
    "Representer",
    "Resource",
    "ResourceError",
    "Text",
    "TransferLimits",
    "load_json",
]

"""Resources: what a plugin declares of a model, and the REST interface that follows from it.

What `__all__` lists is public; the other names are for the packages of the core.
"""

from pegboard.api import client_name as client_name
from pegboard.changes import BulkInsert, Change, Kind, Listener
from pegboard.database import no_time_limit
from pegboard.http import InvalidJSONError, load_json
from pegboard.migrations import create_search_index, drop_search_index
from pegboard.resources.conditions import conditions_of as conditions_of
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
from pegboard.resources.description import LIST as LIST
from pegboard.resources.description import Words as Words
from pegboard.resources.description import describe_totals_on_request as describe_totals_on_request
from pegboard.resources.fields import Decimal, Line, Moment, Text
from pegboard.resources.formats import Format as Format
from pegboard.resources.formats import RowWriter as RowWriter
from pegboard.resources.formats import holds_text as holds_text
from pegboard.resources.formats import value_of_cell as value_of_cell
from pegboard.resources.listing import TOTAL_ON_REQUEST as TOTAL_ON_REQUEST
from pegboard.resources.overrides import steps_of as steps_of
from pegboard.resources.representation import Representation, Representer
from pegboard.resources.resource import Resource
from pegboard.resources.schemas import Values as Values
from pegboard.resources.steps import Steps
from pegboard.resources.steps import resource_of as resource_of

__all__ = [
    "CRUD",
    "EQUALITY",
    "RANGE",
    "BulkInsert",
    "Change",
    "Comparison",
    "Decimal",
    "Filter",
    "InvalidJSONError",
    "Kind",
    "Line",
    "Listener",
    "Moment",
    "Operation",
    "Representation",
    "Representer",
    "Resource",
    "ResourceError",
    "Steps",
    "Text",
    "TransferLimits",
    "create_search_index",
    "drop_search_index",
    "load_json",
    "no_time_limit",
]

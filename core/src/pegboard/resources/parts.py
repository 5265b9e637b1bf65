"""What the views and the commands of a resource are made of, beside its steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema
from sqlalchemy import Table
from sqlalchemy.orm import DeclarativeBase

from pegboard.resources.description import Words
from pegboard.resources.listing import Listing


@dataclass(frozen=True)
class Parts:
    """What is made of one resource's declaration."""

    words: Words
    id_parameter: Mapping[str, object]
    """The variable of a row's URL, in the document."""
    listed: type[Schema]
    """The schema of a row in a list."""
    list_query: type[Schema]
    """The schema of a list's query; it loads a `Wanted`."""
    listing: Listing[Any]
    is_exported: bool
    """Whether the list can be had as a file with all rows."""
    depends: Sequence[type[DeclarativeBase] | Table]
    """The tables that a row's answer has something of."""
    has_constraints: bool
    """Whether a write can conflict with other rows."""

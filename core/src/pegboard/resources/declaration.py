"""What a resource is declared with, as operations, comparisons and filters."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, NoReturn, TypeVar

from marshmallow import Schema
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute

from pegboard.cache import Dependence

M = TypeVar("M", bound=DeclarativeBase)


class ResourceError(ValueError):
    """Raised for a wrong declaration of a resource; names the resource and says what to do."""


class Operation(StrEnum):
    """What a client can do with a resource."""

    LIST = "list"
    """`GET` of all rows, a page at a time."""
    GET = "get"
    """`GET` of one row."""
    CREATE = "create"
    """`POST` of a new row."""
    REPLACE = "replace"
    """`PUT` of all fields that a client may write."""
    MERGE = "merge"
    """`PATCH` of some of the fields (RFC 7396)."""
    DELETE = "delete"
    """`DELETE` of a row."""
    BULK_CREATE = "bulk_create"
    """`POST` of several new rows, all or none."""


CRUD = frozenset(
    {Operation.LIST, Operation.GET, Operation.CREATE, Operation.REPLACE, Operation.DELETE}
)
"""The operations of a resource that is declared without any."""


class Comparison(StrEnum):
    """How a filter compares a column with the value that a client gives.

    The value is that of the parameter's operator, as in `rating[gte]`; that of `EQ` is in none.
    """

    EQ = "eq"
    """The value itself, as in `rating=3`."""
    NE = "ne"
    """Any other value; includes rows without a value (`IS DISTINCT FROM`)."""
    LT = "lt"
    """Below the value."""
    LTE = "lte"
    """The value or below it."""
    GT = "gt"
    """Above the value."""
    GTE = "gte"
    """The value or above it."""
    IN = "in"
    """One of up to 100 values, with commas between; one that has a comma is in double quotes."""
    NULL = "null"
    """Whether there is no value: `true` or `false`."""


EQUALITY = (Comparison.EQ, Comparison.NE, Comparison.IN)
"""The comparisons for a filter by equality."""

RANGE = (Comparison.LT, Comparison.LTE, Comparison.GT, Comparison.GTE)
"""The comparisons for a filter by order."""


@dataclass(frozen=True)
class Filter:
    """A column that lists are filtered by, and how it may be compared."""

    column: InstrumentedAttribute[Any]
    """The attribute of the model, as `Review.rating`."""
    comparisons: Sequence[Comparison] = EQUALITY
    """What clients may ask for, as `EQUALITY` or `RANGE`."""


@dataclass(frozen=True)
class Declaration(Generic[M]):
    """What a resource is declared with, as the arguments of `Resource` say it."""

    name: str
    noun: str
    model: type[M]
    schema: type[Schema]
    url_prefix: str
    operations: Collection[Operation]
    sort: Sequence[InstrumentedAttribute[Any]]
    sort_keys: int
    search: Sequence[InstrumentedAttribute[Any]]
    filters: Sequence[Filter]
    sparse: bool
    export: bool
    page_sizes: Callable[[], tuple[int, int]]
    ttl: int | None
    depends: Dependence
    list_ttl: int | None

    def refuse(self, reason: str) -> NoReturn:
        """Raise `ResourceError`."""
        message = f"the resource {self.name}: {reason}"
        raise ResourceError(message)

    def refuse_any(self, mistakes: Iterable[str]) -> None:
        """Raise `ResourceError` for the first of some mistakes, if there is one."""
        for mistake in mistakes:
            self.refuse(mistake)


@dataclass(frozen=True)
class TransferLimits:
    """What the commands that import and create many rows are bounded by."""

    batch: int = 1000
    """Rows that are sent to the database in one statement."""
    row_bytes: int = 1024 * 1024
    """The longest row that is read, in bytes."""
    bad_rows_shown: int = 20
    """Bad rows that are described; the rest is only counted."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for limits with which nothing could be read."""
        if self.batch < 1 or self.row_bytes < 1 or self.bad_rows_shown < 0:
            message = f"{self} must have batch and row_bytes of at least 1, and no negative number"
            raise ValueError(message)

"""What the filters of a resource compare, and the parameters of the query that ask for it."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields
from sqlalchemy import ColumnElement, Enum, bindparam

from pegboard.resources.declaration import RANGE, Comparison, Filter
from pegboard.resources.expressions import ordered, ordered_parameter
from pegboard.resources.fields import Text
from pegboard.resources.kinds import kind_of, truth
from pegboard.resources.schemas import ShownFields
from pegboard.resources.texts import TEXT_PATTERN

MAX_IN = 100
"""Values, at most, of one comparison with several."""


@dataclass(frozen=True)
class Condition:
    """One comparison of one column, which a parameter of the query asks for."""

    name: str
    """The name of the parameter, as `rating[gte]`."""
    column: ColumnElement[Any]
    comparison: Comparison
    field: fields.Field[Any]

    @property
    def parameter(self) -> str:
        """The name of the statement's parameter."""
        return f"filter_{self.column.key}_{self.comparison}"

    def clause(self, value: Any) -> ColumnElement[bool]:
        """Return the condition; only of `NULL` the value has a say in the statement."""
        if isinstance(self.column.type, Enum) and self.comparison not in RANGE:
            column: ColumnElement[Any] = self.column
        else:
            column = ordered(self.column)
        if self.comparison is Comparison.NULL:
            return column.is_(None) if value else column.is_not(None)
        if self.comparison is Comparison.IN:
            return column.in_(bindparam(self.parameter, expanding=True, type_=self.column.type))
        other: ColumnElement[Any] = bindparam(self.parameter, type_=self.column.type)
        if self.comparison is Comparison.NE:
            return column.is_distinct_from(other)
        if self.comparison in RANGE:
            other = ordered_parameter(other)
        clause: ColumnElement[bool] = _OPERATORS[self.comparison](column, other)
        return clause


def conditions_of(filters: Sequence[Filter], shown: ShownFields) -> Iterator[Condition]:
    """Yield the conditions of filters. Raises `ValueError` for a type without an order."""
    for one in filters:
        column = one.column.property.columns[0]
        name = shown.name_of(one.column.key)
        kind = kind_of(column.type, shown.field_of(one.column.key))
        for comparison in one.comparisons:
            parameter = name if comparison is Comparison.EQ else f"{name}[{comparison}]"
            if comparison is Comparison.NULL:
                field = truth(metadata={"description": f"Whether {name} has no value."})
            elif kind is None:
                message = f"the filter of {name}: values of {column.type!r} cannot be compared"
                raise ValueError(message)
            elif comparison is Comparison.IN:
                words = (
                    f"Only rows whose {name} is one of these, up to {MAX_IN} with commas between; "
                    "one that has a comma is in double quotes."
                )
                field = Several(kind.field(), metadata={"description": words})
            else:
                words = f"Only rows whose {name} {_WORDS[comparison]}."
                field = kind.field(metadata={"description": words})
            yield Condition(parameter, column, comparison, field)


_OPERATORS: Mapping[Comparison, Callable[[Any, Any], Any]] = {
    Comparison.EQ: operator.eq,
    Comparison.LT: operator.lt,
    Comparison.LTE: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GTE: operator.ge,
}
_WORDS = {
    Comparison.EQ: "is this",
    Comparison.NE: "is not this, or has no value",
    Comparison.LT: "is less than this",
    Comparison.LTE: "is this or less",
    Comparison.GT: "is more than this",
    Comparison.GTE: "is this or more",
}


_CELLS = re.compile(r'(?:^|,)(?:"((?:[^"]|"")*)"(?=,|$)|([^,]*))')
"""The values of a list with commas between, in double quotes or as they are."""


class Several(fields.Field[list[Any]]):
    """Values with commas between, as in a line of CSV."""

    def __init__(self, one: fields.Field[Any], **options: Any) -> None:
        self._one = one
        pattern = {"pattern": TEXT_PATTERN} if isinstance(one, Text) else {}
        options["metadata"] = {"type": "string", **pattern, **options.get("metadata", {})}
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        texts = [
            quoted.replace('""', '"') if quoted else bare for quoted, bare in _CELLS.findall(value)
        ]
        if len(texts) > MAX_IN:
            message = f"At most {MAX_IN} values."
            raise ValidationError(message)
        return [self._one.deserialize(text) for text in texts]

"""The query of a list request: which rows, in which order, which page, which fields."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate
from sqlalchemy import ColumnElement, bindparam

from pegboard.api import MAX_PAGE
from pegboard.resources.declaration import Comparison, Filter
from pegboard.resources.expressions import ordered
from pegboard.resources.fields import Text, WholeNumber
from pegboard.resources.kinds import kind_of, truth
from pegboard.resources.ordering import Order, Orders, Place

MAX_SEARCH_LENGTH = 200
MAX_IN = 100
"""Values, at most, of one comparison with several."""

PageSizes = Callable[[], tuple[int, int]]
"""Returns the default number of rows on a page and the largest, for the current app."""


@dataclass(frozen=True)
class Wanted:
    """What a list request asks for, with the defaults filled in."""

    page: int
    page_size: int
    after: Place | None
    is_by_cursor: bool
    sort: str
    order: Order
    search: str
    conditions: Mapping[str, Any]
    """The values of the filters in the request, by the names of their parameters."""
    fields: tuple[str, ...] | None
    """The names of the fields to show, in the order of the schema; None for all."""


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
        column = ordered(self.column)
        if self.comparison is Comparison.NULL:
            return column.is_(None) if value else column.is_not(None)
        if self.comparison is Comparison.IN:
            return column.in_(bindparam(self.parameter, expanding=True, type_=self.column.type))
        other = bindparam(self.parameter, type_=self.column.type)
        if self.comparison is Comparison.NE:
            return column.is_distinct_from(other)
        clause: ColumnElement[bool] = _OPERATORS[self.comparison](column, other)
        return clause


def conditions_of(filters: Sequence[Filter]) -> Iterator[Condition]:
    """Yield the conditions of filters. Raises `ValueError` for a type without an order."""
    for one in filters:
        column = one.column.property.columns[0]
        name = one.column.key
        kind = kind_of(column.type)
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
        options["metadata"] = {"type": "string", **options.get("metadata", {})}
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        texts = [
            quoted.replace('""', '"') if quoted else bare for quoted, bare in _CELLS.findall(value)
        ]
        if len(texts) > MAX_IN:
            message = f"At most {MAX_IN} values."
            raise ValidationError(message)
        return [self._one.deserialize(text) for text in texts]


class MaxPageSize(validate.Validator):
    """Checks that a page size is from 1 to the largest of the current app."""

    min = 1
    min_inclusive = max_inclusive = True

    def __init__(self, page_sizes: PageSizes) -> None:
        self._page_sizes = page_sizes

    @property
    def max(self) -> int:
        """The largest page size; a property, as each app has its own."""
        return self._page_sizes()[1]

    def __call__(self, value: int) -> int:
        """Return the page size. Raises `ValidationError`."""
        validate.Range(self.min, self.max)(value)
        return value


class _QuerySchema(Schema):
    """A schema of which a query is checked by the fields that it has, as most have few."""

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {field.data_key or name: name for name, field in self.fields.items()}

    def load(self, data: Any, **options: Any) -> Any:
        """Load a query. Raises `ValidationError`."""
        given = frozenset(self._names[name] for name in data if name in self._names)
        if len(given) == len(self._names):
            return super().load(data, **options)
        return _part_of(type(self), given).load(data, **options)


@lru_cache(maxsize=1000)
def _part_of(schema: type[_QuerySchema], names: frozenset[str]) -> _QuerySchema:
    return schema(only=names)


@dataclass(frozen=True)
class ListQuery:
    """The parameters that a list of a resource has."""

    orders: Orders
    page_sizes: PageSizes
    conditions: Mapping[str, Condition]
    searched: Sequence[str]
    """The names of the columns that `q` looks into; empty for a list without."""
    shown: Sequence[str] | None
    """The names that `fields` may have; None for a list without."""

    def schema(self, module: str, plural: str) -> type[Schema]:
        """Return the schema of the query; it loads a `Wanted`."""
        found: dict[str, Any] = {
            # Generated clients send the defaults, so page=1 must be allowed along with after.
            "page": WholeNumber(
                validate=validate.Range(1, MAX_PAGE),
                metadata={"description": "Number of the page; ignored with `after`.", "default": 1},
            ),
            "page_size": WholeNumber(
                validate=MaxPageSize(self.page_sizes),
                metadata={
                    "description": f"{plural.capitalize()} on a page; the default is a setting of "
                    "the service."
                },
            ),
            "after": fields.String(
                validate=self._check_cursor,
                metadata={
                    "pattern": self.orders.cursor_pattern,
                    "description": self._cursor_words(),
                },
            ),
            "sort": fields.String(validate=self._check_sort, metadata=self._sort_description()),
        }
        if self.searched:
            names = " or ".join(self.searched)
            words = f"Only {plural} whose {names} contains this, ignoring case."
            found["q"] = Text(
                validate=validate.Length(max=MAX_SEARCH_LENGTH), metadata={"description": words}
            )
        if self.shown is not None:
            words = f"The fields to show, with commas between; of {', '.join(self.shown)}."
            name = f"(?:{'|'.join(self.shown)})"
            found["wanted_fields"] = fields.String(
                data_key="fields",
                validate=self._check_fields,
                metadata={"description": words, "pattern": f"^{name}(?:,{name})*$"},
            )
        for name, condition in self.conditions.items():
            field = condition.field
            field.data_key = name
            found[condition.parameter] = field
        members = {
            **found,
            "make_wanted": post_load(lambda _, sent, **__: self._wanted(sent)),
            "__module__": module,
        }
        return type("ListQuerySchema", (_QuerySchema,), members)

    def _cursor_words(self) -> str:
        words = (
            'Cursor of the page: empty for the first, then from the `Link` with `rel="next"`. '
            "Do not rely on its form."
        )
        indexed = [key.name for key in self.orders.keys.values() if key.is_indexed]
        if not indexed:
            return words
        without = " and without `q`" if self.searched else ""
        return (
            f"{words} Sorted by {' or '.join(indexed)}{without}, a page costs the same "
            "however large the table is."
        )

    def _sort_description(self) -> dict[str, Any]:
        default = {"default": self.orders.default}
        if self.orders.max_keys == 1:
            return {
                "description": "The field to sort by; descending with `-` in front.",
                "enum": self.orders.names(),
                **default,
            }
        names = "|".join(self.orders.keys)
        key = f"-?(?:{names})"
        return {
            "description": f"Up to {self.orders.max_keys} fields to sort by, with commas between, "
            "each once; descending with `-` in front.",
            "pattern": rf"^(?!(?:.*,)?-?({names})(?:,.*)?,-?\1(?:,|$))"
            f"{key}(?:,{key}){{0,{self.orders.max_keys - 1}}}$",
            **default,
        }

    def _check_cursor(self, cursor: str) -> None:
        if not self.orders.is_cursor(cursor):
            message = "Not a cursor. Copy it from a Link header, or send after= to begin."
            raise ValidationError(message)

    def _check_sort(self, sort: str) -> None:
        try:
            self.orders.parse(sort)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def _check_fields(self, names: str) -> None:
        known = self.shown or ()
        if not set(names.split(",")).issubset(known):
            message = f"Must be out of: {', '.join(known)}."
            raise ValidationError(message)

    def _wanted(self, sent: dict[str, Any]) -> Wanted:
        default_size, max_size = self.page_sizes()
        cursor = sent.get("after")
        sort = sent.get("sort", self.orders.default)
        names = sent["wanted_fields"].split(",") if "wanted_fields" in sent else None
        return Wanted(
            page=sent.get("page", 1),
            page_size=sent.get("page_size", min(default_size, max_size)),
            after=self.orders.decode(cursor) if cursor else None,
            is_by_cursor=cursor is not None,
            sort=sort,
            order=self.orders.parse(sort),
            search=sent.get("q", ""),
            conditions={
                name: sent[condition.parameter]
                for name, condition in self.conditions.items()
                if condition.parameter in sent
            },
            fields=None if names is None else tuple(n for n in self.shown or () if n in names),
        )

"""The query of a list request: which rows, in which order, which page, which fields."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from pegboard.api import MAX_PAGE
from pegboard.resources.conditions import Condition
from pegboard.resources.fields import Text, WholeNumber
from pegboard.resources.ordering import Order, Orders, Place

MAX_SEARCH_LENGTH = 200

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
    """The fields of the schema to show, in its order; None for all."""


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


class ListQuerySchema(Schema):
    """A schema of which a query is checked by the fields that it has, as most have few."""

    make_wanted: Callable[..., Wanted]

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {field.data_key or name: name for name, field in self.fields.items()}

    def load(self, data: Any, **options: Any) -> Any:
        """Load a query. Raises `ValidationError`."""
        given = frozenset(self._names[name] for name in data if name in self._names)
        if len(given) == len(self._names):
            return super().load(data, **options)
        return _part_of(type(self), given).load(data, **options)

    def read(self, pairs: Iterable[tuple[str, str]]) -> Wanted | None:
        """Return what a query asks for, as `load` does; None for one that `load` has to look at."""
        sent: dict[str, Any] = {}
        for key, value in pairs:
            name = self._names.get(key)
            if name is None or name in sent:
                return None
            try:
                sent[name] = self.fields[name].deserialize(value, key, sent)
            except ValidationError:
                return None
        made: Wanted = self.make_wanted(sent)
        return made


@lru_cache(maxsize=1000)
def _part_of(schema: type[ListQuerySchema], names: frozenset[str]) -> ListQuerySchema:
    return schema(only=names)


@dataclass(frozen=True)
class ListQuery:
    """The parameters that a list of a resource has."""

    orders: Orders
    page_sizes: PageSizes
    conditions: Mapping[str, Condition]
    searched: Sequence[str]
    """What clients call the columns that `q` looks into; empty for a list without."""
    shown: Mapping[str, str] | None
    """The fields of the schema by the names that `fields` may have; None for a list without."""
    module: str
    """The module of the schema."""
    plural: str
    """What the rows are called in the document."""

    @cached_property
    def _parameters(self) -> Mapping[str, str]:
        return {name: condition.parameter for name, condition in self.conditions.items()}

    def schema(self) -> type[ListQuerySchema]:
        """Return the schema of the query; it loads a `Wanted`."""
        plural = self.plural
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
            name = f"(?:{_any_of(self.shown)})"
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
            "__module__": self.module,
        }
        return type("ListQuerySchema", (ListQuerySchema,), members)

    def _cursor_words(self) -> str:
        words = (
            'Cursor of the page: empty for the first, then from the `Link` with `rel="next"`. '
            "Do not rely on its form."
        )
        indexed = [key.field for key in self.orders.keys.values() if key.is_indexed]
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
        names = _any_of(self.orders.keys)
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
                name: sent[parameter]
                for name, parameter in self._parameters.items()
                if parameter in sent
            },
            fields=None
            if names is None
            else tuple(field for name, field in (self.shown or {}).items() if name in names),
        )


def _any_of(names: Iterable[str]) -> str:
    """Return the expression for one of several names, for Python and for ECMAScript."""
    return "|".join(_SYNTAX.sub(r"\\\g<0>", name) for name in names)


_SYNTAX = re.compile(r"[\^$.*+?()\[\]{}|/\\]")

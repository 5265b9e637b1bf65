"""What the views of a resource are made of, from its declaration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

from sqlalchemy import Column, Row, inspect
from sqlalchemy.orm import InstrumentedAttribute

from pegboard.api import client_name
from pegboard.cache import Collection
from pegboard.resources.cached_lists import collection_of
from pegboard.resources.conditions import Condition, conditions_of
from pegboard.resources.declaration import Declaration, M
from pegboard.resources.description import Words, id_parameter
from pegboard.resources.list_statements import ListStatements
from pegboard.resources.listing import Listing
from pegboard.resources.operations import Parts
from pegboard.resources.ordering import Orders, SortKey
from pegboard.resources.plans import Plans
from pegboard.resources.query import ListQuery
from pegboard.resources.schemas import Schemas, ShownFields
from pegboard.resources.steps import Steps
from pegboard.resources.totals import Totals


def words_of(declared: Declaration[Any]) -> Words:
    """Return the nouns of a resource."""
    return Words(declared.noun, declared.name.replace("_", " "))


def orders_of(declared: Declaration[Any], shown: ShownFields) -> Orders:
    """Return the orders that clients may ask for: by the primary key if no column is declared."""

    def key_of(attribute: InstrumentedAttribute[Any]) -> SortKey:
        key = SortKey.of(attribute, shown.name_of(attribute.key))
        if key is None:
            reason = f"lists cannot be sorted by {attribute.key}: its values have no order"
            declared.refuse(reason)
        return key

    mapper = inspect(declared.model)
    (column,) = mapper.primary_key
    primary = key_of(getattr(declared.model, mapper.get_property_by_column(column).key))
    keys = [key_of(attribute) for attribute in declared.sort]
    return Orders(keys or [primary], primary, declared.sort_keys)


def selected_columns(resource: Steps[Any], orders: Orders) -> Sequence[Any] | None:
    """Return the columns that answers and cursors need; None if they need the objects."""
    attributes = inspect(resource.model).column_attrs
    fields = resource.output().dump_fields
    shown = [field.attribute or name for name, field in fields.items()]
    if resource.overrides("permit_read") or not all(name in attributes for name in shown):
        return None
    sorted_by = (key.name for key in orders.keys.values())
    needed = dict.fromkeys((*shown, orders.primary.name, *sorted_by))
    # A row of columns has attributes of its own, of which these two give way to columns.
    if any(hasattr(Row, name) for name in needed.keys() - {"count", "index"}):
        return None
    return [getattr(resource.model, name) for name in needed]


@dataclass(frozen=True)
class Assembly(Generic[M]):
    """Puts together what the views of one resource need beside its steps."""

    resource: Steps[M]
    declared: Declaration[M]
    schemas: Schemas
    shown: ShownFields
    orders: Orders
    columns: Sequence[Any] | None
    """What is selected for a list; None for the objects of the model."""

    def parts(
        self, page_sizes: Callable[[], tuple[int, int]], list_settings: Callable[[], str]
    ) -> Parts:
        """Return them; the functions return the sizes of pages, and the settings of lists."""
        declared, words = self.declared, words_of(self.declared)
        return Parts(
            words=words,
            id_parameter=id_parameter(f"{words.identifier}_id", self.resource.largest_id),
            listed=self.schemas.sparse if declared.sparse else self.schemas.output,
            query=self._query(page_sizes),
            listing=self._listing(),
            collection=self._collection,
            fields_by_column=self._fields_by_column(),
            list_ttl=declared.list_ttl,
            list_settings=list_settings,
            depends=declared.depends,
            is_exported=declared.export,
        )

    def _query(self, page_sizes: Callable[[], tuple[int, int]]) -> ListQuery:
        return ListQuery(
            orders=self.orders,
            page_sizes=page_sizes,
            conditions=self._conditions,
            searched=[self.shown.name_of(one.key) for one in self.declared.search],
            shown=self._choices() if self.declared.sparse else None,
            module=self.declared.schema.__module__,
            plural=words_of(self.declared).plural,
        )

    def _listing(self) -> Listing[M]:
        statements: ListStatements[M] = ListStatements(
            rows=self.resource.rows,
            columns=self.columns,
            orders=self.orders,
            conditions=self._conditions,
            searched=[one.property.columns[0] for one in self.declared.search],
            plans=None if self.resource.overrides("rows") else Plans(),
        )
        return Listing(
            statements=statements,
            represent=self.resource.represent,
            repeated=["page_size", "q", "sort", *self._conditions, "fields"],
            totals=Totals(self._collection, self._conditions),
        )

    @cached_property
    def _conditions(self) -> dict[str, Condition]:
        try:
            return {one.name: one for one in conditions_of(self.declared.filters, self.shown)}
        except ValueError as error:
            self.declared.refuse(str(error))

    @cached_property
    def _collection(self) -> Collection | None:
        declared, conditions = self.declared, self._conditions.values()
        return collection_of(
            declared.model,
            declared.name,
            conditions,
            declared.depends,
            ttl=declared.ttl,
            list_ttl=declared.list_ttl,
        )

    def _choices(self) -> Mapping[str, str]:
        """Return the fields of answers by what clients call them."""
        fields = self.schemas.output().dump_fields
        return {client_name(name, field): name for name, field in fields.items()}

    def _fields_by_column(self) -> Mapping[str, str]:
        """Return what bodies call the columns of the table."""
        return {
            one.columns[0].name: self.shown.name_of(one.key)
            for one in inspect(self.declared.model).column_attrs
            if isinstance(one.columns[0], Column) and self.shown.field_of(one.key)
        }

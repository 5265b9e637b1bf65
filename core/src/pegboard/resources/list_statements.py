"""The statements that read a list: its rows, and how many there are."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, func, inspect, or_, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from pegboard.resources.conditions import Condition
from pegboard.resources.declaration import Comparison
from pegboard.resources.expressions import contains, like_pattern
from pegboard.resources.keyset import place_parameter, segments
from pegboard.resources.ordering import Orders
from pegboard.resources.plans import Plans
from pegboard.resources.query import Wanted

TOTAL = "pegboard_total"
"""The name of the column with the number of rows."""

LIMIT, OFFSET = "page_limit", "page_offset"
"""The parameters for the number of rows on a page, and of those before it."""

_SEARCH = "search"
_BATCH = 1000

R = TypeVar("R")
Statement = Select[Any]


@dataclass(frozen=True)
class ListStatements(Generic[R]):
    """What the statements for the lists of one resource are built of."""

    rows: Callable[[], Statement]
    """The rows that the client may see."""
    columns: Sequence[ColumnElement[Any]] | None
    """What is selected of them; None for the objects of the model."""
    orders: Orders
    conditions: Mapping[str, Condition]
    searched: Sequence[ColumnElement[Any]]
    plans: Plans[Sequence[Any]] | None
    """None where the rows are not the same for every client."""
    prepare: Callable[[Statement], Any] = lambda statement: statement
    """Makes of a statement what is kept of it."""

    def are_built(self, wanted: Wanted) -> bool:
        """Return whether the statements for a request are built."""
        return self.plans is not None and self.plans.find(self._shape(wanted)) is not None

    def of(self, wanted: Wanted) -> Sequence[Any]:
        """Return the statements for a request, which takes milliseconds if they are to be built.

        For a page by number these are the one that counts, and that of the page.
        """
        build = self._by_cursor if wanted.is_by_cursor else self._numbered

        def prepared() -> Sequence[Any]:
            return [*map(self.prepare, build(wanted))]

        return prepared() if self.plans is None else self.plans.get(self._shape(wanted), prepared)

    def everything(self, wanted: Wanted) -> tuple[Statement, Mapping[str, Any]]:
        """Return the statement, and its parameters, for all rows of a request, in its order."""
        order = (term.clause() for term in wanted.order)
        statement = self._selecting(self._matching(wanted)).order_by(*order)
        if self.columns is None:
            model = statement.column_descriptions[0]["entity"]
            statement = statement.options(*_loaded_in_batches(model))
        return statement, self.parameters(wanted)

    def scroll(
        self, session: Session, statement: Statement, parameters: Mapping[str, Any]
    ) -> Iterable[R]:
        """Return the rows of a statement, read in batches from a cursor of the server."""
        options = {"yield_per": _BATCH}
        result: Any = session.execute(statement, parameters, execution_options=options)
        return result.scalars() if self.columns is None else result  # type: ignore[no-any-return]

    def _shape(self, wanted: Wanted) -> Hashable:
        """Return all of a request that has a say in the text of its statements."""
        place = wanted.after
        return (
            wanted.is_by_cursor,
            wanted.sort,
            bool(wanted.search),
            None if place is None else tuple(value is None for value in place.values()),
            tuple(
                (name, value if self._is_in_text(name) else None)
                for name, value in wanted.conditions.items()
            ),
        )

    def _is_in_text(self, name: str) -> bool:
        return self.conditions[name].comparison is Comparison.NULL

    def parameters(self, wanted: Wanted) -> dict[str, Any]:
        """Return the parameters of the statements for a request, all but `LIMIT` and `OFFSET`."""
        found = {
            self.conditions[name].parameter: value
            for name, value in wanted.conditions.items()
            if not self._is_in_text(name)
        }
        if wanted.search:
            found[_SEARCH] = like_pattern(wanted.search)
        if wanted.after is not None:
            keys = {term.key.name for term in wanted.order}
            found |= {
                place_parameter(name): value
                for name, value in wanted.after.items()
                if name in keys and value is not None
            }
        return found

    def _numbered(self, wanted: Wanted) -> Sequence[Statement]:
        """Return the statement that counts, and that of a page."""
        matching = self._matching(wanted)
        page = (
            self._selecting(matching)
            .order_by(*(term.clause() for term in wanted.order))
            .limit(bindparam(LIMIT))
            .offset(bindparam(OFFSET))
        )
        found = func.count().label(TOTAL) if self.plans is not None else self.orders.primary.column
        counting = matching.order_by(None).with_only_columns(found, maintain_column_froms=True)
        if self.plans is None:
            # A plugin's statement may be DISTINCT, which a count beside it would not see.
            counting = select(func.count().label(TOTAL)).select_from(counting.subquery())
        return [counting, page]

    def _by_cursor(self, wanted: Wanted) -> Sequence[Statement]:
        """Return the statements whose rows, one after the other, are those after the place."""
        matching = self._selecting(self._matching(wanted))
        return [
            (matching if condition is None else matching.where(condition))
            .order_by(*order)
            .limit(bindparam(LIMIT))
            for condition, order in segments(wanted.order, wanted.after)
        ]

    def _matching(self, wanted: Wanted) -> Statement:
        """Return the rows that the request's filters and its search leave, without an order."""
        statement = self.rows().order_by(None)
        for name, value in wanted.conditions.items():
            statement = statement.where(self.conditions[name].clause(value))
        if wanted.search:
            pattern: ColumnElement[str] = bindparam(_SEARCH)
            statement = statement.where(or_(*(contains(one, pattern) for one in self.searched)))
        return statement

    def _selecting(self, statement: Statement) -> Statement:
        if self.columns is None:
            return statement
        return statement.with_only_columns(*self.columns, maintain_column_froms=True)


def _loaded_in_batches(model: type[Any]) -> Iterator[ORMOption]:
    """Yield options for relationships that cannot be loaded as they say while rows are streamed."""
    for relationship in inspect(model).relationships:
        if relationship.uselist and relationship.lazy in {"joined", False, "subquery"}:
            yield selectinload(getattr(model, relationship.key))

"""The conditions for the rows after a place in a list, as queries that an index can answer."""

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, false, or_, tuple_

from pegboard.resources.expressions import ordered_parameter
from pegboard.resources.ordering import Order, Place, Term

Segment = tuple[ColumnElement[bool] | None, Sequence[ColumnElement[object]]]
"""A condition, None for all rows, and the order of those that fulfil it."""


def segments(order: Order, place: Place | None) -> list[Segment]:
    """Return the parts of a list after a place, or all of it, in their order; at most two.

    Of an index, rows without a value of the first key are a part of their own: PostgreSQL would not
    use it for a condition on both with OR, or for an order with these rows first. Their order names
    the key all the same, as PostgreSQL would otherwise not read them in the order of the index. The
    values of the place are parameters that `place_parameter` names, so that only which of them are
    missing has a say in the statement.
    """
    first, rest = order[0], order[1:]
    clauses = [term.clause() for term in order]
    if not first.key.is_nullable:
        return [(None if place is None else _after(order, place), clauses)]
    if not first.key.is_indexed:
        return [(None if place is None else _after_any(order, place), clauses)]
    plain = [_directed(first), *clauses[1:]]
    expression = first.key.expression
    without, having = expression.is_(None), expression.is_not(None)
    if place is None:
        parts: list[Segment] = [(without, plain), (having, plain)]
    elif place[first.key.name] is None:
        parts = [(and_(without, _after(rest, place)), plain), (having, plain)]
    else:
        parts = [(without, plain), (and_(having, _after(order, place)), plain)]
    if first.is_descending:
        parts.reverse()
        if place is not None and place[first.key.name] is None:
            parts = parts[1:]
    elif place is not None and place[first.key.name] is not None:
        parts = parts[1:]
    return parts


def place_parameter(name: str) -> str:
    """Return the name of the parameter for a key's value at the place."""
    return f"after_{name}"


def _directed(term: Term) -> ColumnElement[object]:
    expression = term.key.expression
    return expression.desc() if term.is_descending else expression.asc()


def _after(order: Order, place: Place) -> ColumnElement[bool]:
    """Return the condition that a row comes after the place; the first key has values."""
    is_plain = not any(term.key.is_nullable for term in order[1:])
    if is_plain and len({term.is_descending for term in order}) == 1:
        keys = tuple_(*(term.key.expression for term in order))
        values = tuple_(*(_value(term) for term in order))
        return keys < values if order[0].is_descending else keys > values
    first, rest = order[0], order[1:]
    if not rest:
        return _beyond(first, place)
    bound = _compare(first, lambda key, value: key >= value, lambda key, value: key <= value)
    tail = and_(_equal(first, place), _after_any(rest, place))
    # The bound is what an index is searched by.
    return and_(bound, or_(_beyond(first, place), tail))


def _after_any(order: Order, place: Place) -> ColumnElement[bool]:
    beyond = _beyond(order[0], place)
    if len(order) == 1:
        return beyond
    return or_(beyond, and_(_equal(order[0], place), _after_any(order[1:], place)))


def _beyond(term: Term, place: Place) -> ColumnElement[bool]:
    """Return the condition that a row's key comes after the place's."""
    expression = term.key.expression
    if place[term.key.name] is None:
        return false() if term.is_descending else expression.is_not(None)
    beyond = _compare(term, lambda key, value: key > value, lambda key, value: key < value)
    if term.is_descending and term.key.is_nullable:
        return or_(beyond, expression.is_(None))
    return beyond


def _equal(term: Term, place: Place) -> ColumnElement[bool]:
    if place[term.key.name] is None:
        return term.key.expression.is_(None)
    return term.key.expression == _value(term)


_Comparison = Callable[[ColumnElement[object], ColumnElement[object]], ColumnElement[bool]]


def _compare(term: Term, ascending: _Comparison, descending: _Comparison) -> ColumnElement[bool]:
    compare = descending if term.is_descending else ascending
    return compare(term.key.expression, _value(term))


def _value(term: Term) -> ColumnElement[object]:
    parameter: ColumnElement[object] = bindparam(
        place_parameter(term.key.name), type_=term.key.column.type
    )
    return ordered_parameter(parameter)

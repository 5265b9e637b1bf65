"""What is wrong with the declaration of a resource, said when it is made and not by a request."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

from marshmallow import Schema, fields, missing
from sqlalchemy import Enum, Integer, String, Table, inspect
from sqlalchemy.orm import ColumnProperty, InstrumentedAttribute

from pegboard.resources.declaration import Comparison, Declaration, Filter, Operation
from pegboard.resources.description import Words

LIST_PARAMETERS = frozenset({"page", "page_size", "after", "sort", "q", "fields"})
"""The parameters that no filter may have the name of."""

_COMPUTED = (fields.Method, fields.Function, fields.Constant)

_is_name = re.compile("[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*").fullmatch


def mistakes_in_declaration(
    declared: Declaration[Any], overrides: Callable[[str], bool]
) -> Iterator[str]:
    """Yield what is wrong with a declaration, whatever the schemas are that follow from it.

    `overrides` returns whether the resource has its own version of a step.
    """
    model, operations = declared.model, declared.operations
    yield from mistakes_in_operations(operations)
    yield from mistakes_in_columns("sort", declared.sort, model)
    yield from mistakes_in_columns("search", declared.search, model)
    words = Words(declared.noun, str(declared.name))
    yield from mistakes_in_names(declared.name, words, declared.url_prefix, operations)
    yield from mistakes_in_model(model)
    yield from mistakes_in_schema(declared.schema, model)
    yield from mistakes_in_numbers(declared.sort_keys, declared.page_sizes)
    times = {"ttl": declared.ttl, "list_ttl": declared.list_ttl}
    yield from mistakes_in_times(times, declared.depends, operations, overrides)
    of_lists = ("export", "sparse", "sort", "search", "filters")
    yield from mistakes_in_lists({one: getattr(declared, one) for one in of_lists}, operations)


def mistakes_in_answers(
    declared: Declaration[Any], output: Schema, name_of: Callable[[str], str]
) -> Iterator[str]:
    """Yield what is wrong with a declaration in view of the schema of its answers.

    `name_of` returns what clients call an attribute of the model.
    """
    if declared.ttl is not None or declared.list_ttl is not None:
        yield from mistakes_in_depends(output, declared.model, declared.depends)
    yield from mistakes_in_filters(declared.filters, declared.model, name_of)


def mistakes_in_names(
    name: object, words: Words, url_prefix: object, operations: Iterable[Operation]
) -> Iterator[str]:
    """Yield what is wrong with the names of a resource."""
    if not isinstance(name, str) or not _is_name(name):
        yield f"the name has letters, digits, and _ or - between them, not {name!r}"
    elif not _is_name(words.identifier):
        yield f'the noun is a word or several, as in "order line", not {words.noun!r}'
    elif words.identifier == words.identifiers and set(operations) >= _CREATING:
        yield (
            f"with Operation.BULK_CREATE the noun differs from the name, as one call creates "
            f"{words.singular} and another {words.plural}; use a noun such as {words.noun} row"
        )
    if not isinstance(url_prefix, str) or not re.fullmatch("(?:/[^/]+)+", url_prefix):
        yield f"url_prefix begins with a slash and does not end with one, unlike {url_prefix!r}"


_CREATING = {Operation.CREATE, Operation.BULK_CREATE}


def mistakes_in_model(model: Any) -> Iterator[str]:
    """Yield what is wrong with a model."""
    if not isinstance(getattr(model, "__table__", None), Table):
        yield f"the model is a class with a table, not {model!r}"
        return
    keys = inspect(model).primary_key
    if len(keys) != 1 or not isinstance(keys[0].type, Integer):
        yield (
            f"the primary key of {model.__name__} is not one column of integers; write the views "
            "by hand"
        )


def mistakes_in_schema(schema: Any, model: Any) -> Iterator[str]:
    """Yield what is wrong with the schema of a model's rows."""
    if not (isinstance(schema, type) and issubclass(schema, Schema)):
        yield f"the schema is a class of marshmallow, not {schema!r}"
        return
    if schema.get_attribute is not Schema.get_attribute:
        return
    for name, field in schema().fields.items():
        attribute = field.attribute or name
        is_of_model = "." not in attribute and not isinstance(field, _COMPUTED)
        if field.load_only or not is_of_model or field.dump_default is not missing:
            continue
        if not hasattr(model, attribute):
            yield (
                f"{schema.__name__} shows {name}, and {model.__name__} has no {attribute}; correct "
                "the name, or make the field load_only"
            )


def mistakes_in_operations(operations: Any) -> Iterator[str]:
    """Yield what is wrong with the operations."""
    if isinstance(operations, str):
        yield f"operations is a collection, as in {{Operation.LIST}}, not {operations!r}"
        return
    for one in operations:
        if not isinstance(one, Operation):
            yield f"operations are members of Operation, not {one!r}"


def mistakes_in_numbers(sort_keys: object, page_sizes: object) -> Iterator[str]:
    """Yield what is wrong with numbers and the function that returns some."""
    if not _is_positive(sort_keys):
        yield f"sort_keys is a whole number and at least 1, not {sort_keys!r}"
    if not callable(page_sizes):
        yield f"page_sizes is a function, as in lambda: (20, 100), not {page_sizes!r}"


def mistakes_in_lists(
    options: Mapping[str, object], operations: Iterable[Operation]
) -> Iterator[str]:
    """Yield the arguments that are of lists, by name, where there are none."""
    for argument, given in options.items():
        if Operation.LIST not in operations and given:
            value = given if given is True else "..."
            yield f"{argument}={value} is of a list, and there is no Operation.LIST"


def mistakes_in_times(
    times: Mapping[str, object],
    depends: Any,
    operations: Iterable[Operation],
    overrides: Callable[[str], bool],
) -> Iterator[str]:
    """Yield what is wrong with the times for which answers may be cached, by argument."""
    is_given = not isinstance(depends, Sized) or len(depends) > 0
    if is_given and all(seconds is None for seconds in times.values()):
        yield (
            "depends is of answers that are cached, and there is neither a ttl nor a list_ttl; "
            "add one, or leave it out"
        )
    for argument, seconds in times.items():
        if seconds is None:
            continue
        if not _is_positive(seconds):
            yield f"{argument} is a whole number of seconds and at least 1, not {seconds!r}"
        cached, operation = _CACHED[argument]
        if operation not in operations:
            yield f"a {argument} is of {cached}, and there is no Operation.{operation.name}"
        for step in ("rows", "permit_read"):
            if overrides(step):
                yield (
                    f"with a {argument}, {step} must not be overridden: a cached answer is given "
                    "to every client, and asks nobody; leave out one of the two"
                )


_CACHED = {
    "ttl": ("the answer about one row", Operation.GET),
    "list_ttl": ("lists", Operation.LIST),
}


def _is_positive(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def mistake_in_page_sizes(sizes: object) -> str | None:
    """Return what is wrong with the page sizes that a function has returned."""
    if isinstance(sizes, tuple) and len(sizes) == 2 and all(map(_is_positive, sizes)):  # noqa: PLR2004 - a pair
        return None
    return f"page_sizes returns two whole numbers of at least 1, as in (20, 100), not {sizes!r}"


def mistakes_in_columns(argument: str, attributes: Any, model: Any) -> Iterator[str]:
    """Yield what is wrong with columns that are named by an argument."""
    if not isinstance(attributes, list | tuple):
        yield f"{argument} is a list, as in {argument}=[{model.__name__}.id], not {attributes!s}"
        return
    for one in attributes:
        if (
            not isinstance(one, InstrumentedAttribute)
            or not isinstance(one.property, ColumnProperty)
            or not issubclass(model, inspect(one.class_).class_)
        ):
            given = one if isinstance(one, InstrumentedAttribute) else repr(one)
            name = model.__name__
            yield f"{argument} has columns of {name}, as in {name}.id, not {given}"
        elif argument == "search":
            type_ = one.property.columns[0].type
            if not isinstance(type_, String) or isinstance(type_, Enum):
                yield f"search looks into texts, and {one} has values of {type_!r}"
    # Of a column there may be several filters.
    for one in [] if argument == "filters" else _repeated(map(str, attributes)):
        yield f"{argument} has {one} twice"


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def mistakes_in_filters(filters: Any, model: Any, name_of: Callable[[str], str]) -> Iterator[str]:
    """Yield what is wrong with filters; `name_of` returns what clients call an attribute."""
    if not isinstance(filters, list | tuple):
        yield f"filters is a list, as in filters=[Filter({model.__name__}.id)], not {filters!s}"
        return
    for one in filters:
        if not isinstance(one, Filter):
            given = one if isinstance(one, InstrumentedAttribute) else repr(one)
            yield f"filters has members such as Filter({model.__name__}.id), not {given}"
            return
    yield from mistakes_in_columns("filters", [one.column for one in filters], model)
    for one in filters:
        compared = one.comparisons
        name = getattr(one.column, "key", one.column)
        if isinstance(compared, str) or not compared:
            yield f"the filter of {name} has a list of comparisons, as EQUALITY, not {compared!r}"
            return
        if wrong := [each for each in compared if not isinstance(each, Comparison)]:
            yield f"the comparisons of {name} are members of Comparison, not {wrong[0]!r}"
        if Comparison.EQ in compared and name_of(name) in LIST_PARAMETERS:
            yield (
                f"the filter of {name} would have the name of another parameter of the list; "
                "give the schema's field another data_key"
            )
    pairs = [f"{one.column} by {each.name}" for one in filters for each in one.comparisons]
    for pair in _repeated(pairs):
        yield f"filters has {pair} twice; leave one out"


def mistakes_in_depends(output: Schema, model: Any, depends: Any) -> Iterator[str]:
    """Yield which rows a cached answer shows whose writes would not reach it."""
    given = depends if isinstance(depends, list | tuple) else [depends]
    tables = {table for one in given for table in _tables_of(one)}
    relationships = inspect(model).relationships
    for name, field in output.dump_fields.items():
        attribute = (field.attribute or name).partition(".")[0]
        if attribute not in relationships:
            continue
        other = relationships[attribute].mapper
        if tables.isdisjoint(other.tables):
            yield (
                f"an answer that is cached and shows {attribute} would stay when a "
                f"{other.class_.__name__} is written; add it to depends, as in "
                f"depends=[{other.class_.__name__}], or leave out ttl and list_ttl"
            )


def _tables_of(dependence: Any) -> Iterable[Any]:
    """Return the tables of what an answer depends on: a model, a table or a foreign key."""
    if isinstance(dependence, type):
        return inspect(dependence).tables
    if isinstance(dependence, InstrumentedAttribute):
        return [one.table for one in dependence.property.columns]
    return [getattr(dependence, "table", dependence)]

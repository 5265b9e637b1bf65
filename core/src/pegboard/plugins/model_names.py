"""Names in a plugin's models that are longer than PostgreSQL takes."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ARRAY, Boolean, Constraint, Enum, Index, Sequence, Table
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import IdentifierError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import SchemaType, TypeDecorator, TypeEngine

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.origin import locate_model
from pegboard.problems import Code, Problem

_LONGEST = 63
"""Bytes of a name that PostgreSQL takes, unless it was compiled for more."""


class _PostgreSQL(DefaultDialect):
    """What the names of PostgreSQL need of its dialect, whose import takes 30 ms of each start."""

    name = "postgresql"
    max_identifier_length = _LONGEST


_POSTGRESQL: Any = _PostgreSQL()


def find_long_names(candidate: Candidate, base: type[DeclarativeBase]) -> Iterator[Problem]:
    """Yield a problem for each name that PostgreSQL would cut or refuse."""
    code = Code.MODEL_NAME_TOO_LONG
    places: dict[tuple[str, str], tuple[Table, str]] = {}
    for table in base.metadata.tables.values():
        for name, what, member in _names_of(table):
            # A type may be that of several columns.
            places.setdefault((name, what), (table, member))
    for (name, what), (table, member) in places.items():
        if (size := len(name.encode())) > _LONGEST:
            summary = (
                f"the name {name[:20]}… of {what} has {size} bytes, and PostgreSQL takes "
                f"{_LONGEST}{locate_model(base, table, member)}"
            )
            yield candidate.problem(code, summary, code.hint)


def _names_of(table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield each name, of what it is, and the member of the model's class that has it."""
    yield table.name, "a table", ""
    for column in table.columns:
        yield column.name, f"a column of {table.name}", column.name
        if isinstance(column.default, Sequence):
            yield column.default.name, "a sequence", column.name
        type_ = _named_type(column.type)
        if type_ is not None and type_.name:
            yield type_.name, "a type", column.name
            for label in type_.enums if isinstance(type_, Enum) else ():
                yield label, f"a value of the type {type_.name}", column.name
    for kind, parts in (("a constraint", table.constraints), ("an index", table.indexes)):
        for name in sorted(filter(None, map(_name_of, parts))):
            yield name, f"{kind} of {table.name}", "__table_args__"


def _name_of(part: Constraint | Index) -> str:
    """Return a name as SQLAlchemy writes it: what a naming convention makes, it shortens itself."""
    condition: Any = part._ddl_if  # noqa: SLF001 - it has no public name
    if part.name is None or (condition and condition.dialect not in (None, "postgresql")):
        return ""
    preparer = _POSTGRESQL.identifier_preparer
    try:
        written = preparer.format_constraint(part)
    except IdentifierError:
        return str(part.name)
    return "" if written is None else str(preparer.unformat_identifiers(written)[0])


def _named_type(type_: TypeEngine[Any]) -> Any:
    """Return the enumerated type or domain by which PostgreSQL stores a column, if it is one.

    What a `TypeDecorator` chooses by `load_dialect_impl` is not looked at: it is code that may need
    the database's own driver.
    """
    found: Any = type_
    while isinstance(found, TypeDecorator):
        found = found.impl_instance
    found = found.dialect_impl(_POSTGRESQL)
    if isinstance(found, ARRAY):
        return _named_type(found.item_type)
    is_named = isinstance(found, SchemaType) and not isinstance(found, Boolean)
    return found if is_named and getattr(found, "native_enum", True) else None

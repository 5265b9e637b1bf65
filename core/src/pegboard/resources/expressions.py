"""SQL expressions that mean the same on SQLite and PostgreSQL."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, DateTime, Enum, Integer, String, case, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from pegboard.database import SQLITE_LOWER


class lowered(FunctionElement[str]):  # noqa: N801 - used as a function
    """A text in lower case."""

    type = String()
    inherit_cache = True


class comparable(FunctionElement[datetime]):  # noqa: N801 - used as a function
    """A time in the one form in which it can be compared with others."""

    type = DateTime()
    inherit_cache = True


class ranked(FunctionElement[int]):  # noqa: N801 - used as a function
    """A member of an enumeration, in the order in which the members are declared."""

    type = Integer()
    inherit_cache = True

    def __init__(self, member: ColumnElement[Any]) -> None:
        """Take a column or a parameter whose type is an `Enum`."""
        texts: list[str] = cast("Enum", member.type).enums
        ranks: list[Any] = [
            (literal(text, String()), literal_column(str(rank))) for rank, text in enumerate(texts)
        ]
        super().__init__(member, case(*ranks, value=member))


def ordered(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column in a form whose order is that of its values."""
    if isinstance(column.type, Enum):
        return ranked(column)
    return comparable(column) if isinstance(column.type, DateTime) else column


def ordered_parameter(parameter: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a parameter in a form that can be compared with an `ordered` column."""
    return ranked(parameter) if isinstance(parameter.type, Enum) else parameter


def contains(column: ColumnElement[Any], pattern: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a column contains a text, ignoring case.

    `pattern` is a parameter for what `like_pattern` returns.
    """
    return lowered(column).like(lowered(pattern), escape="\\")


def like_pattern(text: str) -> str:
    """Return the pattern of LIKE for all that contains the text, without wildcards in it."""
    escaped = text.translate({ord(special): f"\\{special}" for special in "\\%_"})
    return f"%{escaped}%"


@compiles(lowered)
def _lowered(element: lowered, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(lowered, "sqlite")
def _lowered_on_sqlite(element: lowered, compiler: SQLCompiler, **options: Any) -> str:
    # The function lower() of SQLite handles only ASCII.
    return f"{SQLITE_LOWER}({compiler.process(element.clauses, **options)})"


@compiles(comparable)
def _comparable(element: comparable, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(comparable, "sqlite")
def _comparable_on_sqlite(element: comparable, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite stores times as text, with or without a fraction depending on the writer.
    time = compiler.process(element.clauses, **options)
    return (
        f"substr({time} || CASE instr({time}, '.') WHEN 0 THEN '.000000' ELSE '000000' END, 1, 26)"
    )


@compiles(ranked)
def _ranked(element: ranked, compiler: SQLCompiler, **options: Any) -> str:
    member, rank = element.clauses
    if compiler.dialect.name == "postgresql" and cast("Enum", member.type).native_enum:
        # A type of PostgreSQL has the order in which it was declared, and its indexes have it too.
        return compiler.process(member, **options)
    return compiler.process(rank, **options)

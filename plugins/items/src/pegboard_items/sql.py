"""SQL expressions that mean the same on SQLite and PostgreSQL."""

import sqlite3
from datetime import datetime
from typing import Any

from flask import Flask
from sqlalchemy import ColumnElement, DateTime, String, event
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

import pegboard

BEFORE_ALL = datetime(1, 1, 1)  # noqa: DTZ001 - as it is stored, without a time zone
"""The time that a missing one is sorted as."""

AFTER_ALL = datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - as it is stored, without a time zone


class lowered(FunctionElement[str]):  # noqa: N801 - used as a function
    """A text in lower case."""

    type = String()
    inherit_cache = True


class sortable(FunctionElement[datetime]):  # noqa: N801 - used as a function
    """A time for sorting, `BEFORE_ALL` where it is missing."""

    type = DateTime()
    inherit_cache = True


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a column contains the text, ignoring case and without wildcards."""
    escaped = text.translate({ord(special): f"\\{special}" for special in "\\%_"})
    return lowered(column).like(lowered(f"%{escaped}%"), escape="\\")


def init_sql(app: Flask) -> None:
    """Register the function behind `lowered` on the app's SQLite connections."""
    with app.app_context():
        engine = pegboard.db.engine
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def add_function(connection: sqlite3.Connection, _record: object) -> None:
        connection.create_function("items_lower", 1, _lower, deterministic=True)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


@compiles(lowered)
def _lowered(element: lowered, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(lowered, "sqlite")
def _lowered_on_sqlite(element: lowered, compiler: SQLCompiler, **options: Any) -> str:
    # The function lower() of SQLite handles only ASCII.
    return f"items_lower({compiler.process(element.clauses, **options)})"


@compiles(sortable)
def _sortable(element: sortable, compiler: SQLCompiler, **options: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **options)}, '0001-01-01 00:00:00')"


@compiles(sortable, "sqlite")
def _sortable_on_sqlite(element: sortable, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite stores times as text, with or without a fraction depending on the writer.
    time = _sortable(element, compiler, **options)
    rest = f"CASE instr({time}, '.') WHEN 0 THEN '.000000' ELSE '000000' END"
    return f"substr({time} || {rest}, 1, 26)"

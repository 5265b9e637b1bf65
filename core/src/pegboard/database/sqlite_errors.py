"""Tells what an error of SQLite says of the data; it names the columns at most."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import UniqueConstraint, literal, select
from sqlalchemy.orm import Session

from pegboard.database.violation import (
    Kind,
    Statement,
    Violation,
    check_columns,
    cuts_reference,
    index_columns,
    is_allowed_by_models,
)

_MAX_PROBES = 200
"""Rows of one statement, at most, whose references are searched for."""

_RESTRICTED = "FOREIGN KEY constraint failed"
"""What SQLite says where `ON DELETE RESTRICT` holds a row, with the code of a trigger."""

_KINDS = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Kind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Kind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT_ROWID: Kind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: Kind.NULL,
    sqlite3.SQLITE_CONSTRAINT_CHECK: Kind.CHECK,
    sqlite3.SQLITE_CONSTRAINT_TRIGGER: Kind.EXCLUDED,
}


def sqlite_violation(
    cause: sqlite3.IntegrityError, statement: Statement, session: Session
) -> Violation | None:
    """Return what a constraint of SQLite says; the session searches for missing rows."""
    code = cause.sqlite_errorcode
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return _reference(statement, session)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER and str(cause) == _RESTRICTED:
        return Violation(Kind.REFERENCED)
    kind = _KINDS.get(code)
    if kind is None:
        return None
    # "UNIQUE constraint failed: notes.a, notes.b" or ": index 'name'"; "CHECK …: name".
    _, _, place = str(cause).partition(": ")
    if kind == Kind.CHECK:
        found = Violation(kind, check_columns(place, statement.table), statement.rows)
        return None if is_allowed_by_models(found, place, statement) else found
    if place.startswith("index "):
        return Violation(kind, index_columns(place[7:-1], statement.table), statement.rows)
    columns = tuple(name.rpartition(".")[2] for name in place.split(", ") if name)
    rows = statement.rows
    if kind == Kind.DUPLICATE and statement.verb == "INSERT" and len(rows) > 1:
        rows = _duplicates(columns, statement, session) or rows
    is_cut = kind == Kind.NULL and cuts_reference(columns, statement)
    found = Violation(kind, columns, rows, cuts_reference=is_cut)
    return None if is_allowed_by_models(found, None, statement) else found


def _duplicates(
    columns: Sequence[str], statement: Statement, session: Session
) -> Sequence[Mapping[str, Any]]:
    """Return the first of several new rows whose unique key another one has, new or not."""
    table = statement.table
    by_name = {} if table is None else {column.name: column for column in table.columns}
    if not by_name.keys() >= set(columns):
        return ()
    seen: list[tuple[Any, ...]] = []
    for row in statement.rows[:_MAX_PROBES]:
        values = tuple(row.get(name) for name in columns)
        if None in values:
            continue  # rows without a value are not equal
        conditions = [by_name[name] == row[name] for name in columns]
        if values in seen or session.execute(select(literal(1)).where(*conditions)).first():
            return [row]
        seen.append(values)
    return ()


def _reference(statement: Statement, session: Session) -> Violation:
    if statement.verb == "DELETE":
        return Violation(Kind.REFERENCED)
    if not statement.verb:  # a commit, when deferred constraints are checked
        return Violation(Kind.BROKEN_REFERENCE)
    columns: dict[str, None] = {}
    rows: list[Mapping[str, Any]] = []
    for missing in _missing_references(statement, session):
        columns |= dict.fromkeys(missing)
        rows.append(missing)
    columns = columns or dict.fromkeys(_partly_changed(statement))
    if columns:
        return Violation(Kind.MISSING, tuple(columns), rows or statement.rows)
    return Violation(Kind.MISSING if statement.verb == "INSERT" else Kind.BROKEN_REFERENCE)


def _partly_changed(statement: Statement) -> Iterator[str]:
    """Yield the columns of references of which one row's update changes a part.

    Whether there is what they refer to is not known without the columns that stay, but nothing
    else is at fault where no column that others can refer to is changed.
    """
    table = statement.table
    if table is None or statement.verb != "UPDATE" or len(statement.rows) != 1:
        return
    (changed,) = statement.rows
    referred = {
        column.name
        for key in table.constraints
        if isinstance(key, UniqueConstraint)
        for column in key.columns
    }
    if referred & changed.keys():
        return
    for constraint in table.foreign_key_constraints:
        names = [one.parent.name for one in constraint.elements]
        if any(changed.get(name) is not None for name in names):
            yield from names


def _missing_references(statement: Statement, session: Session) -> Iterator[Mapping[str, Any]]:
    """Yield the columns and values of references to rows that do not exist."""
    constraints = () if statement.table is None else statement.table.foreign_key_constraints
    for row in statement.rows[:_MAX_PROBES]:
        for constraint in constraints:
            values = {one.parent.name: row.get(one.parent.name) for one in constraint.elements}
            if None in values.values():
                continue  # a reference to nothing is allowed, or not changed here
            conditions = [one.column == values[one.parent.name] for one in constraint.elements]
            if session.execute(select(literal(1)).where(*conditions)).first() is None:
                yield values

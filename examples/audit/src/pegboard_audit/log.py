"""Writing the log: an entry for each change, in the transaction that makes it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from typing import Any, cast

import click
from flask import has_request_context, request
from sqlalchemy import Column, Table, insert, inspect
from sqlalchemy.orm import Mapper

import pegboard
from pegboard.clients import client_of
from pegboard.resources import Change, Kind
from pegboard_audit.models import Entry
from pegboard_audit.settings import AuditSettings

_HIDDEN = "hidden"


def write_entries(changes: Sequence[Change]) -> None:
    """Log what a flush or a statement has written; an error undoes all of it."""
    who = _who()
    hidden = frozenset(pegboard.get_settings(AuditSettings).hidden)
    entries = [_entry(change, who, hidden) for change in changes]
    # A Core statement: listeners do not see it, so the log is not logged.
    pegboard.db.session.execute(insert(Entry.__table__), entries)  # type: ignore[arg-type]


def keep_entries(_change: Change) -> None:
    """Refuse what would write entries by their model, as `delete(Entry)`."""
    pegboard.abort(409, "The audit log is only ever added to.")


def _who() -> str:
    """Return the client of the request, else the command that runs."""
    if has_request_context():
        return client_of(request.environ)
    context = click.get_current_context(silent=True)
    return "command:" + (context.command_path if context else "")


def _entry(change: Change, who: str, hidden: frozenset[str]) -> dict[str, Any]:
    """Return the columns of an entry."""
    mapper: Mapper[Any] = inspect(change.model)
    entry = {"who": who, "kind": change.kind, "table_name": _table_of(mapper)}
    if change.kind is Kind.MANY:
        return entry | {"row_key": None, "before": None, "after": None}
    columns = _columns_of(mapper, hidden)
    row = _Row(
        {name: getattr(change.row, name) for name in columns},
        {name: change.old[name] for name in columns if name in change.old},
    )
    before, after = _VALUES[change.kind](row)
    return entry | {
        "row_key": _key_of(mapper, row.before),
        "before": _shown(before, columns),
        "after": _shown(after, columns),
    }


_Values = Mapping[str, Any]
"""Values by the names of attributes."""


@dataclass(frozen=True)
class _Row:
    """The values of a row."""

    now: _Values
    changed: _Values
    """What was changed, as it was before."""

    @property
    def before(self) -> _Values:
        """All values as they were before."""
        return {**self.now, **self.changed}


def _of_created(row: _Row) -> tuple[_Values | None, _Values | None]:
    """Return what the entry of a new row has of before and after: all of it, after."""
    return None, row.now


def _of_updated(row: _Row) -> tuple[_Values | None, _Values | None]:
    """Return what was changed, as it was and as it is."""
    return row.changed, {name: row.now[name] for name in row.changed}


def _of_deleted(row: _Row) -> tuple[_Values | None, _Values | None]:
    """Return all of a row that is gone, before."""
    return row.before, None


_VALUES = {Kind.CREATED: _of_created, Kind.UPDATED: _of_updated, Kind.DELETED: _of_deleted}


@dataclass(frozen=True)
class _Shown:
    """How a column is named in the log, and whether its values are left out."""

    name: str
    is_hidden: bool


def _columns_of(mapper: Mapper[Any], hidden: frozenset[str]) -> dict[str, _Shown]:
    """Return the columns of a model, by the names of their attributes.

    A class that inherits has columns of several tables: one is hidden by the name of any of them.
    """
    found = {}
    for attribute in mapper.column_attrs:
        if isinstance(attribute.columns[0], Column):  # not an expression over columns
            names = {
                f"{table.fullname}.{column.name}"
                for table in cast("list[Table]", mapper.tables)
                for column in attribute.columns
            }
            found[attribute.key] = _Shown(attribute.columns[0].name, not names.isdisjoint(hidden))
    return found


def _table_of(mapper: Mapper[Any]) -> str:
    """Return the table under which a row is filed: of several, that of the class at the root."""
    while mapper.inherits is not None and not mapper.concrete:
        mapper = mapper.inherits
    return cast("Table", mapper.local_table).fullname


def _key_of(mapper: Mapper[Any], values: Mapping[str, Any]) -> str:
    """Return the primary key as text, where it is changed as it was before."""
    attributes = (mapper.get_property_by_column(column).key for column in mapper.primary_key)
    return ",".join(str(values[name]) for name in attributes)


def _shown(
    values: Mapping[str, Any] | None, columns: Mapping[str, _Shown]
) -> dict[str, Any] | None:
    """Return values by the names of columns, as the log may have them."""
    if values is None:
        return None
    return {
        columns[name].name: _HIDDEN if columns[name].is_hidden else _plain(value)
        for name, value in values.items()
    }


def _plain(value: Any) -> Any:
    """Return a value of a column as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    is_json = value is None or isinstance(value, bool | int | str)
    return value if is_json or (isinstance(value, float) and math.isfinite(value)) else str(value)

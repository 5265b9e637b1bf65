"""Writing the log: an entry for each change, in the transaction that makes it."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, time
from enum import Enum
from typing import Any

import click
from flask import has_request_context, request
from sqlalchemy import insert, inspect

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
    mapper = inspect(change.model)
    table = mapper.local_table.fullname
    entry: dict[str, Any] = {
        "who": who,
        "kind": change.kind,
        "table_name": table,
        "row_key": None,
        "before": None,
        "after": None,
    }
    if change.row is None:
        return entry
    entry["row_key"] = ",".join(map(str, mapper.primary_key_from_instance(change.row)))
    columns = {one.key: one.columns[0].name for one in mapper.column_attrs}

    def shown(values: Mapping[str, Any]) -> dict[str, Any]:
        named = {columns[key]: value for key, value in values.items()}
        return {
            name: _HIDDEN if f"{table}.{name}" in hidden else _plain(value)
            for name, value in named.items()
        }

    names = change.old if change.kind is Kind.UPDATED else columns
    now = {key: getattr(change.row, key) for key in names}
    if change.kind is not Kind.CREATED:
        entry["before"] = shown({**now, **change.old})
    if change.kind is not Kind.DELETED:
        entry["after"] = shown(now)
    return entry


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

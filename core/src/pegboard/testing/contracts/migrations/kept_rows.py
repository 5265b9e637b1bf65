"""Whether the rows of a table that stays are the same after a revision as before."""

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from alembic.script.base import Script
from sqlalchemy import Connection, select
from sqlalchemy.exc import SAWarning

from pegboard.testing.contracts.migrations.history import PluginHistory
from pegboard.testing.contracts.migrations.structure import (
    TableName,
    kind_of,
    plain_value,
    reflect,
)
from pegboard.testing.contracts.named import DataChanges, fail

_MOST_SHOWN = 3
"""How many rows a message shows."""

Row = Mapping[str, object]


class Content(NamedTuple):
    """The columns and rows of a table."""

    kinds: Mapping[str, str]
    """The kind of each column."""
    key: tuple[str, ...]
    """The columns of the primary key."""
    rows: tuple[Row, ...]


def check_names(history: PluginHistory, changes: DataChanges) -> None:
    """Fail the test if changes are declared for a revision that there is not."""
    known = {script.revision for script in history.revisions()}
    if unknown := sorted({*changes} - known):
        fail(
            f"{history.name}: the fixture data_changes names {', '.join(unknown)}; its revisions "
            f"are {', '.join(sorted(known))}."
        )


@contextmanager
def kept_rows(
    history: PluginHistory, script: Script, direction: str, changes: Collection[str]
) -> Iterator[None]:
    """Fail the test if a revision that is applied or undone in the block changes rows.

    Rows may be added, columns and tables added and dropped, and a null replaced. `changes` are the
    tables, and the columns as `table.column`, that the revision is meant to change.
    """
    before = _contents(history)
    yield
    lost = [*_lost(before, _contents(history), {*changes})]
    if lost:
        more = f"; and {len(lost) - _MOST_SHOWN} more" if len(lost) > _MOST_SHOWN else ""
        fail(
            f"{history.name}: the {direction} of {script.revision} changes rows on "
            f"{history.database}: {'; '.join(lost[:_MOST_SHOWN])}{more}. Keep them (on SQLite a "
            "table that others refer to with ON DELETE CASCADE is not to be dropped and made "
            'anew); if it is meant so, say it in the fixture "data_changes": return the tables or '
            f"columns by revision, as in {{{script.revision!r}: ['notes', 'pins.color']}}."
        )


def _contents(history: PluginHistory) -> dict[str, Content]:
    with history.connected() as connection:
        return {str(name): _read(connection, name) for name in history.tables()}


def _read(connection: Connection, name: TableName) -> Content:
    table = reflect(connection, name)
    with warnings.catch_warnings():
        # Of decimals, which SQLite only converts.
        warnings.simplefilter("ignore", SAWarning)
        found = connection.execute(select(table)).mappings().all()
    return Content(
        {column.name: kind_of(column.type) for column in table.columns},
        tuple(column.name for column in table.primary_key),
        tuple({str(key): value for key, value in row.items()} for row in found),
    )


def _lost(
    before: Mapping[str, Content], after: Mapping[str, Content], changes: Collection[str]
) -> Iterator[str]:
    """Yield a sentence for each row that is gone or has another value."""
    for table in sorted(before.keys() & after.keys() - {*changes}):
        old, new = before[table], after[table]
        columns = [
            name
            for name, kind in old.kinds.items()
            if new.kinds.get(name) == kind and f"{table}.{name}" not in changes
        ]
        left = [*new.rows]
        for row in old.rows:
            match = next((one for one in left if not _differing(row, one, columns)), None)
            if match is None:
                yield _sentence(table, row, new, columns)
            else:
                left.remove(match)


def _differing(old: Row, new: Row, columns: Iterable[str]) -> list[str]:
    return [
        name
        for name in columns
        if old[name] is not None and plain_value(old[name]) != plain_value(new[name])
    ]


def _sentence(table: str, row: Row, new: Content, columns: list[str]) -> str:
    told = f"the row of {table} with {_told(row, columns)}"
    key = new.key
    same = [one for one in new.rows if key and all(row.get(name) == one[name] for name in key)]
    if not same:
        return f"{told} is gone"
    return f"{told} has {_told(same[0], _differing(row, same[0], columns))}"


def _told(row: Row, columns: Iterable[str]) -> str:
    return ", ".join(f"{name}={row[name]!s:.60}" for name in columns)

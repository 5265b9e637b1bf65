"""Inserting many items in batches."""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import insert, select

import pegboard
from pegboard_items.events import Change, Kind, get_listeners
from pegboard_items.models import Item, table

Values = dict[str, Any]
"""The values of a new item by column."""


class BulkWriter:
    """Inserts items in batches, and calls the hooks of items for each.

    Use it inside a transaction, call `flush` at its end, and `announce` after the commit. To keep
    memory small, only the ids of inserted items are kept, and only if a plugin has the hook.
    """

    def __init__(self, batch_size: int) -> None:
        self.count = 0
        self._batch_size = batch_size
        self._batch: list[Values] = []
        self._listeners = get_listeners()
        self._ids = array("i")

    def add(self, values: Values) -> None:
        """Add an item. Raises what a plugin raises to refuse it."""
        if self._listeners:
            item = Item(**values)
            self._listeners.before_write(Change(Kind.CREATED, item))
            values = {name: getattr(item, name) for name in values}
        self._batch.append(values)
        if len(self._batch) == self._batch_size:
            self.flush()

    def flush(self) -> None:
        """Insert the items added since the last full batch."""
        if not self._batch:
            return
        if self._listeners and self._listeners.has_after_commit:
            statement = insert(table).returning(table.columns.id)
            self._ids.extend(pegboard.db.session.scalars(statement, self._batch))
        else:
            pegboard.db.session.execute(insert(table), self._batch)
        self.count += len(self._batch)
        self._batch = []

    def announce(self) -> None:
        """Call `pegboard_items_after_commit`; to be called after the commit."""
        if self._listeners:
            for changes in self._changes():
                self._listeners.after_commit(changes)

    def _changes(self) -> Iterator[Sequence[Change]]:
        for start in range(0, len(self._ids), self._batch_size):
            ids = self._ids[start : start + self._batch_size]
            query = select(table).where(table.columns.id.in_(ids)).order_by(table.columns.id)
            rows = pegboard.db.session.execute(query).mappings()
            yield tuple(Change(Kind.CREATED, Item(**row)) for row in rows)
            pegboard.db.session.rollback()

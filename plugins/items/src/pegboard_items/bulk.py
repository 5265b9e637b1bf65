"""Inserting many items in batches."""

from typing import Any

from pegboard.resources import BulkInsert
from pegboard_items.models import Item

Values = dict[str, Any]
"""The values of a new item by column."""


class BulkWriter:
    """Inserts items in batches, and calls the hooks of items for each.

    Use it inside a transaction, call `flush` at its end, and `announce` after the commit.
    """

    def __init__(self, batch_size: int) -> None:
        self.count = 0
        self._batch_size = batch_size
        self._batch: list[Values] = []
        self._insert = BulkInsert(Item)

    def add(self, values: Values) -> None:
        """Add an item. Raises what a plugin raises to refuse it."""
        self._batch.append(self._insert.prepare(values))
        if len(self._batch) == self._batch_size:
            self.flush()

    def flush(self) -> None:
        """Insert the items added since the last full batch."""
        self._insert.execute(self._batch)
        self.count += len(self._batch)
        self._batch = []

    def announce(self) -> None:
        """Call `pegboard_items_after_commit`; to be called after the commit."""
        self._insert.announce()

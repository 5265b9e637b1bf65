"""Inserting many items in batches."""

from typing import Any

from pegboard.resources import BulkInsert
from pegboard_items.models import Item

Values = dict[str, Any]
"""The values of a new item by column."""


class BulkWriter:
    """Inserts items in batches, and tells listeners of them.

    Use it inside a transaction, call `flush` at its end, and `announce` after the commit.
    """

    def __init__(self, batch_size: int) -> None:
        self.count = 0
        self._batch_size = batch_size
        self._batch: list[Values] = []
        self._insert = BulkInsert(Item)

    def prepare(self, values: Values) -> Values:
        """Return the values to add, which plugins may change. Raises what one raises to refuse."""
        return self._insert.prepare(values)

    def add(self, prepared: Values) -> None:
        """Add an item. Raises what a plugin raises to refuse the items of the batch."""
        self._batch.append(prepared)
        if len(self._batch) == self._batch_size:
            self.flush()

    def flush(self) -> None:
        """Insert the items added since the last full batch."""
        self._insert.execute(self._batch)
        self.count += len(self._batch)
        self._batch = []

    def announce(self) -> None:
        """Tell listeners that the items are there; to be called after the commit."""
        self._insert.announce()

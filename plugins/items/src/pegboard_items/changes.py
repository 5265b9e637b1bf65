"""What the hooks of items tell of a write."""

from dataclasses import dataclass

from pegboard.resources import Kind
from pegboard_items.models import Item


@dataclass(frozen=True)
class Change:
    """One item, and what a write does to it."""

    kind: Kind
    """Whether the item is inserted, changed or deleted."""
    item: Item
    """The item, with the values that are written; of one that is deleted, those that it had."""

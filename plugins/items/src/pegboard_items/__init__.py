"""The items resource of Pegboard."""

from pegboard_items.events import Change, Kind
from pegboard_items.models import Item

__all__ = ["Change", "Item", "Kind"]

"""The items resource of Pegboard."""

from pegboard.resources import Kind
from pegboard_items.changes import Change
from pegboard_items.models import Item
from pegboard_items.schemas import ItemSchema

__all__ = ["Change", "Item", "ItemSchema", "Kind"]

"""The schema of items."""

from typing import Any

from marshmallow import RAISE, Schema, fields, post_load

from pegboard.resources import Line, Moment, Text
from pegboard_items.models import MAX_ID, NAME_LENGTH


class ItemSchema(Schema):
    """An item."""

    id = fields.Integer(dump_only=True, metadata={"minimum": 1, "maximum": MAX_ID, "example": 1})
    name = Line(
        required=True,
        max_length=NAME_LENGTH,
        what="A name",
        metadata={"example": "Claw hammer"},
    )
    description = Text(
        load_default=None, allow_none=True, metadata={"example": "Forged head, ash handle."}
    )
    created_at = Moment(dump_only=True, allow_none=True)
    updated_at = Moment(dump_only=True, allow_none=True)


class ItemRowSchema(Schema):
    """An item in a file to import: it may have times, and an id, which is ignored."""

    class Meta:
        """Refuse other fields."""

        unknown = RAISE

    id = fields.Raw(allow_none=True)
    name = Line(required=True, max_length=NAME_LENGTH, what="A name")
    description = Text(load_default=None, allow_none=True)
    created_at = Moment(allow_none=True)
    updated_at = Moment(allow_none=True)

    @post_load
    def drop_id(self, row: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drop the id: every imported item gets a new one."""
        row.pop("id", None)
        return row

"""The schema of items."""

from marshmallow import Schema, fields

from pegboard.resources import Line, Moment, Text
from pegboard_items.models import MAX_ID, NAME_LENGTH


class ItemSchema(Schema):
    """What clients send of an item, and what they see."""

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

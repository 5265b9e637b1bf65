"""What clients send and get."""

from marshmallow import Schema, fields

from pegboard.resources import Line, Moment, Text
from pegboard_notes.models import TITLE_LENGTH


class NoteSchema(Schema):
    """One note."""

    id = fields.Integer(dump_only=True, metadata={"example": 1})
    title = Line(required=True, max_length=TITLE_LENGTH, metadata={"example": "A title"})
    text = Text(load_default=None, allow_none=True, metadata={"example": "One line.\nAnother."})
    created_at = Moment(dump_only=True)
    updated_at = Moment(dump_only=True)

"""The schema of reviews."""

from marshmallow import Schema, fields, validate

from pegboard.resources import Moment, Text


class ReviewSchema(Schema):
    """A review."""

    id = fields.Integer(dump_only=True)
    item_id = fields.Integer(required=True, strict=True)
    author = fields.String(dump_only=True)
    rating = fields.Integer(required=True, strict=True, validate=validate.Range(1, 5))
    text = Text(load_default=None, allow_none=True)
    published_at = Moment(dump_only=True)
    created_at = Moment(dump_only=True)

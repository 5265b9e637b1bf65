"""The views of the Flask service as a plugin: `cached` and `transactional` are all that differs."""

import os
from pathlib import Path

from flask.views import MethodView
from marshmallow import Schema, fields, validate
from sqlalchemy import String, Text, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard

LIST_TOTAL = os.environ.get("LIST_TOTAL", "0") == "1"


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class Item(Base):
    """An item."""

    __tablename__ = "items"

    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)


class ItemSchema(Schema):
    """An item."""

    id = fields.Integer(dump_only=True)
    name = fields.String(required=True, validate=validate.Length(min=1, max=100))
    description = fields.String(allow_none=True, load_default=None)
    created_at = fields.DateTime(dump_only=True)
    updated_at = fields.DateTime(dump_only=True)


class PageQuerySchema(Schema):
    """Which page."""

    page = fields.Integer(load_default=1, validate=validate.Range(min=1))
    page_size = fields.Integer(load_default=20, validate=validate.Range(min=1, max=100))


class ItemPageSchema(Schema):
    """A page of items."""

    items = fields.List(fields.Nested(ItemSchema))
    page = fields.Integer()
    page_size = fields.Integer()
    total = fields.Integer()


blp = pegboard.Blueprint("items", __name__, url_prefix="/api/items", description="Items")


def get_or_404(item_id):
    """Return an item."""
    item = pegboard.db.session.get(Item, item_id)
    if item is None:
        pegboard.abort(404, "Item not found")
    return item


@blp.route("/")
class ItemList(MethodView):
    """All items."""

    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, ItemPageSchema)
    def get(self, args):
        """List items."""
        page, page_size = args["page"], args["page_size"]
        query = select(Item).order_by(Item.id).limit(page_size).offset((page - 1) * page_size)
        items = pegboard.db.session.scalars(query).all()
        result = {"items": items, "page": page, "page_size": page_size}
        if LIST_TOTAL:
            result["total"] = pegboard.db.session.scalar(select(func.count()).select_from(Item))
        return result

    @blp.arguments(ItemSchema)
    @blp.response(201, ItemSchema)
    @pegboard.transactional
    def post(self, data):
        """Create an item."""
        item = Item(**data)
        pegboard.db.session.add(item)
        return item


@blp.route("/<int:item_id>")
class ItemDetail(MethodView):
    """One item."""

    @pegboard.cached(Item, ttl=300)
    @blp.response(200, ItemSchema)
    def get(self, item_id):
        """Get an item."""
        return get_or_404(item_id)

    @blp.arguments(ItemSchema)
    @blp.response(200, ItemSchema)
    @pegboard.transactional
    def put(self, data, item_id):
        """Replace an item."""
        item = get_or_404(item_id)
        item.name = data["name"]
        item.description = data["description"]
        item.updated_at = pegboard.utcnow()
        return item

    @blp.response(204)
    @pegboard.transactional
    def delete(self, item_id):
        """Delete an item."""
        pegboard.db.session.delete(get_or_404(item_id))


@pegboard.hookimpl
def pegboard_models():
    """Register the table."""
    return Base


@pegboard.hookimpl
def pegboard_migrations():
    """Return the folder of the revisions."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl
def pegboard_blueprints():
    """Serve the views."""
    return [blp]

"""Items API the usual Flask way: smorest + SQLAlchemy + Caching + Limiter, one module."""

import os
from datetime import UTC, datetime

from flask import Flask, Response, json
from flask.views import MethodView
from flask_caching import Cache
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_smorest import Api, Blueprint, abort
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields, validate
from sqlalchemy import String, Text, func, select
from sqlalchemy.orm import Mapped, mapped_column

THREADS = int(os.environ.get("THREADS", "8"))
DRIVER = os.environ.get("DRIVER", "psycopg2")
LIST_TOTAL = os.environ.get("LIST_TOTAL", "0") == "1"
CACHE_SECONDS = 300


def utcnow():
    return datetime.now(UTC).replace(tzinfo=None)


class JsonErrorApi(Api):
    """Error bodies are {"message", "status"}."""

    def handle_http_exception(self, error):
        data = getattr(error, "data", None) or {}
        message = data.get("message") or data.get("messages") or error.description
        if not isinstance(message, str):
            message = json.dumps(message)
        return {"message": message, "status": error.code}, error.code, data.get("headers", {})


db = SQLAlchemy(session_options={"expire_on_commit": False})
cache = Cache()
limiter = Limiter(
    get_remote_address,
    application_limits=[f"{os.environ.get('RATE_LIMIT', '1000000000')} per minute"],
    storage_uri=os.environ["REDIS_URL"],
    strategy="fixed-window",
)


class Item(db.Model):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class ItemSchema(Schema):
    id = fields.Integer(dump_only=True)
    name = fields.String(required=True, validate=validate.Length(min=1, max=100))
    description = fields.String(allow_none=True, load_default=None)
    created_at = fields.DateTime(dump_only=True)
    updated_at = fields.DateTime(dump_only=True)


class PageQuerySchema(Schema):
    page = fields.Integer(load_default=1, validate=validate.Range(min=1))
    page_size = fields.Integer(load_default=20, validate=validate.Range(min=1, max=100))


class ItemPageSchema(Schema):
    items = fields.List(fields.Nested(ItemSchema))
    page = fields.Integer()
    page_size = fields.Integer()
    total = fields.Integer()


blp = Blueprint("items", __name__, url_prefix="/api/items", description="Items")
item_schema = ItemSchema()


def cache_key(item_id):
    return f"item:{item_id}"


def get_or_404(item_id):
    item = db.session.get(Item, item_id)
    if item is None:
        abort(404, message="Item not found")
    return item


@blp.route("/")
class ItemList(MethodView):
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, ItemPageSchema)
    def get(self, args):
        page, page_size = args["page"], args["page_size"]
        query = select(Item).order_by(Item.id).limit(page_size).offset((page - 1) * page_size)
        result = {"items": db.session.scalars(query).all(), "page": page, "page_size": page_size}
        if LIST_TOTAL:
            result["total"] = db.session.scalar(select(func.count()).select_from(Item))
        return result

    @blp.arguments(ItemSchema)
    @blp.response(201, ItemSchema)
    def post(self, data):
        item = Item(**data)
        db.session.add(item)
        db.session.commit()
        return item


@blp.route("/<int:item_id>")
class ItemDetail(MethodView):
    @blp.response(200, ItemSchema)
    def get(self, item_id):
        body = cache.get(cache_key(item_id))
        if body is None:
            body = item_schema.dumps(get_or_404(item_id))
            cache.set(cache_key(item_id), body)
        return Response(body, mimetype="application/json")

    @blp.arguments(ItemSchema)
    @blp.response(200, ItemSchema)
    def put(self, data, item_id):
        item = get_or_404(item_id)
        item.name = data["name"]
        item.description = data["description"]
        item.updated_at = utcnow()
        db.session.commit()
        cache.delete(cache_key(item_id))
        return item

    @blp.response(204)
    def delete(self, item_id):
        db.session.delete(get_or_404(item_id))
        db.session.commit()
        cache.delete(cache_key(item_id))


def create_app():
    app = Flask(__name__)
    app.config.update(
        API_TITLE="Items",
        API_VERSION="v1",
        OPENAPI_VERSION="3.0.3",
        SQLALCHEMY_DATABASE_URI=os.environ["DATABASE_URL"].replace(
            "postgresql://", f"postgresql+{DRIVER}://", 1
        ),
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": THREADS},
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_URL=os.environ["REDIS_URL"],
        CACHE_DEFAULT_TIMEOUT=CACHE_SECONDS,
    )
    db.init_app(app)
    cache.init_app(app)
    limiter.init_app(app)
    JsonErrorApi(app).register_blueprint(blp)
    return app


app = create_app()

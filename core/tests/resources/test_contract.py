"""The contract of resources, on two that have every option between them."""

import enum
from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal as DecimalNumber
from itertools import count
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import Schema, ValidationError, fields, validates_schema
from sqlalchemy import Enum, ForeignKey, Index, Numeric, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard import Resource
from pegboard.resources import (
    CRUD,
    EQUALITY,
    RANGE,
    Comparison,
    Decimal,
    Filter,
    Line,
    Moment,
    Operation,
    Text,
)
from pegboard.testing.contracts import ResourceContract
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the plugin."""


class State(enum.Enum):
    """How far a review is."""

    draft = "not yet"
    published = "for all"


class Shelf(Base):
    """Where reviewed things are."""

    __tablename__ = "shelves"
    __table_args__ = (UniqueConstraint("room", "label"),)

    room: Mapped[str] = mapped_column(String(50))
    label: Mapped[str] = mapped_column(String(50))
    above_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))


class Review(Base):
    """What somebody thinks."""

    __tablename__ = "reviews"
    __table_args__ = (Index(None, "rating", "id"), Index(None, "published_at", "id"))

    author: Mapped[str] = mapped_column(String(80), unique=True)
    text: Mapped[str | None]
    rating: Mapped[int | None]
    price: Mapped[DecimalNumber | None] = mapped_column(Numeric(12, 2))
    is_paid: Mapped[bool]
    read_at: Mapped[time | None]
    state: Mapped[State] = mapped_column(Enum(State, create_constraint=True), default=State.draft)
    published_at: Mapped[datetime | None]


class ShelfSchema(Schema):
    """A shelf."""

    id = fields.Integer(dump_only=True)
    room = Line(required=True, max_length=50, data_key="roomName")
    label = Line(required=True, max_length=50)
    above = fields.Integer(
        attribute="above_id", data_key="parent", allow_none=True, load_default=None, strict=True
    )


class ReviewSchema(Schema):
    """A review."""

    id = fields.Integer(dump_only=True)
    author = Line(required=True, max_length=80)
    text = Text(allow_none=True)
    rating = fields.Integer(allow_none=True, load_default=None, strict=True)
    price = Decimal(allow_none=True, load_default=None)
    read_at = fields.Time(allow_none=True, load_default=None)
    is_paid = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    state = fields.Enum(State, by_value=True)
    published_at = Moment(allow_none=True, load_default=None)
    created_at = Moment(dump_only=True)

    @validates_schema
    def is_worth_its_price(self, values: dict[str, Any], **_: Any) -> None:
        """Refuse a price of something that is not paid for."""
        if values.get("price") is not None and values.get("is_paid") is False:
            message = "Only a paid review has a price."
            raise ValidationError(message, "price")


shelves = pegboard.Resource(
    "shelves",
    __name__,
    Shelf,
    ShelfSchema,
    noun="shelf",
    operations=frozenset(Operation),
    sort=[Shelf.label, Shelf.above_id, Shelf.room],
    sort_keys=1,
    search=[Shelf.room],
    filters=[Filter(Shelf.room), Filter(Shelf.above_id, [Comparison.NULL, Comparison.IN])],
    sparse=True,
)
reviews = pegboard.Resource(
    "reviews",
    __name__,
    Review,
    ReviewSchema,
    noun="review",
    description="What people think.",
    operations=CRUD | {Operation.MERGE, Operation.BULK_CREATE},
    sort=[
        Review.id,
        Review.rating,
        Review.price,
        Review.author,
        Review.is_paid,
        Review.read_at,
        Review.state,
        Review.published_at,
        Review.created_at,
    ],
    sort_keys=3,
    search=[Review.author, Review.text],
    filters=[
        Filter(Review.author, (*EQUALITY, *RANGE)),
        Filter(Review.rating, (*EQUALITY, *RANGE, Comparison.NULL)),
        Filter(Review.price, (*EQUALITY, *RANGE)),
        Filter(Review.is_paid, [Comparison.EQ]),
        Filter(Review.read_at, (*EQUALITY, *RANGE)),
        Filter(Review.state, EQUALITY),
        Filter(Review.published_at, (*EQUALITY, *RANGE, Comparison.NULL)),
    ],
    sparse=True,
    export=True,
    ttl=60,
)


def shelf_bodies() -> Iterator[dict[str, Any]]:
    """Shelves without end."""
    for number in count():
        yield {"roomName": f"room {number % 3}", "label": f"shelf {number}"}


def review_bodies() -> Iterator[dict[str, Any]]:
    """Reviews without end; some lack what may be missing, and some are equal in it."""
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - as it is stored
    for number in count():
        is_paid = number % 2 == 0
        moment = start + timedelta(days=number % 4, microseconds=number % 2)
        yield {
            "author": f"Anna {number} Ünder%_\\ Berg",
            "text": None if number % 3 == 0 else f'A "text", of {number}.\nÄ',
            "rating": None if number % 4 == 3 else number % 3 - 1,
            "price": f"{number}.5" if is_paid else None,
            "is_paid": is_paid,
            "read_at": None if number % 4 == 2 else f"10:30:0{number % 3}",
            "state": "not yet" if number % 3 else "for all",
            "published_at": None if number % 5 == 4 else moment.isoformat(),
        }


class Library:
    """The plugin that has them."""

    name = "library"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve both."""
        return [shelves.blueprint, reviews.blueprint]


@pytest.fixture
def app(make_app: MakeApp, database_url: str) -> Iterator[Flask]:
    """An app with both resources, on SQLite and on PostgreSQL."""
    app = make_app(plugins=[Library()], DATABASE_URL=database_url)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    yield app
    with app.app_context():
        Base.metadata.drop_all(pegboard.db.engine)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app."""
    return app.test_client()


class TestReviews(ResourceContract):
    """A resource with every option."""

    @pytest.fixture
    def resource(self) -> Resource[Any]:
        """Reviews."""
        return reviews

    @pytest.fixture
    def bodies(self) -> Iterator[Mapping[str, Any]]:
        """Reviews without end."""
        return review_bodies()


class TestShelves(ResourceContract):
    """A resource with a foreign key, values that may be missing, and a unique key of two."""

    @pytest.fixture
    def resource(self) -> Resource[Any]:
        """Shelves."""
        return shelves

    @pytest.fixture
    def bodies(self) -> Iterator[Mapping[str, Any]]:
        """Shelves without end."""
        return shelf_bodies()

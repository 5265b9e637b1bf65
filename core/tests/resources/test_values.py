"""Values mean the same in the answer to a write and in a later one, and on both databases."""

from collections.abc import Mapping
from decimal import Decimal as DecimalNumber
from typing import Any

import pytest
from marshmallow import Schema, fields
from sqlalchemy import CHAR, JSON, ForeignKey, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import pegboard
from pegboard.resources import Decimal, Line, Operation
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Tag(Base):
    """A row of which a part has several."""

    __tablename__ = "tags"

    name: Mapped[str]
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"))


class Part(Base):
    """A row with columns whose values the database may write in another form."""

    __tablename__ = "parts"

    price: Mapped[DecimalNumber | None] = mapped_column(Numeric(8, 2))
    weight: Mapped[float | None]
    code: Mapped[str | None] = mapped_column(CHAR(4))
    facts: Mapped[Any] = mapped_column(JSON().with_variant(JSONB(), "postgresql"), default=dict)
    tags: Mapped[list[Tag]] = relationship(lazy="joined")


class TagSchema(Schema):
    """A tag."""

    name = fields.String()


class PartSchema(Schema):
    """A part."""

    id = fields.Integer(dump_only=True)
    price = Decimal(allow_none=True, load_default=None)
    weight = fields.Float(allow_none=True, load_default=None)
    code = Line(allow_none=True, load_default=None)
    facts = fields.Dict(load_default=dict)
    tags = fields.Nested(TagSchema, many=True, dump_only=True)


@pytest.fixture
def client(make_app: MakeApp, database_url: str) -> Any:
    """A client of an app with a resource of parts."""
    parts = pegboard.Resource(
        "parts", __name__, Part, PartSchema, noun="part", operations=frozenset(Operation)
    )

    class Plugin:
        name = "parts"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [parts.blueprint]

    app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    return app.test_client()


BODIES: list[Mapping[str, Any]] = [
    {"price": "1.5"},
    {"price": "-0"},
    {"weight": -0.0},
    {"code": "ab"},
    {"facts": {"longer": 1, "b": {"y": 2, "x": 1}}},
]


@pytest.mark.parametrize("body", BODIES)
def test_the_answer_to_a_write_is_what_is_read_next(client: Any, body: dict[str, Any]) -> None:
    """So its `ETag` can be sent with the next write, however the database writes a value."""
    created = client.post("/api/parts/", json=body)
    assert 201 == created.status_code, created.get_json()
    url = created.headers["Location"]
    answer = created
    for method in ("GET", "PUT", "GET", "PATCH", "GET"):
        headers = {"If-Match": answer.headers["ETag"]}
        sent = {} if method == "GET" else {"json": body, "headers": headers}
        answer = client.open(url, method=method, **sent)
        assert (200, created.data) == (answer.status_code, answer.data), method
    several = client.post("/api/parts/bulk", json=[body, body]).get_json()
    assert several == client.get("/api/parts/").get_json()[1:]


def test_rows_are_listed_once_with_what_a_join_adds(client: Any) -> None:
    """By number and by cursor."""
    for _ in range(3):
        client.post("/api/parts/", json={})
    with client.application.app_context():
        pegboard.db.session.add_all(
            [Tag(name=f"t{one % 2}", part_id=one // 2) for one in range(2, 8)]
        )
        pegboard.db.session.commit()
    for query in ("page=1", "after="):
        rows = client.get(f"/api/parts/?page_size=2&{query}").get_json()
        assert [1, 2] == [row["id"] for row in rows]
        assert [["t0", "t1"]] * 2 == [sorted(one["name"] for one in row["tags"]) for row in rows]

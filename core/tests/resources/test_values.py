"""Values mean the same in the answer to a write and in a later one, and on both databases."""

from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal as DecimalNumber
from typing import Any

import pytest
from marshmallow import Schema, fields
from sqlalchemy import CHAR, JSON, DateTime, ForeignKey, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import pegboard
from pegboard.resources import RANGE, Decimal, Filter, Line, Moment, Operation
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
    rate: Mapped[DecimalNumber | None] = mapped_column(Numeric(2, 2))
    share: Mapped[DecimalNumber | None] = mapped_column(Numeric(3, 0))
    weight: Mapped[float | None]
    opens: Mapped[time | None]
    due: Mapped[datetime | None]
    seen: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
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
    rate = Decimal(allow_none=True, load_default=None)
    share = fields.Decimal(allow_none=True, load_default=None, as_string=True)
    opens = fields.Time(allow_none=True, load_default=None)
    due = fields.DateTime(allow_none=True, load_default=None)
    seen = Moment(allow_none=True, load_default=None)
    weight = fields.Float(allow_none=True, load_default=None)
    code = Line(allow_none=True, load_default=None)
    facts = fields.Dict(load_default=dict)
    tags = fields.Nested(TagSchema, many=True, dump_only=True)


@pytest.fixture
def client(make_app: MakeApp, database_url: str) -> Any:
    """A client of an app with a resource of parts."""
    parts = pegboard.Resource(
        "parts",
        __name__,
        Part,
        PartSchema,
        noun="part",
        operations=frozenset(Operation),
        export=True,
        sort=[Part.opens],
        filters=[Filter(Part.opens, RANGE)],
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
    {"due": "2024-01-01T01:00:00+02:00"},
    {"seen": "2024-01-01T01:00:00+02:00"},
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


@pytest.mark.parametrize(
    "name, value",
    [
        ("price", "1234567"),
        ("price", "1.005"),
        ("rate", "1"),
        ("rate", "0.005"),
        ("share", "1.5"),
        ("share", 1000),
        ("opens", "10:30:00+02:00"),
        ("opens", "10:30:00Z"),
        ("due", "0001-01-01T00:00:00+02:00"),
    ],
)
def test_what_a_column_cannot_hold_is_refused(client: Any, name: str, value: object) -> None:
    """On both databases, in place of a number that is rounded or a time that is moved."""
    assert 201 == client.post("/api/parts/", json={}).status_code
    for answer in (
        client.post("/api/parts/", json={name: value}),
        client.put("/api/parts/1", json={name: value}),
        client.patch("/api/parts/1", json={name: value}),
    ):
        assert (422, [name]) == (answer.status_code, [*answer.get_json()["errors"]])


def test_what_a_column_holds_is_shown_alike(client: Any) -> None:
    """A time with an offset is converted to UTC."""
    body = {
        "price": "-123456.5",
        "rate": "0.99",
        "share": "999",
        "opens": "10:30",
        "due": "2024-01-01T01:00:00+02:00",
        "seen": "2024-01-01T01:00:00+02:00",
    }
    shown = client.post("/api/parts/", json=body).get_json()
    expected = body | {
        "price": "-123456.50",
        "opens": "10:30:00",
        "due": "2023-12-31T23:00:00",
        "seen": "2023-12-31T23:00:00",
    }
    assert expected == {name: shown[name] for name in expected}
    line = client.get("/api/parts/", headers={"Accept": "application/x-ndjson"}).get_json(
        force=True
    )
    assert shown == line


def test_a_time_in_a_query_has_no_offset(client: Any) -> None:
    """And a cursor that a client has made up is a place."""
    for value in ("10:30:00Z", "10:30:00+02:00", "25:00", "x"):
        answer = client.get("/api/parts/", query_string={"opens[gte]": value})
        assert (422, ["opens[gte]"]) == (answer.status_code, [*answer.get_json()["errors"]])
    assert 200 == client.get("/api/parts/?opens[gte]=10:30&sort=opens").status_code
    assert 200 == client.get(f"/api/parts/?sort=opens&after=1.{'9' * 11}").status_code


def test_the_document_says_how_many_digits_there_are(client: Any) -> None:
    """Of requests; the example is such a number."""
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    (name,) = (one for one in schemas if one.endswith("PartInput"))
    found = schemas[name]["properties"]
    assert r"^-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,2})?$" == found["price"]["pattern"]
    assert r"^-?0(\.[0-9]{1,2})?$" == found["rate"]["pattern"]
    assert ("12.50", "0.50") == (found["price"]["example"], found["rate"]["example"])


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

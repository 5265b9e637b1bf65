"""What a client may write is bounded by the columns, on both databases."""

from typing import Any

import pytest
from marshmallow import Schema, fields, validate
from sqlalchemy import BigInteger, SmallInteger, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Line, Operation, Text
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Box(Base):
    """A row with a column of each bounded type."""

    __tablename__ = "boxes"

    count: Mapped[int | None]
    small: Mapped[int | None] = mapped_column(SmallInteger)
    big: Mapped[int | None] = mapped_column(BigInteger)
    stars: Mapped[int | None]
    wide: Mapped[int | None] = mapped_column(SmallInteger)
    code: Mapped[str | None] = mapped_column(String(9))
    line: Mapped[str | None] = mapped_column(String(9))
    text: Mapped[str | None] = mapped_column(String(9))
    short: Mapped[str | None] = mapped_column(String(9))
    free: Mapped[str | None]


class BoxSchema(Schema):
    """A box."""

    id = fields.Integer(dump_only=True)
    amount = fields.Integer(attribute="count", allow_none=True)
    small = fields.Integer(allow_none=True)
    big = fields.Integer(allow_none=True)
    stars = fields.Integer(validate=validate.Range(min=1, max=5), allow_none=True)
    wide = fields.Integer(validate=validate.Range(min=0, max=99_999), allow_none=True)
    code = fields.String(allow_none=True)
    line = Line(allow_none=True)
    text = Text(allow_none=True)
    short = fields.String(validate=validate.Length(max=3), allow_none=True)
    free = fields.String(allow_none=True)


@pytest.fixture
def client(make_app: MakeApp, database_url: str) -> Any:
    """A client of an app with a resource of boxes."""
    resource = pegboard.Resource(
        "boxes",
        __name__,
        Box,
        BoxSchema,
        noun="box",
        operations={*CRUD, Operation.MERGE, Operation.BULK_CREATE},
    )

    class Plugin:
        name = "boxes"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [resource.blueprint]

    app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    return app.test_client()


HIGHEST = {
    "amount": 2**31 - 1,
    "small": 2**15 - 1,
    "big": 2**63 - 1,
    "stars": 5,
    "wide": 2**15 - 1,
}
LONGEST = {"code": 9, "line": 9, "text": 9, "short": 3}


def test_what_a_column_holds_can_be_written_and_nothing_more(client: Any) -> None:
    """By every operation that writes, with the field's name."""
    most = HIGHEST | {name: "ä" * length for name, length in LONGEST.items()}
    least = {"amount": -(2**31), "small": -(2**15), "big": -(2**63), "stars": 1, "wide": 0}
    created = client.post("/api/boxes/", json=most | {"free": "x" * 1000})
    assert 201 == created.status_code, created.get_json()
    url = created.headers["Location"]
    assert 200 == client.patch(url, json=least).status_code

    wrong: list[dict[str, Any]] = [{name: value + 1} for name, value in HIGHEST.items()]
    wrong += [{name: value - 1} for name, value in least.items()]
    wrong += [{name: "x" * (length + 1)} for name, length in LONGEST.items()]
    for body in wrong:
        for answer in (
            client.post("/api/boxes/", json=body),
            client.put(url, json=body),
            client.patch(url, json=body),
        ):
            assert 422 == answer.status_code, body
            assert [*body] == [*answer.get_json()["errors"]]
        bulk = client.post("/api/boxes/bulk", json=[{}, body])
        assert [f"1.{next(iter(body))}"] == [*bulk.get_json()["errors"]]


def test_the_document_has_the_bounds_of_requests(client: Any) -> None:
    """So that generated clients know them; answers have none."""
    document = client.get("/openapi.json").get_json()
    schemas = {
        name.rpartition("Box")[2]: schema
        for name, schema in document["components"]["schemas"].items()
    }
    for name in ("Input", "Merge"):
        found = schemas[name]["properties"]
        assert HIGHEST == {one: found[one]["maximum"] for one in HIGHEST}
        assert -(2**31) == found["amount"]["minimum"]
        assert (1, 0) == (found["stars"]["minimum"], found["wide"]["minimum"])
        lengths = {one: found[one].get("maxLength") for one in LONGEST}
        assert LONGEST | {"line": None} == lengths
        assert "1 to 9 characters" in found["line"]["description"]
        assert "maxLength" not in found["free"]
    assert "maximum" not in schemas[""]["properties"]["amount"]
    assert "1 to 9" not in str(schemas[""]["properties"]["line"])

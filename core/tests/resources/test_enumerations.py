"""Enumerations have the order of their declaration on both databases, and a type in documents."""

import enum
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from marshmallow import Schema, fields, validate
from sqlalchemy import Enum
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import EQUALITY, RANGE, Comparison, Filter
from pegboard.testing.fixtures import MakeApp


class Size(enum.Enum):
    """Sizes whose order is neither that of their names nor that of their values."""

    SMALL = "S"
    LARGE = "L"
    HUGE = "H"


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Shirt(Base):
    """A row with enumerations: of the database's own type, stored as text, and of texts."""

    __tablename__ = "shirts"

    size: Mapped[Size | None] = mapped_column(Enum(Size))
    stored: Mapped[Size | None] = mapped_column(Enum(Size, native_enum=False, length=20))
    level: Mapped[str | None] = mapped_column(Enum("low", "mid", "high", name="shirt_level"))


class ShirtSchema(Schema):
    """A shirt."""

    id = fields.Integer(dump_only=True)
    size = fields.Enum(Size, by_value=True, allow_none=True, load_default=None)
    stored = fields.Enum(Size, by_value=True, allow_none=True, load_default=None)
    level = fields.String(
        allow_none=True, load_default="mid", validate=validate.OneOf(["low", "mid", "high"])
    )
    is_new = fields.Boolean(load_only=True, load_default=True)
    label = fields.String(load_only=True, load_default="")


class Shirts(pegboard.Resource[Shirt]):
    """Shirts without what no column keeps."""

    def make(self, values: dict[str, Any]) -> Shirt:
        """Make a shirt."""
        return super().make({name: values[name] for name in ("size", "stored", "level")})


@pytest.fixture
def client(make_app: MakeApp, database_url: str) -> FlaskClient:
    """A client of an app with five shirts, of which 4 has no sizes and no level."""
    columns = (Shirt.size, Shirt.stored, Shirt.level)
    shirts = Shirts(
        "shirts",
        __name__,
        Shirt,
        ShirtSchema,
        noun="shirt",
        sort=[Shirt.id, *columns],
        filters=[Filter(one, (*EQUALITY, *RANGE, Comparison.NULL)) for one in columns],
    )

    class Plugin:
        name = "shirts"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [shirts.blueprint]

    app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    for size, level in [("S", "low"), ("L", "mid"), ("H", "high"), (None, None), ("S", "low")]:
        body = {"size": size, "stored": size, "level": level}
        assert 201 == client.post("/api/shirts/", json=body).status_code
    return client


def _pages(client: FlaskClient, query: str) -> Iterator[int]:
    url = f"/api/shirts/?{query}"
    while url:
        response = client.get(url)
        assert 200 == response.status_code, response.get_json()
        yield from (row["id"] for row in response.get_json())
        url = next(
            (
                link[1 : link.index(">")]
                for link in response.headers.get("Link", "").split(", ")
                if 'rel="next"' in link
            ),
            "",
        )


@pytest.mark.parametrize("name", ["size", "stored", "level"])
@pytest.mark.parametrize("page", ["page_size=2", "page_size=2&after="])
def test_members_are_sorted_as_they_are_declared(client: FlaskClient, name: str, page: str) -> None:
    """By number and by cursor; a missing value is the lowest."""
    assert [4, 1, 5, 2, 3] == list(_pages(client, f"{page}&sort={name}"))
    assert [3, 2, 5, 1, 4] == list(_pages(client, f"{page}&sort=-{name}"))
    assert [4, 5, 1, 2, 3] == list(_pages(client, f"{page}&sort={name},-id"))


@pytest.mark.parametrize(
    "name, small, large", [("size", "S", "L"), ("stored", "S", "L"), ("level", "low", "mid")]
)
def test_members_are_compared_as_they_are_declared(
    client: FlaskClient, name: str, small: str, large: str
) -> None:
    """Each comparison selects the same rows on both databases."""
    expected = {
        f"{name}={large}": [2],
        f"{name}[ne]={large}": [1, 3, 4, 5],
        f"{name}[in]={small},{large}": [1, 2, 5],
        f"{name}[lt]={large}": [1, 5],
        f"{name}[lte]={large}": [1, 2, 5],
        f"{name}[gt]={small}": [2, 3],
        f"{name}[gte]={large}": [2, 3],
        f"{name}[null]=true": [4],
    }
    assert expected == {query: list(_pages(client, query)) for query in expected}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_document_has_the_type_of_members_and_defaults_as_json(client: FlaskClient) -> None:
    """`true`, not `True`; an empty text is visible."""
    components = client.get("/openapi.json").get_json()["components"]["schemas"]
    for schema in ("ShirtInput", "Shirt"):
        (size,) = (
            found["properties"]["size"]
            for name, found in components.items()
            if name.endswith(f".{schema}")
        )
        assert ("string", {"S", "L", "H", None}) == (size["type"], {*size["enum"]})
    (body,) = (found for name, found in components.items() if name.endswith(".ShirtInput"))
    defaults = {name: field.get("description") for name, field in body["properties"].items()}
    assert "Default: `true`." == defaults["is_new"]
    assert 'Default: `""`.' == defaults["label"]
    assert "Default: `mid`." == defaults["level"]

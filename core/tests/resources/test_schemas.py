"""The schemas that follow from an author's, whatever its `Meta` says."""

from typing import Any

import pytest
from marshmallow import Schema, fields
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Line, Operation
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Account(Base):
    """A row of which clients see a part."""

    __tablename__ = "accounts"

    name: Mapped[str]
    token: Mapped[str] = mapped_column(default="t0ken")
    password: Mapped[str] = mapped_column(default="")
    level: Mapped[int] = mapped_column(default=1)


class FullSchema(Schema):
    """Every column."""

    id = fields.Integer()
    name = Line(required=True)
    token = fields.String()
    password = fields.String()
    level = fields.Integer()


class Excluding(FullSchema):
    """Leaves out what it must not show."""

    class Meta:
        """Says so in the first of two ways."""

        exclude = ("token",)
        dump_only = ("id", "level")
        load_only = ("password",)


class Choosing(FullSchema):
    """Names what it shows."""

    class Meta:
        """Says so in the second of two ways."""

        fields = ("id", "name", "password", "level")
        dump_only = ("id", "level")
        load_only = ("password",)


@pytest.mark.parametrize("schema", [Excluding, Choosing])
def test_what_meta_says_of_fields_holds_for_every_schema(
    make_app: MakeApp, schema: type[Schema]
) -> None:
    """An excluded field is neither shown nor taken, a read-only or write-only one is that."""
    accounts = pegboard.Resource(
        "accounts",
        __name__,
        Account,
        schema,
        noun="account",
        operations=CRUD | {Operation.MERGE},
        sparse=True,
    )

    class Plugin:
        name = "accounts"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [accounts.blueprint]

    app = make_app(plugins=[Plugin()])
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client: Any = app.test_client()
    created = client.post("/api/accounts/", json={"name": "Anna", "password": "secret"})
    shown = {"id": 1, "name": "Anna", "level": 1}
    assert (201, shown) == (created.status_code, created.get_json())
    assert [shown] == client.get("/api/accounts/").get_json()
    assert 422 == client.get("/api/accounts/?fields=token").status_code
    for name in ("token", "level", "id"):
        body = {"name": "Berta", name: 7}
        for answer in (
            client.post("/api/accounts/", json=body),
            client.put("/api/accounts/1", json=body),
            client.patch("/api/accounts/1", json=body),
        ):
            assert {name: ["Unknown field."]} == answer.get_json()["errors"]
    document = client.get("/openapi.json").get_json()["components"]["schemas"]
    kind = schema.__name__
    found = {
        name.rpartition(".")[2]: [*document[name]["properties"]]
        for name in document
        if kind in name
    }
    assert {
        f"{kind}Input": ["name", "password"],
        f"{kind}Merge": ["name", "password"],
        kind: ["id", "name", "level"],
        f"{kind}Sparse": ["id", "name", "level"],
    } == found

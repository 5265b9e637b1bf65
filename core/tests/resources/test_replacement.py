"""A PUT makes of a row what its body says, whatever the row was before, on both databases."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import JSON, func, null, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Line, Moment, Operation, ResourceError
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


def label_of(context: Any) -> str:
    """Return a default that follows from another column's, itself a default."""
    return f"{context.get_current_parameters()['s']} of {context.current_parameters['name']}"


class Box(Base):
    """A row with every kind of default."""

    __tablename__ = "boxes"

    name: Mapped[str]
    size: Mapped[int] = mapped_column("s", default=3)
    label: Mapped[str] = mapped_column(default=label_of)
    tags: Mapped[Any] = mapped_column(JSON, default=lambda: ["new"])
    note: Mapped[str | None]
    facts: Mapped[Any] = mapped_column(JSON, nullable=True)
    weight: Mapped[int] = mapped_column(server_default="7")
    height: Mapped[int] = mapped_column(default=func.length("four"))
    depth: Mapped[int]


class BoxSchema(Schema):
    """A box; the fields but the name have no `load_default`."""

    id = fields.Integer(dump_only=True)
    name = Line(required=True)
    size = fields.Integer(data_key="boxSize", strict=True)
    label = Line()
    tags = fields.List(fields.String())
    note = Line(allow_none=True)
    facts = fields.Dict(allow_none=True)
    weight = fields.Integer(strict=True)
    height = fields.Integer(strict=True)
    depth = fields.Integer(load_default=1, strict=True)
    hint = fields.String(load_only=True)
    created_at = Moment(dump_only=True)
    updated_at = Moment(dump_only=True)


class Boxes(pegboard.Resource[Box]):
    """Boxes; what `change` is given is kept."""

    given: list[dict[str, Any]]

    def make(self, values: dict[str, Any]) -> Box:
        """Make a box; a hint is not stored."""
        values.pop("hint", None)
        return super().make(values)

    def change(self, row: Box, values: dict[str, Any]) -> None:
        """Change a box; a hint is not stored."""
        self.given.append(dict(values))
        values.pop("hint", None)
        super().change(row, values)


def declare(schema: type[Schema] = BoxSchema, operations: Any = frozenset(Operation)) -> Boxes:
    """A resource of boxes."""
    boxes = Boxes("boxes", __name__, Box, schema, noun="box", operations=operations)
    boxes.given = []
    return boxes


@pytest.fixture
def resource() -> Boxes:
    """Boxes."""
    return declare()


@pytest.fixture
def app(make_app: MakeApp, database_url: str, resource: Boxes) -> Flask:
    """An app with boxes."""

    class Plugin:
        name = "boxes"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [resource.blueprint]

    app = make_app(plugins=[Plugin()], DATABASE_URL=database_url)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app."""
    return app.test_client()


FULL = {
    "name": "old",
    "boxSize": 9,
    "label": "l",
    "tags": ["a"],
    "note": "n",
    "facts": {"a": 1},
    "weight": 8,
    "height": 8,
    "depth": 8,
}
TIMES = {"id", "created_at", "updated_at"}


def test_what_a_put_leaves_out_is_as_in_a_new_row(
    client: FlaskClient, resource: Boxes, app: Flask
) -> None:
    """The default of the column, a number or a function, else null; `change` is given all."""
    url = client.post("/api/boxes/", json=FULL).headers["Location"]
    replaced = client.put(url, json={"name": "new"})
    created = client.post("/api/boxes/", json={"name": "new"})
    assert (200, 201) == (replaced.status_code, created.status_code)
    assert {name: value for name, value in created.get_json().items() if name not in TIMES} == {
        name: value for name, value in replaced.get_json().items() if name not in TIMES
    }
    assert (3, "3 of new", ["new"], None) == tuple(
        replaced.get_json()[name] for name in ("boxSize", "label", "tags", "note")
    )
    names = {"name", "size", "label", "tags", "note", "facts", "weight", "height", "depth"}
    assert [names] == [set(one) for one in resource.given]
    with app.app_context():
        stored = pegboard.db.session.scalars(select(Box.id).where(Box.facts.is_(null())))
        assert [1, 2] == sorted(stored), "a JSON null is another value than none"


def test_what_a_patch_leaves_out_stays(client: FlaskClient, resource: Boxes) -> None:
    """And `change` is not given it."""
    url = client.post("/api/boxes/", json=FULL).headers["Location"]
    changed = client.patch(url, json={"name": "new"})
    assert {**FULL, "name": "new"} == {name: changed.get_json()[name] for name in FULL}
    assert [{"name": "new"}] == resource.given


def test_what_a_put_could_give_no_value_is_refused() -> None:
    """A column without a default and without null; if there is a PUT."""
    field = fields.Integer(data_key="given", attribute="depth")
    schema = type("BoxSchema", (BoxSchema,), {"depth": field, "__module__": __name__})
    with pytest.raises(ResourceError, match="the resource boxes: a PUT that leaves out given "):
        declare(schema)
    declare(schema, CRUD - {Operation.REPLACE})

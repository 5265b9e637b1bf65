"""Conflicts name the fields of the body, whatever the columns are called, on both databases."""

from typing import Any

import pytest
from marshmallow import Schema, fields
from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import Line, Operation
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Shelf(Base):
    """A row that others refer to by two columns."""

    __tablename__ = "shelves"
    __table_args__ = (UniqueConstraint("room", "row"),)

    room: Mapped[int]
    row: Mapped[int]


class Slot(Base):
    """A row whose columns, attributes and fields have different names."""

    __tablename__ = "slots"
    __table_args__ = (
        UniqueConstraint("b", "s"),
        ForeignKeyConstraint(["rm", "rw"], ["shelves.room", "shelves.row"]),
        CheckConstraint("n > 0", name="positive"),
    )

    code: Mapped[str] = mapped_column("c", unique=True)
    bin: Mapped[str | None] = mapped_column("b")
    nr: Mapped[int | None] = mapped_column("s")
    up: Mapped[int | None] = mapped_column("u", ForeignKey("slots.id"))
    room: Mapped[int | None] = mapped_column("rm")
    row: Mapped[int | None] = mapped_column("rw")
    size: Mapped[int] = mapped_column("n", default=1)


class SlotSchema(Schema):
    """A slot."""

    id = fields.Integer(dump_only=True)
    code = Line(required=True, data_key="label")
    bin = Line(load_default=None, allow_none=True, data_key="place")
    nr = fields.Integer(load_default=None, allow_none=True, data_key="number")
    room = fields.Integer(load_default=None, allow_none=True, data_key="roomNumber")
    row = fields.Integer(load_default=None, allow_none=True, data_key="rowNumber")
    size = fields.Integer(load_default=1, data_key="width")
    up = fields.Integer(load_default=None, allow_none=True, data_key="parent")


@pytest.fixture
def client(make_app: MakeApp, database_url: str) -> Any:
    """A client of an app with two slots."""
    slots = pegboard.Resource(
        "slots", __name__, Slot, SlotSchema, noun="slot", operations=frozenset(Operation)
    )

    class Plugin:
        name = "slots"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [slots.blueprint]

    app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
        pegboard.db.session.add(Shelf(room=1, row=1))
        pegboard.db.session.commit()
    client = app.test_client()
    for label, place in (("a", "x"), ("b", "y")):
        body = {**slot(label, place), "roomNumber": 1, "rowNumber": 1}
        assert 201 == client.post("/api/slots/", json=body).status_code
    return client


def slot(label: str, place: str | None = None, parent: int | None = None) -> dict[str, object]:
    """A body; all slots have the same number, so that the value does not tell them apart."""
    return {"label": label, "place": place, "number": 1, "parent": parent}


@pytest.mark.parametrize(
    "method, path, body, status, names",
    [
        ("POST", "", slot("a"), 409, {"label"}),
        ("PUT", "2", slot("a"), 409, {"label"}),
        ("PATCH", "2", {"label": "a"}, 409, {"label"}),
        ("POST", "", slot("c", "x"), 409, {"place", "number"}),
        ("PATCH", "2", {"place": "x"}, 409, {"place"}),
        ("PATCH", "2", {"parent": 99}, 422, {"parent"}),
        ("PATCH", "1", {"rowNumber": 2}, 422, {"rowNumber"}),
        ("PATCH", "1", {"roomNumber": 2, "rowNumber": 1}, 422, {"roomNumber", "rowNumber"}),
        ("PATCH", "1", {"width": 0}, 422, {"width"}),
        ("POST", "bulk", [{"label": "c"}, {"label": "d", "width": 0}], 422, {"1.width"}),
        ("POST", "bulk", [{**slot(one), "width": ord(one) - 99} for one in "dc"], 422, {"width"}),
        ("POST", "bulk", [slot("c"), slot("a")], 409, {"1.label"}),
        ("POST", "bulk", [slot("c", "z"), slot("d", "x")], 409, {"1.place", "1.number"}),
        ("POST", "bulk", [slot("c"), slot("c")], 409, {"0.label", "1.label"}),
        ("POST", "bulk", [slot("c"), slot("d", parent=99)], 422, {"1.parent"}),
    ],
)
def test_a_conflict_names_the_fields_of_the_row(
    client: Any, method: str, path: str, body: object, status: int, names: set[str]
) -> None:
    """And of no other row of the body."""
    answer = client.open(f"/api/slots/{path}", method=method, json=body)
    assert (status, names) == (answer.status_code, {*answer.get_json()["errors"]})
    assert 2 == len(client.get("/api/slots/").get_json())


@pytest.mark.parametrize(
    "method, path, body, expected",
    [
        ("POST", "", slot("c", "x"), {"place": "number", "number": "place"}),
        ("PATCH", "2", {"place": "x"}, {"place": "number"}),
        (
            "POST",
            "bulk",
            [slot("c", "z"), slot("d", "x")],
            {"1.place": "number", "1.number": "place"},
        ),
    ],
)
def test_a_conflict_of_a_combination_says_so(
    client: Any, method: str, path: str, body: object, expected: dict[str, str]
) -> None:
    """As none of the values is taken by itself; the others are named as the client knows them."""
    answer = client.open(f"/api/slots/{path}", method=method, json=body)
    assert {
        name: [f"Is in use already together with {other}."] for name, other in expected.items()
    } == answer.get_json()["errors"]

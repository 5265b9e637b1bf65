"""Answers are written as marshmallow writes them, whatever a schema has in it."""

import datetime as dt
import decimal
import enum
import uuid
from collections import namedtuple
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from marshmallow import Schema, fields, post_dump, pre_dump
from sqlalchemy import create_engine, literal, select

from pegboard.api.dumping import quick_schema


class Color(enum.Enum):
    """An enumeration."""

    RED = 1


class Shouted(fields.String):
    """A field of an author's, which sees its name and the object."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return f"{value} {attr} {type(obj).__name__}"


class Elsewhere(fields.Integer):
    """A field that finds its value by itself."""

    def get_value(self, *_: Any, **__: Any) -> Any:
        """Find it."""
        return 7


class Inner(Schema):
    """What is inside."""

    number = fields.Integer(data_key="no")
    text = fields.String(attribute="name")


class Tree(Schema):
    """What is inside itself."""

    text = fields.String()
    children = fields.List(fields.Nested("Tree"))
    parent = fields.Nested(lambda: Tree(only=("text",)))


class Hooked(Schema):
    """What changes what it is given, and what it writes."""

    text = fields.String()

    @pre_dump
    def before(self, data: Any, **_: Any) -> Any:
        """Change it."""
        return {"text": f"<{data['text']}"}

    @post_dump
    def after(self, data: Any, **_: Any) -> Any:
        """Change it."""
        return {**data, "more": 1}


class Finding(Schema):
    """What finds values in a way of its own."""

    text = fields.String()

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Find one."""
        return f"{attr} of {obj!r}"


class Everything(Schema):
    """All kinds of fields."""

    integer = fields.Integer()
    number = fields.Integer(as_string=True)
    text = fields.String(dump_default="none", allow_none=True)
    made = fields.String(dump_default=lambda: "made")
    absent = fields.String(load_default="never")
    only_loaded = fields.String(load_only=True)
    moment = fields.DateTime()
    short = fields.DateTime(format="%Y")
    day = fields.Date()
    truth = fields.Boolean()
    price = fields.Decimal(places=2, as_string=True)
    uid = fields.UUID()
    color = fields.Enum(Color)
    dotted = fields.String(attribute="inner.name")
    constant = fields.Constant(3)
    called = fields.Function(lambda found: type(found).__name__)
    method = fields.Method("tell")
    shouted = Shouted()
    elsewhere = Elsewhere()
    raw = fields.Raw()
    map = fields.Dict(keys=fields.String(), values=fields.Integer())
    both = fields.Tuple((fields.String(), fields.Integer()))
    inner = fields.Nested(Inner)
    inners = fields.Nested(Inner, many=True)
    listed = fields.List(fields.Nested(Inner(exclude=["text"])))
    plucked = fields.Pluck(Inner, "text")
    hooked = fields.Nested(Hooked)
    finding = fields.Nested(Finding)
    numbers = fields.List(fields.Integer())
    tree = fields.Nested(Tree)

    def tell(self, found: Any) -> str:
        """Return what is written of a method."""
        return f"told {type(found).__name__}"


INNER: dict[str, Any] = {"number": "12", "name": "one"}
VALUES: dict[str, Any] = {
    "integer": 1,
    "number": 2,
    "text": "text",
    "moment": dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
    "short": dt.datetime(2024, 1, 2),  # noqa: DTZ001 - as of a column without a time zone
    "day": dt.date(2024, 1, 2),
    "truth": 1,
    "price": decimal.Decimal("1.005"),
    "uid": uuid.UUID(int=1),
    "color": Color.RED,
    "shouted": "x",
    "raw": [object],
    "map": {"a": "1"},
    "both": ("a", "2"),
    "inner": INNER,
    "inners": [INNER, SimpleNamespace(**INNER)],
    "listed": iter([]),
    "plucked": INNER,
    "hooked": {"text": "x"},
    "finding": 3,
    "numbers": ("1", 2, None, True),
    "tree": {"text": "a", "children": [{"text": "b", "children": []}], "parent": {"text": "c"}},
}


class Text(str):
    """A text of a type of its own."""

    __slots__ = ()


class Row(Mapping[str, Any]):
    """A mapping that also has attributes."""

    integer = 5
    number = 6

    def __getitem__(self, name: str) -> Any:
        return {"integer": 8}[name]

    def __iter__(self) -> Any:
        return iter(("integer",))

    def __len__(self) -> int:
        return 1


with create_engine("sqlite://").connect() as connection:
    SELECTED = connection.execute(
        select(literal(1).label("integer"), literal("2").label("text"))
    ).one()
NamedTuple = namedtuple("NamedTuple", ["integer", "text"])  # noqa: PYI024 - as of fast paths


@pytest.mark.parametrize(
    "found",
    [
        VALUES,
        SimpleNamespace(**{**VALUES, "listed": [INNER]}),
        {},
        object(),
        None,
        dict.fromkeys(VALUES),
        {"integer": True, "text": Text("x"), "inner": SimpleNamespace(number=None)},
        {"integer": "12", "text": 12, "number": 1.5},
        Row(),
        SELECTED,
        NamedTuple(1, "2"),
    ],
)
@pytest.mark.parametrize(
    "schema",
    [
        Everything(),
        Everything(only=["integer", "inner.text", "tree.children.text"]),
        Everything(exclude=["inner"]),
        Inner(),
        Tree(),
    ],
)
def test_an_object_is_written_as_by_marshmallow(schema: Schema, found: Any):
    """At the first time and later, alone and among many."""
    expected = schema.dump(found)
    dump = quick_schema(schema).dump
    assert expected == dump(found) == dump(found)
    assert list(expected) == list(dump(found))
    assert schema.dump([found, found], many=True) == dump([found, found], many=True)


def test_many_are_written_where_the_schema_says_so():
    """Unless the call says otherwise."""
    schema = Inner(many=True)
    for found, many in (([INNER], None), ([], True), (INNER, False), (None, None)):
        assert schema.dump(found, many=many) == quick_schema(schema).dump(found, many=many)


@pytest.mark.parametrize("schema", [Hooked, Finding()])
def test_code_of_the_schemas_author_is_run(schema: Any):
    """Hooks, and methods that it overrides."""
    plain = schema() if isinstance(schema, type) else schema
    assert plain.dump({"text": "x"}) == quick_schema(schema).dump({"text": "x"})


@pytest.mark.parametrize("found", [{"integer": "x"}, {"moment": "x"}, {"tree": 3, "inners": 3}])
def test_what_cannot_be_written_raises_the_same(found: Any):
    """What the log shows is as of marshmallow."""
    raised = []
    for schema in (Everything(), quick_schema(Everything())):
        with pytest.raises(Exception) as error:  # noqa: PT011 - whatever marshmallow raises
            schema.dump(found)
        raised.append(repr(error.value))
    assert raised[0] == raised[1]

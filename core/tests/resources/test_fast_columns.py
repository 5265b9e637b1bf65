"""Columns with unusual names and values are answered alike by fast paths and views."""

from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from marshmallow import Schema, fields
from sqlalchemy import Integer, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Line
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the plugin."""


class Odd(Base):
    """A row whose columns have names that have to be quoted."""

    __tablename__ = "odd order%s"

    _title: Mapped[str] = mapped_column("Ti%tle (x)", String(20))
    count: Mapped[int] = mapped_column("order", Integer, key="c(ount)", default=lambda: 5)
    rank: Mapped[int] = mapped_column("p:q.r", Integer, default=9, onupdate=10)


class OddSchema(Schema):
    """An odd row."""

    id = fields.Integer(dump_only=True)
    title = Line(required=True, attribute="_title", data_key="ti-tle")
    count = fields.Integer()
    rank = fields.Integer(dump_only=True)


class Value(Base):
    """A row whose schema gives values of other types than the columns have."""

    __tablename__ = "values"

    size: Mapped[int | None]
    code: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    seen_at: Mapped[datetime | None]


class ValueSchema(Schema):
    """A value."""

    id = fields.Integer(dump_only=True)
    size = fields.Float(allow_none=True)
    code = fields.String(allow_none=True)
    seen_at = fields.DateTime(allow_none=True)


class Plain(Base):
    """A row without a column whose values are always read again."""

    __tablename__ = "plains"

    size: Mapped[int | None]
    seen_at: Mapped[datetime | None]


class Taken(Base):
    """A row whose columns have the names of attributes of SQLAlchemy's rows."""

    __tablename__ = "takens"

    t: Mapped[int] = mapped_column(default=1)
    tuple: Mapped[str | None]
    index: Mapped[int] = mapped_column(default=2)
    _data: Mapped[int] = mapped_column(default=3)


class TakenSchema(Schema):
    """A row of these."""

    id = fields.Integer(dump_only=True)
    t = fields.Integer()
    tuple = fields.String(allow_none=True)
    index = fields.Integer()
    data = fields.Integer(attribute="_data")


class PlainSchema(Schema):
    """A plain row."""

    id = fields.Integer(dump_only=True)
    size = fields.Float(allow_none=True)
    seen_at = fields.DateTime(allow_none=True)


class Oddities:
    """A plugin with all of them."""

    name = "oddities"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve them."""
        models: list[Any] = [
            ("odds", Odd, OddSchema),
            ("values", Value, ValueSchema),
            ("plains", Plain, PlainSchema),
            ("takens", Taken, TakenSchema),
        ]
        resources = [
            pegboard.Resource(name, __name__, model, schema, noun=name[:-1], operations=CRUD)
            for name, model, schema in models
        ]
        return [one.blueprint for one in resources]


def _app(make_app: MakeApp, url: str, *, is_fast: bool) -> Flask:
    app = make_app(plugins=[Oddities()], DATABASE_URL=url, RESOURCES_FAST=is_fast)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    return app


@pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "view"])
@pytest.mark.parametrize(
    "rows, sent",
    [
        ("odds", {"ti-tle": "a"}),
        ("odds", {"ti-tle": "a", "count": 3}),
        ("takens", {"t": 4, "tuple": "a", "index": 5, "data": 6}),
        ("plains", {"size": 1.5}),
        ("plains", {"seen_at": "2024-01-01T00:00:00+02:00"}),
        ("plains", {"seen_at": "2024-01-01T00:00:00"}),
        ("values", {"size": 1.5}),
        ("values", {"code": "ABCDEF00000000000000000000000000"}),
    ],
)
def test_a_write_answers_what_is_read_next(make_app, postgres_url, rows, sent, is_fast):
    """With the same bytes and the same `ETag`, whatever the names and the types."""
    client = _app(make_app, postgres_url, is_fast=is_fast).test_client()
    created = client.post(f"/api/{rows}/", json=sent)
    assert 201 == created.status_code
    path = created.headers["Location"]
    read = client.get(path)
    assert (read.data, read.headers["ETag"]) == (created.data, created.headers["ETag"])
    other = {
        "odds": {"ti-tle": "b", "count": 4},
        "takens": {"t": 7, "tuple": "b", "index": 8, "data": 9},
    }.get(rows, {**sent, "size": 7.5})
    replaced = client.put(path, json=other)
    assert 200 == replaced.status_code
    read = client.get(path)
    assert (read.data, read.headers["ETag"]) == (replaced.data, replaced.headers["ETag"])
    assert [read.json] == client.get(f"/api/{rows}/").json
    if rows == "odds":
        assert {"id": 1, "ti-tle": "b", "count": 4, "rank": 10} == read.json

"""The schemas of arguments: one of pure data serves all requests, any other one only its own."""

from typing import Any

import pytest
from flask import Flask
from marshmallow import Schema, fields, post_load, pre_load

from pegboard import Blueprint, hookimpl
from pegboard.testing.fixtures import MakeApp

blueprint = Blueprint("kept", __name__, url_prefix="/kept")


class Keeping(Schema):
    """A schema whose instances keep something of a request."""

    text = fields.String()

    @pre_load
    def keep(self, data: Any, **_: Any) -> Any:
        """Keep it."""
        self.kept = [*getattr(self, "kept", ()), data["text"]]
        return data

    @post_load
    def tell(self, _data: Any, **_: Any) -> Any:
        """Load all that was kept."""
        return {"text": ",".join(self.kept)}


class Inherited(Keeping):
    """One whose code is its base's."""


class KeepingField(fields.String):
    """A field that keeps what it loads."""

    kept = ""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        self.kept += str(super()._deserialize(value, *args, **kwargs))
        return self.kept


class WithField(Schema):
    """A schema with such a field."""

    text = KeepingField()


class Outer(Schema):
    """A schema with such a field far inside."""

    inner = fields.List(fields.Nested(WithField))


VIEWS = {"hooks": Keeping, "inherited": Inherited, "field": WithField, "nested": Outer}
for name, schema in VIEWS.items():
    blueprint.post(f"/{name}", endpoint=name)(
        blueprint.arguments(schema)(blueprint.response(200)(lambda data: data))
    )


class Kept:
    """The plugin with these views."""

    name = "kept"

    @hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Serve them."""
        return [blueprint]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an app with these views."""
    return make_app(plugins=[Kept()], upgrade=False)


@pytest.mark.parametrize("name", VIEWS)
def test_a_schema_with_code_of_its_own_keeps_nothing_from_request_to_request(app, name):
    """Each request gets what it sent, not what others sent before."""
    client = app.test_client()
    for text in ("one", "two"):
        body = {"inner": [{"text": text}]} if name == "nested" else {"text": text}
        assert client.post(f"/kept/{name}", json=body).get_json() == body

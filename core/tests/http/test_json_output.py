"""All JSON of a service has one form, whatever writes it."""

import json

import pytest
from flask import Response, jsonify

from pegboard import Blueprint, abort, hookimpl
from pegboard.stages import Answer

TEXT = "Größe 木槌 \u2028"
COMPACT = '{"z":"Größe 木槌 \u2028","a":[1,2.5,null]}'.encode()

blueprint = Blueprint("forms", __name__)


@blueprint.get("/smorest")
@blueprint.response(200)
def smorest():
    """Answer by a decorator."""
    return {"z": TEXT, "a": [1, 2.5, None]}


@blueprint.get("/dict")
def plain():
    """Answer as any view of Flask."""
    return {"z": TEXT, "a": [1, 2.5, None]}


@blueprint.get("/jsonify")
def jsonified():
    """Answer by Flask's function."""
    return jsonify(z=TEXT, a=[1, 2.5, None])


@blueprint.get("/refused")
def refused():
    """End with an error."""
    abort(409, TEXT, errors={"ß": [TEXT]})


@blueprint.delete("/gone")
@blueprint.response(204)
def gone():
    """Answer without content."""


@blueprint.delete("/gone-by-hand")
def gone_by_hand():
    """Answer with Flask's own response, which has a type of content."""
    return Response(status=204)


@blueprint.get("/early")
def early():
    """Never get here."""


class Early:
    """A stage that answers two routes."""

    name = "early"
    order = 500

    def bind(self, route):
        """Bind to them."""
        return self if route is not None and route.endpoint == "forms.early" else None

    def prepare(self, call):
        """Answer."""
        if "empty" in call.environ["QUERY_STRING"]:
            return Answer(204, [("Content-Type", "text/html"), ("X-Early", "yes")], b"")
        return Answer.error(409, TEXT)

    def complete(self, call, replies):
        """Never called."""


class Forms:
    """A plugin with these views."""

    name = "forms"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the blueprint."""
        return [blueprint]

    @hookimpl
    def pegboard_stages(self, app):
        """Bring the stage."""
        return [Early()]


@pytest.fixture
def plugins():
    """The plugins of `app`."""
    return [Forms()]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", ["/smorest", "/dict", "/jsonify"])
def test_answers_of_views_have_the_form(make_app, path, debug):
    """No white space, text as it is, names in their order, in debug mode as well."""
    response = make_app(plugins=[Forms()], DEBUG=debug).test_client().get(path)
    assert (COMPACT, "application/json") == (response.data, response.mimetype)


@pytest.mark.parametrize(
    "path", ["/refused", "/early", "/nowhere", "/health", "/health/ready", "/openapi.json"]
)
def test_other_answers_have_the_form(client, path):
    """Errors, those of a stage, health, and the document; the message is first."""
    response = client.get(path)
    found = json.loads(response.data)
    assert response.data == json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    if path != "/openapi.json":
        expected = ["message", "status"]
        assert expected == list(found)[:2]


def test_half_a_surrogate_pair_is_escaped(make_app):
    """As the client has sent it; it has no other form."""
    app = make_app()

    @app.get("/half")
    def half():
        abort(422, "ß", errors={"\ud800": ["\udc00"]})

    response = app.test_client().get("/half")
    assert {"\ud800": ["\udc00"]} == json.loads(response.data)["errors"]
    assert response.data.isascii()


@pytest.mark.parametrize("path", ["/gone", "/gone-by-hand"])
def test_an_answer_without_content_has_no_type_of_content(client, path):
    """Behind any WSGI server."""
    response = client.delete(path)
    assert (204, None) == (response.status_code, response.headers.get("Content-Type"))


async def test_nor_has_it_by_the_server(app, serve):
    """Whether Flask or a stage has answered."""
    async with serve(app) as client:
        for path, method in (
            ("/gone", "DELETE"),
            ("/gone-by-hand", "DELETE"),
            ("/early?empty", "GET"),
        ):
            answer = await client.ask(path, method)
            assert (204, None, b"") == (answer.status, answer.header("Content-Type"), answer.body)

"""Strict parsing of requests, and the OpenAPI document of an app."""

import gzip
import json

import flask
import pytest
from flask import request
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from openapi_spec_validator import validate

from pegboard import Blueprint, StartupError, create_app, hookimpl
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

notes = Blueprint("notes", __name__, url_prefix="/notes", description="Notes")


class NoteSchema(Schema):
    """A note."""

    text = fields.String(required=True)


class NoteQuerySchema(Schema):
    """The parameters of the list of notes."""

    limit = fields.Integer(load_default=1)
    tag = fields.List(fields.String())


@notes.get("/")
@notes.arguments(NoteQuerySchema, location="query")
@notes.response(200, NoteQuerySchema)
def list_notes(query):
    """List the notes."""
    return query


@notes.post("/")
@notes.arguments(NoteSchema)
@notes.response(201, NoteSchema)
def add_note(note):
    """Add a note."""
    return note


class BundleSchema(Schema):
    """Notes inside notes."""

    notes = fields.List(fields.Nested(NoteSchema))


@notes.post("/bundles")
@notes.arguments(BundleSchema(many=True))
@notes.response(204)
def add_bundles(_bundles):
    """Add many notes at once."""


@notes.post("/freely")
@notes.response(200)
def read_freely():
    """Read a body as Flask does."""
    return request.get_json()


@notes.get("/<int:note_id>")
@notes.response(200, NoteSchema)
def get_note(note_id):
    """Get a note."""
    return {"text": str(note_id)}


class Notes:
    """A plugin with documented views."""

    name = "notes"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the blueprint."""
        return [notes]


@pytest.fixture
def plugins():
    """The plugins of `app`."""
    return [Notes()]


def post(client: FlaskClient, data: bytes, **headers):
    """Post that body as JSON, unless the headers say otherwise."""
    return client.post(
        "/notes/", data=data, headers={"Content-Type": "application/json", **headers}
    )


def test_a_proper_body_is_parsed(client):
    """With or without a charset."""
    assert 201 == post(client, b'{"text": "a"}').status_code
    given = {"Content-Type": "application/json; charset=utf-8"}
    assert {"text": "a"} == post(client, b'{"text": "a"}', **given).get_json()


@pytest.mark.parametrize(
    "data",
    [b"{", b"[" * 100_000, b"NaN", b'{"text": "a", "text": "b"}', b'{"text": "\xff"}', b"{}x"],
)
def test_a_body_that_is_no_json_is_a_400(client, data):
    """The message says why."""
    response = post(client, data)
    assert 400 == response.status_code
    assert "JSON" in response.get_json()["message"]


@pytest.mark.parametrize("data", [b"null", b"[]", b'"x"', b"1", b"{}", b'{"text": 1}'])
def test_json_of_the_wrong_form_is_a_422(client, data):
    """With errors."""
    response = post(client, data)
    assert 422 == response.status_code
    assert response.get_json()["errors"]


def test_unknown_fields_are_named(client):
    """A typing error does not pass silently."""
    response = post(client, b'{"text": "a", "txet": "b"}')
    assert 422 == response.status_code
    assert ["txet"] == list(response.get_json()["errors"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_body_that_is_not_sent_as_json_is_a_415(client, headers):
    """The answer says what is accepted."""
    response = post(client, b'{"text": "a"}', **headers)
    assert 415 == response.status_code
    assert "application/json" == response.headers["Accept"]


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br, gzip", "identity, gzip"])
def test_a_compressed_body_is_a_415_that_names_the_coding_as_its_fault(client, coding):
    """By the header that RFC 9110, section 15.5.16, has for it."""
    response = post(client, b'{"text": "a"}', **{"Content-Encoding": coding})
    assert (415, "identity") == (response.status_code, response.headers["Accept-Encoding"])
    assert "Content-Encoding" in response.get_json()["message"]
    assert 201 == post(client, b'{"text": "a"}', **{"Content-Encoding": "Identity"}).status_code


def test_a_compressed_body_is_told_so_where_a_view_reads_it_as_flask_does(client):
    """`flask.request.get_json` finds only that it is no JSON."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = client.post("/notes/freely", data=gzip.compress(b"{}"), headers=headers)
    assert (415, "identity") == (response.status_code, response.headers["Accept-Encoding"])
    assert "Content-Encoding" in response.get_json()["message"]


@pytest.mark.parametrize("path", ["/notes/", "/notes/freely"])
@pytest.mark.parametrize(
    "data,message",
    [
        (b"", "The body is empty; send JSON."),
        (b" \r\n", "The body is empty; send JSON."),
        (b'{"a"', "The body is not valid JSON: Expecting ':' delimiter at line 1, column 5."),
        (b'"\xff"', "The body is not valid JSON: it is not UTF-8."),
        (b"\xed\xa0\x80", "The body is not valid JSON: it is not UTF-8."),
    ],
)
def test_a_400_says_what_is_wrong_with_a_body(client, path, data, message):
    """Also where a view reads it as Flask does."""
    response = client.post(path, data=data, headers={"Content-Type": "application/json"})
    assert (400, message) == (response.status_code, response.json["message"])


@pytest.mark.parametrize("data", [b"null", b"[]", b'"x"', b"1"])
def test_a_body_that_is_no_object_is_told_so(client, data):
    """Not in the words of a library."""
    assert {"_schema": ["The body must be a JSON object."]} == post(client, data).json["errors"]


def test_what_is_no_object_inside_a_body_is_told_so(client):
    """It is not the body that is wrong."""
    response = client.post("/notes/bundles", json=[3, {"notes": [{"text": "a"}, "b"]}])
    told = ["Must be a JSON object."]
    assert {"0._schema": told, "1.notes.1._schema": told} == response.json["errors"]


@pytest.mark.slow
def test_sixty_thousand_unknown_fields_are_a_short_answer(client):
    """Most of them are only counted."""
    body = {f"u{number}": "" for number in range(60_000)}
    response = post(client, json.dumps(body).encode())
    assert 422 == response.status_code
    assert len(response.data) < 20_000
    assert "60001 errors" in response.get_json()["message"]


def test_query_parameters_are_parsed(client):
    """A list may be given more than once."""
    found = client.get("/notes/?limit=2&tag=a&tag=b").get_json()
    assert {"limit": 2, "tag": ["a", "b"]} == found


@pytest.mark.parametrize("query", ["limit=x", "limit=1&limit=2", "unknown=1"])
def test_query_parameters_that_are_wrong_are_a_422(client, query):
    """Not a number, repeated, unknown: the parameter is named."""
    response = client.get(f"/notes/?{query}")
    assert 422 == response.status_code
    assert [query.partition("=")[0]] == list(response.get_json()["errors"])


def test_the_document_is_valid_openapi(client):
    """By the specification's own schema."""
    document = client.get("/openapi.json").get_json()
    assert "3.0.3" == document["openapi"]
    validate(document)


def test_every_status_that_a_call_can_answer_is_documented(client):
    """Errors with the error schema, by what the call takes."""
    paths = client.get("/openapi.json").get_json()["paths"]
    assert {"200", "308", "400", "406", "422", "500", "503"} == set(
        paths["/notes/"]["get"]["responses"]
    )
    assert {"201", "308", "400", "406", "408", "409", "413", "415", "422", "500", "503"} == set(
        paths["/notes/"]["post"]["responses"]
    )
    assert {"200", "400", "404", "406", "422", "500", "503"} == set(
        paths["/notes/{note_id}"]["get"]["responses"]
    )


def test_operations_are_grouped_by_plugin(client):
    """Each has its blueprint's tag, with its description."""
    document = client.get("/openapi.json").get_json()
    assert ["notes"] == document["paths"]["/notes/"]["get"]["tags"]
    assert {"name": "notes", "description": "Notes"} in document["tags"]


def test_the_document_has_an_etag(client):
    """A client that has it need not read it again."""
    tag = client.get("/openapi.json").headers["ETag"]
    assert 304 == client.get("/openapi.json", headers={"If-None-Match": tag}).status_code


SCHEMA = """
from marshmallow import Schema, fields

class ThingSchema(Schema):
    {field} = fields.String()

blueprint = pegboard.Blueprint('{name}', __name__, url_prefix='/{name}')

@blueprint.get('/')
@blueprint.response(200, ThingSchema)
def get():
    return {{}}

{more}

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


def test_schemas_of_two_plugins_never_clash(plugin_folder: PluginFolder, make_app: MakeApp):
    """Their names in the document begin with the plugin's."""
    plugin_folder.add("alpha", SCHEMA.format(name="alpha", field="a", more=""))
    plugin_folder.add("beta", SCHEMA.format(name="beta", field="b", more=""))
    app = make_app(plugins=["alpha", "beta"])
    schemas = app.test_client().get("/openapi.json").get_json()["components"]["schemas"]
    assert {"a"} == set(schemas["alpha.Thing"]["properties"])
    assert {"b"} == set(schemas["beta.Thing"]["properties"])


def test_two_schemas_of_one_name_in_a_plugin_stop_the_start(plugin_folder: PluginFolder):
    """The library would only warn, and number them."""
    more = """
class Other:
    class ThingSchema(Schema):
        other = fields.String()

@blueprint.get('/other')
@blueprint.response(200, Other.ThingSchema)
def get_other():
    return {}
"""
    plugin_folder.add("alpha", SCHEMA.format(name="alpha", field="a", more=more))
    with pytest.raises(StartupError) as caught:
        create_app("testing", plugins=["alpha"])
    (problem,) = caught.value.problems
    assert "alpha" == problem.plugin
    assert "alpha.Thing" in problem.summary


def test_documents_of_two_apps_are_their_own(make_app: MakeApp):
    """Two apps with different plugins in one process do not see each other."""
    with_notes = make_app(plugins=[Notes()]).test_client().get("/openapi.json")
    without = make_app(plugins=[]).test_client().get("/openapi.json")
    assert "/notes/" in json.loads(with_notes.data)["paths"]
    assert {"/health", "/health/ready"} == set(json.loads(without.data)["paths"])


def test_foreign_origins_get_no_cors_header(make_app: MakeApp):
    """An allowed one gets exactly its own, with Vary."""
    client = make_app(CORS_ORIGINS="https://app.example,https://b.example").test_client()
    foreign = client.get("/health", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in foreign.headers
    allowed = client.get("/nowhere", headers={"Origin": "https://app.example"})
    assert "https://app.example" == allowed.headers["Access-Control-Allow-Origin"]
    assert "Origin" in allowed.headers["Vary"]
    assert "Origin" in foreign.headers["Vary"]


def test_one_origin_varies_as_well(make_app: MakeApp):
    """A cache would give its answer to others."""
    client = make_app(CORS_ORIGINS="https://app.example").test_client()
    assert "Origin" in client.get("/health").headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "^https?://.+",
            "app.example",
            "https://app.example/",
            "null",
            "http://[::1",
            "http://[1]",
        ),
        *("https://*.example", "https://app.example:99999", "https://b\xfccher.example", "app://"),
    ],
)
def test_what_is_no_origin_stops_the_start(origin):
    """It would match nothing, or anything."""
    with pytest.raises(StartupError, match="CORS_ORIGINS"):
        create_app({"ENV": "testing", "CORS_ORIGINS": origin}, plugins=[])


def test_a_wildcard_never_goes_with_credentials(make_app: MakeApp):
    """Where it is allowed at all: not in production."""
    client = make_app(CORS_ORIGINS="*").test_client()
    response = client.get("/health", headers={"Origin": "https://app.example"})
    assert "*" == response.headers["Access-Control-Allow-Origin"]
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_plugin_adds_to_the_document(make_app: MakeApp):
    """What it adds is served, whatever the order of the plugins."""

    class Contact:
        name = "contact"

        @hookimpl
        def pegboard_openapi(self, app, document):
            document["info"]["contact"] = {"name": app.name}

    document = make_app(plugins=[Contact()]).test_client().get("/openapi.json").get_json()
    assert {"name": "pegboard"} == document["info"]["contact"]


class Nested:
    """A plugin with a plain blueprint in a documented one."""

    name = "nested"

    @hookimpl
    def pegboard_blueprints(self):
        """Serve the view of the inner one."""
        outer = Blueprint("outer", __name__, url_prefix="/outer")
        inner = flask.Blueprint("inner", __name__)
        inner.add_url_rule("/inner", view_func=lambda: "nested", endpoint="view")
        outer.register_blueprint(inner)
        return [outer]


def test_a_plain_blueprint_can_be_nested(make_app: MakeApp):
    """Its views are served, and not documented."""
    client = make_app(plugins=[Nested()]).test_client()
    assert b"nested" == client.get("/outer/inner").data
    assert "/outer/inner" not in client.get("/openapi.json").get_json()["paths"]

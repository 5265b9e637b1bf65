"""What the platform adds to the calls of every plugin in the OpenAPI document."""

import json
from typing import Any

import pytest
from flask.views import MethodView
from marshmallow import Schema, fields
from openapi_spec_validator import validate
from sqlalchemy.orm import DeclarativeBase
from werkzeug.routing import Rule

import pegboard
from pegboard import Blueprint, Model, StartupError, create_app, hookimpl
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp


class Base(Model, DeclarativeBase):
    """The models of these tests."""


class Pot(Base):
    """A row that is cached."""

    __tablename__ = "pots"


class HandleSchema(Schema):
    """A part of a pot."""

    length = fields.Integer(load_default=3)


class PotSchema(Schema):
    """A pot, most of whose fields may be left out."""

    handles = fields.List(fields.Nested(HandleSchema))
    colour = fields.String(load_default="red", metadata={"description": "Its colour."})
    note = fields.String(load_default=None, allow_none=True)


class SortSchema(Schema):
    """A query with a default."""

    sort = fields.String(load_default="id")


pots = Blueprint("pots", __name__, url_prefix="/pots")


@pots.get("/")
@pots.arguments(SortSchema, location="query")
@pots.response(200, PotSchema(many=True))
def list_pots(_query):
    """List the pots."""
    return []


@pots.post("/")
@pots.arguments(PotSchema)
@pots.response(201, PotSchema)
def add_pot(pot):
    """Add a pot.

    As it is sent.
    """
    return pot


@pots.get("/named/<name>")
def find(name):  # noqa: D103 - it has none
    return name


@pots.route("/<int:pot_id>")
class PotById(MethodView):
    """One pot."""

    @pegboard.cached(Pot, ttl=60, may_precede=True)
    @pots.response(200, PotSchema)
    def get(self, pot_id):
        """Get a pot."""
        return {"note": str(pot_id)}

    @pots.arguments(PotSchema)
    @pots.response(200, PotSchema)
    @pots.alt_response(412, "PRECONDITION_FAILED")
    @pots.doc(operationId="replacePot")
    def put(self, pot, pot_id):
        """Replace a pot."""
        pegboard.require_preconditions(str(pot_id))
        return pot

    def delete(self, pot_id):  # noqa: D102 - it has none
        pegboard.abort(503, f"{pot_id} stays.", headers={"Retry-After": "1"})


class Pots:
    """A plugin that documents no more than it has to, and one call that no blueprint has."""

    name = "pots"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the blueprint."""
        return [pots]

    @hookimpl
    def pegboard_openapi(self, document):
        """Document a call that something else than a blueprint answers."""
        document["paths"]["/foreign"] = {"post": {"responses": {"202": {"description": "Done."}}}}


@pytest.fixture
def plugins():
    """The plugins of `app`."""
    return [Pots()]


@pytest.fixture
def document(client):
    """The document, which is valid."""
    found = client.get("/openapi.json").get_json()
    validate(found)
    return found


def follow(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a part of the document refers to, or the part itself."""
    for key in part["$ref"].removeprefix("#/").split("/") if "$ref" in part else ():
        document = document[key]
        part = document
    return part


def operations(document):
    """All calls of the document by method and path."""
    return {
        f"{method} {path}": content
        for path, item in document["paths"].items()
        for method, content in item.items()
        if method != "parameters"
    }


def conditions(document, call):
    """The request headers that a call documents."""
    return {
        follow(document, one)["name"]
        for one in operations(document)[call].get("parameters", ())
        if follow(document, one)["in"] == "header"
    }


def test_every_answer_has_a_request_id(document):
    """Whoever documented it: a view, the platform or a plugin's hook."""
    for call, content in operations(document).items():
        for status, response in content["responses"].items():
            headers = follow(document, response)["headers"]
            assert "X-Request-ID" in headers, (call, status)


def test_answers_tell_what_to_do_next(document):
    """When to come again, where to go, and what the resource is now."""
    expected = {"304": "ETag", "308": "Location", "412": "ETag", "415": "Accept"}
    expected |= {"503": "Retry-After"}
    seen = set()
    for content in operations(document).values():
        for status, response in content["responses"].items():
            if status in expected:
                seen.add(status)
                assert expected[status] in follow(document, response)["headers"]
    assert set(expected) == seen


def test_every_call_can_be_answered_with_a_client_error(document):
    """A request without a valid `Host` is a 400 everywhere, one that excludes all codings a 406."""
    assert all(
        {"400", "406", "500", "503"} <= set(one["responses"])
        for one in operations(document).values()
    )


def test_every_call_that_writes_can_be_answered_with_a_conflict(document):
    """What the database refuses because of other rows is a 409, whatever the view says."""
    found = {call for call, one in operations(document).items() if "409" in one["responses"]}
    assert found == {
        call
        for call, one in operations(document).items()
        if "requestBody" in one or call.startswith("delete ")
    }
    assert {"delete", "post"} <= {call.partition(" ")[0] for call in found}


def test_a_redirect_is_documented_where_a_client_meets_one(document, client):
    """An address without its slash, and a text that begins with one."""
    found = {call for call, one in operations(document).items() if "308" in one["responses"]}
    assert {"get /pots/", "post /pots/", "get /pots/named/{name}"} == found
    for path in ("/pots", "/pots/named/%2Fx"):
        assert 308 == client.get(path).status_code


def test_a_cached_view_documents_what_the_cache_does(document):
    """It declares nothing itself."""
    responses = operations(document)["get /pots/{pot_id}"]["responses"]
    assert {"200", "304", "412"} <= set(responses)
    assert "ETag" in responses["200"]["headers"]
    assert "content" not in follow(document, responses["304"])
    assert {"If-Match", "If-None-Match"} == conditions(document, "get /pots/{pot_id}")


def test_a_conditional_write_documents_the_headers_it_respects(document):
    """A view that documents 412 need not name them; others do not get them."""
    assert {"If-Match", "If-None-Match"} == conditions(document, "put /pots/{pot_id}")
    assert set() == conditions(document, "delete /pots/{pot_id}")
    assert set() == conditions(document, "post /pots/")


def test_calls_without_names_get_some(document):
    """By their functions; a description repeats the summary where there is no more to say."""
    found = operations(document)
    names = {call: one["operationId"] for call, one in found.items()}
    assert {
        "get /health": "get_health",
        "get /health/ready": "get_readiness",
        "get /pots/": "pots_list_pots",
        "post /pots/": "pots_add_pot",
        "get /pots/named/{name}": "pots_find",
        "get /pots/{pot_id}": "get_pots_pot_by_id",
        "put /pots/{pot_id}": "replacePot",
        "delete /pots/{pot_id}": "delete_pots_pot_by_id",
        "post /foreign": "post_foreign",
    } == names
    assert "As it is sent." == found["post /pots/"]["description"]
    assert "Pots find." == found["get /pots/named/{name}"]["summary"]
    assert "Get a pot." == found["get /pots/{pot_id}"]["description"]
    assert "200" in found["get /pots/named/{name}"]["responses"]


def test_every_tag_is_described(document):
    """A call that a hook has added has its plugin's."""
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert {"health", "pots"} == set(tags)
    assert all(tags.values())
    assert ["pots"] == operations(document)["post /foreign"]["tags"]


def test_a_field_with_a_default_is_not_taken_for_one_that_is_always_there(document):
    """The default is said in words; those of a query stay, as no generator demands them."""
    properties = document["components"]["schemas"]["pots.Pot"]["properties"]
    assert all("default" not in field for field in properties.values())
    assert "Its colour. Default: `red`." == properties["colour"]["description"]
    assert "description" not in properties["note"]
    (sort,) = operations(document)["get /pots/"]["parameters"]
    assert "id" == sort["schema"]["default"]


def test_errors_are_lists_of_texts_by_field(document, client):
    """Also those of a field inside a list."""
    schema = document["components"]["schemas"]["Error"]["properties"]["errors"]
    expected = {"type": "array", "items": {"type": "string"}}
    assert expected == schema["additionalProperties"]
    response = client.post("/pots/", json={"handles": [{}, {"length": "x"}], "size": 1})
    assert 422 == response.status_code
    errors = response.get_json()["errors"]
    assert {"handles.1.length", "size"} == set(errors)
    for texts in errors.values():
        assert [str] == [type(text) for text in texts]


def test_nothing_unused_is_in_the_document(document):
    """Such as the schema of a pagination that no view has."""
    text = json.dumps(document)
    for kind, components in document["components"].items():
        for name in components:
            assert f'"#/components/{kind}/{name}"' in text


@pytest.mark.parametrize(
    "status,send",
    [
        (400, lambda client: client.post("/pots/", data="x", content_type="application/json")),
        (404, lambda client: client.get("/pots/no-number")),
        (406, lambda client: client.get("/pots/", headers={"Accept-Encoding": "identity;q=0"})),
        (412, lambda client: client.get("/pots/1", headers={"If-Match": '"other"'})),
        (415, lambda client: client.post("/pots/", data="x", content_type="text/plain")),
    ],
)
def test_examples_of_errors_are_real(document, client, status, send):
    """A client gets just these."""
    found = [
        follow(document, response)
        for content in operations(document).values()
        for key, response in content["responses"].items()
        if key == str(status)
    ]
    assert found
    for response in found:
        media = response["content"]["application/json"]
        examples = [
            media.get("example"),
            *(one["value"] for one in media.get("examples", {}).values()),
        ]
        assert send(client).get_json() in examples


@pytest.mark.parametrize("name", ["UNPROCESSABLE_ENTITY", "UNPROCESSABLE_CONTENT"])
def test_statuses_have_one_name_on_every_python(make_app: MakeApp, name):
    """That of RFC 9110; a view may use the former one, too."""
    blueprint = Blueprint("kettles", __name__, url_prefix="/kettles")

    @blueprint.post("/")
    @blueprint.arguments(PotSchema)
    @blueprint.response(200, PotSchema)
    @blueprint.alt_response(422, name)
    @blueprint.alt_response(413, schema=PotSchema)
    def add_kettle(pot):
        return pot

    class Kettles:
        name = "kettles"

        @hookimpl
        def pegboard_blueprints(self):
            return [blueprint]

    document = make_app(plugins=[Kettles(), Pots()]).test_client().get("/openapi.json").get_json()
    validate(document)
    for call in ("post /kettles/", "post /pots/"):
        response = operations(document)[call]["responses"]["422"]
        assert "#/components/responses/UNPROCESSABLE_CONTENT" == response["$ref"]
    shared = document["components"]["responses"]
    assert "CONTENT_TOO_LARGE" in shared
    assert not {"UNPROCESSABLE_ENTITY", "REQUEST_ENTITY_TOO_LARGE"} & set(shared)
    assert "Unprocessable Content" == shared["UNPROCESSABLE_CONTENT"]["description"]
    own = operations(document)["post /kettles/"]["responses"]["413"]
    assert "Content Too Large" == own["description"]


def test_the_document_describes_the_service(make_app: MakeApp):
    """By default in words that are true of all, else in the operator's."""
    info = make_app().test_client().get("/openapi.json").get_json()["info"]
    assert "X-Request-ID" in info["description"]
    assert 'append `Z` before it is read, as in `new Date(time + "Z")`' in info["description"]
    assert {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"} == info["license"]
    assert {"name": "The operator of this service"} == info["contact"]
    app = make_app(
        API_DESCRIPTION="Pots & pans.",
        API_LICENSE="Ours https://a.example",
        API_CONTACT="a@b.example",
    )
    info = app.test_client().get("/openapi.json").get_json()["info"]
    assert info["description"].startswith("Pots & pans.\n\nBodies")
    assert {"name": "Ours", "url": "https://a.example"} == info["license"]
    assert {"email": "a@b.example"} == info["contact"]
    info = make_app(API_LICENSE="").test_client().get("/openapi.json").get_json()["info"]
    assert "license" not in info


def test_no_call_demands_a_credential_until_a_plugin_says_so(make_app: MakeApp):
    """The document says it for all calls at once."""

    class Keys:
        name = "keys"

        @hookimpl
        def pegboard_openapi(self, document):
            document["security"] = [{"key": []}]

    assert [] == make_app().test_client().get("/openapi.json").get_json()["security"]
    document = make_app(plugins=[Keys()]).test_client().get("/openapi.json").get_json()
    assert [{"key": []}] == document["security"]


@pytest.mark.parametrize("api_docs", [True, False])
def test_the_command_prints_the_document_that_is_served(make_app: MakeApp, plugins, api_docs):
    """Also where none is served."""
    served = make_app(plugins=plugins).test_client().get("/openapi.json").get_json()
    app = make_app(plugins=plugins, API_DOCS=api_docs)
    printed = app.test_cli_runner().invoke(args=["openapi", "print"])
    assert served == json.loads(printed.stdout)


OPERATION = """
blueprint = pegboard.Blueprint('{name}', __name__, url_prefix='/{name}')

@blueprint.get('/')
@blueprint.doc(operationId='list_things')
def get():
    return {{}}

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


def test_two_calls_with_one_operation_id_stop_the_start(plugin_folder: PluginFolder):
    """A generated client would have one function for both."""
    plugin_folder.add("alpha", OPERATION.format(name="alpha"))
    plugin_folder.add("beta", OPERATION.format(name="beta"))
    with pytest.raises(StartupError) as caught:
        create_app("testing", plugins=["alpha", "beta"])
    (problem,) = caught.value.problems
    assert "beta" == problem.plugin
    assert "PB_COLLISION_OPERATION" == problem.code
    assert "GET /beta/" in problem.summary
    assert "GET /alpha/" in problem.summary


class Moved:
    """A plugin with a rule that Werkzeug redirects, which has no view, and documents it."""

    name = "moved"

    def __init__(self, **content: str) -> None:
        self.content = content

    @hookimpl
    def pegboard_setup(self, app):
        """Add the rule, for GET."""
        target = "https://docs.example/<id>"
        app.url_map.add(
            Rule("/old/<int:id>", endpoint="moved", methods=["GET"], redirect_to=target)
        )

    @hookimpl
    def pegboard_openapi(self, document):
        """Document the rule."""
        document["paths"]["/old/{id}"] = {"get": dict(self.content)}


def test_a_rule_without_a_view_can_be_documented(make_app: MakeApp):
    """It is answered by a redirect, also of HEAD; other methods are not allowed."""
    client = make_app(plugins=[Moved()], TESTING=False).test_client()
    operation = client.get("/openapi.json").get_json()["paths"]["/old/{id}"]["get"]
    assert "moved" == operation["operationId"]
    assert {308} == {client.get("/old/5").status_code, client.head("/old/5").status_code}
    assert b"" == client.head("/old/5").data
    for answer in (client.options("/old/5"), client.post("/old/5")):
        assert (405, "GET, HEAD") == (answer.status_code, answer.headers["Allow"])


def test_a_rule_without_a_view_with_the_operation_id_of_another_stops_the_start():
    """As with a view, the call is named."""
    with pytest.raises(StartupError) as caught:
        create_app("testing", plugins=[Moved(operationId="get_health")])
    (problem,) = caught.value.problems
    assert "PB_COLLISION_OPERATION" == problem.code
    assert "GET /old/{id} has the operationId get_health of GET /health" in problem.summary


REDIRECT = """
from werkzeug.routing import Rule

@pegboard.hookimpl
def pegboard_setup(app):
    rule = Rule('/{name}/<int:id>', endpoint='{name}', redirect_to='/health', methods=['GET'])
    app.url_map.add(rule)

@pegboard.hookimpl
def pegboard_openapi(document):
    responses = {{'308': {{'description': 'Elsewhere.'}}}}
    document['paths']['/{name}/{{id}}'] = {{
        'get': {{'operationId': 'list_things', 'responses': responses}}
    }}
"""


def test_an_operation_id_of_a_call_without_a_view_is_reported(plugin_folder: PluginFolder):
    """A rule with `redirect_to` needs no view; the plugin that documents it is named."""
    plugin_folder.add("alpha", OPERATION.format(name="alpha"))
    plugin_folder.add("beta", REDIRECT.format(name="beta"))
    with pytest.raises(StartupError) as caught:
        create_app("testing", plugins=["alpha", "beta"])
    (problem,) = caught.value.problems
    assert ("beta", "PB_COLLISION_OPERATION") == (problem.plugin, problem.code)
    said = "GET /beta/{id} has the operationId list_things of GET /alpha/"
    assert f"{said}, at example_alpha/plugin.py:5" == problem.summary


class ThingSchema(Schema):
    """A thing, of which the views know parts."""

    class Meta:
        """The class itself leaves something out."""

        exclude = ("hidden",)

    id = fields.Integer(dump_only=True)
    first_name = fields.String(required=True)
    hidden = fields.String()
    parent = fields.Nested(lambda: ThingSchema(only=("id", "first_name")))


def test_parts_of_a_schema_have_names_that_tell_them_apart(make_app: MakeApp):
    """As in a PATCH that takes what the POST takes, and each field may be missing."""
    things = Blueprint("things", __name__, url_prefix="/api/things")
    variants = {
        "Thing": ThingSchema(),
        "ThingPartial": ThingSchema(partial=True),
        "ThingPartialFirstName": ThingSchema(partial=("first_name",)),
        "ThingWithoutId": ThingSchema(exclude=["id"]),
        "ThingOnlyFirstNameId": ThingSchema(only=["id", "first_name"]),
        "ThingLoadOnlyId": ThingSchema(load_only=["id"]),
        "ThingDumpOnlyParent": ThingSchema(dump_only=["parent"]),
    }
    used: list[Any] = [*variants.values(), ThingSchema, ThingSchema(many=True)]
    for number, schema in enumerate(used):

        def view() -> str:
            """Return nothing."""
            return ""

        view.__name__ = f"view_{number}"
        things.get(f"/{number}")(things.response(200, schema)(view))

    class Things:
        name = "things"

        @hookimpl
        def pegboard_blueprints(self):
            return [things]

    text = make_app(plugins=[Things()]).test_client().get("/openapi.json").text
    document = json.loads(text)
    validate(document)
    names = {one.rpartition(".")[2] for one in document["components"]["schemas"]}
    assert {*variants} == {one for one in names if one.startswith("Thing")}

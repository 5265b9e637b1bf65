"""The query of a request is judged against all that its view declares."""

import functools

import pytest
from flask import Blueprint as FlaskBlueprint
from flask import request
from flask.views import MethodView
from marshmallow import EXCLUDE, INCLUDE, Schema, fields, pre_load, validate

from pegboard import Blueprint, hookimpl

things = Blueprint("things", __name__, url_prefix="/things")
plain = FlaskBlueprint("plain", __name__, url_prefix="/plain")


class FilterSchema(Schema):
    """One schema of two for a query."""

    size = fields.Integer()
    tags = fields.List(fields.String(), data_key="tag")


class SortSchema(Schema):
    """The other schema."""

    sort = fields.String(data_key="order", validate=validate.Length(1))


class RenamingSchema(Schema):
    """A schema that reads a parameter which is no field."""

    size = fields.Integer()

    @pre_load
    def rename(self, sent, **_):
        """Read `size[gte]`."""
        found = dict(sent.items())
        if "size[gte]" in found:
            found["size"] = found.pop("size[gte]")
        return found


class AnySchema(Schema):
    """A schema that lets any parameter through."""

    class Meta:
        """Let it through."""

        unknown = INCLUDE

    size = fields.Integer()


class BodySchema(Schema):
    """A body."""

    name = fields.String(required=True)


class HeaderSchema(Schema):
    """A header, which is no parameter of the query."""

    token = fields.String(data_key="X-Token")


class CookieSchema(Schema):
    """A cookie, which is none either."""

    session = fields.String()


def passed_on(view):
    """Decorate a view as plugins do."""

    @functools.wraps(view)
    def run(*args, **kwargs):
        return view(*args, **kwargs)

    return run


@things.route("/")
class Things(MethodView):
    """A view class whose methods declare different parameters."""

    @passed_on
    @things.arguments(FilterSchema, location="query")
    @things.arguments(SortSchema, location="querystring")
    @things.arguments(HeaderSchema, location="headers")
    @things.arguments(CookieSchema, location="cookies")
    @things.response(200)
    @things.paginate()
    def get(self, wanted, order, header, cookie, pagination_parameters):
        """List them."""
        pagination_parameters.item_count = 0
        return {**wanted, **order, "page": pagination_parameters.page}

    @things.arguments(BodySchema)
    @things.response(201)
    def post(self, sent):
        """Add one."""
        return sent


@things.route("/<int:number>", methods=["GET", "PUT", "DELETE"])
@things.response(200)
def thing(number):
    """Declare nothing."""
    return {"number": number}


@things.get("/by-hand", parameters=[{"in": "query", "name": "a", "schema": {"type": "array"}}])
@things.doc(parameters=[{"in": "query", "name": "b", "schema": {"type": "string"}}])
@things.response(200)
def by_hand():
    """Document parameters without a schema."""
    return {"query": request.args}


@things.get("/open")
@things.any_query
@things.arguments(FilterSchema, location="query")
@things.response(200)
def open_view(wanted):
    """Read other parameters without declaring them."""
    return {"query": request.args}


@things.route("/open-class")
@things.any_query
class Open(MethodView):
    """Take any parameter in all methods."""

    def get(self):
        """Read them."""
        return {"query": request.args}


@things.get("/excluding")
@things.arguments(FilterSchema, location="query", unknown=EXCLUDE)
@things.response(200)
def excluding(wanted):
    """Say so in the words of marshmallow."""
    return wanted


@things.get("/of-schema")
@things.arguments(AnySchema, location="query", unknown=None)
@things.response(200)
def of_schema(wanted):
    """Leave it to the schema."""
    return wanted


@things.get("/renaming")
@things.arguments(RenamingSchema, location="query")
@things.arguments(SortSchema, location="query")
@things.response(200)
def renaming(wanted, order):
    """Have schemas whose fields do not say all that they read."""
    return {**wanted, **order}


@plain.get("/")
def free():
    """Belong to a blueprint of Flask."""
    return {"query": request.args}


class Plugin:
    """A plugin with these views."""

    name = "things"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the blueprints."""
        return [things, plain]


@pytest.fixture
def plugins():
    """The plugins of `app`."""
    return [Plugin()]


@pytest.mark.parametrize(
    "url, expected",
    [
        ("/things/?page=2", {"page": 2}),
        ("/things/?size=3&page=2&order=a&page_size=5", {"size": 3, "sort": "a", "page": 2}),
        ("/things/?tag=a&tag=b", {"tags": ["a", "b"], "page": 1}),
        ("/things/renaming?size[gte]=3&order=a", {"size": 3, "sort": "a"}),
        ("/things/excluding?size=3&foo=1&foo=2", {"size": 3}),
        ("/things/of-schema?size=3&foo=1", {"size": 3, "foo": "1"}),
        ("/things/open?size=3&foo=1&foo=2", {"query": {"size": "3", "foo": "1"}}),
        ("/things/open-class?foo=1", {"query": {"foo": "1"}}),
        ("/things/by-hand?a=1&a=2&b=3", {"query": {"a": "1", "b": "3"}}),
        ("/plain/?foo=1&foo=2", {"query": {"foo": "1"}}),
    ],
)
def test_a_query_may_have_all_that_the_view_declares(client, url, expected):
    """By several schemas, by `paginate` and by hand; a view may declare that it takes any."""
    response = client.get(url)
    assert (200, expected) == (response.status_code, response.get_json())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
def test_an_unknown_parameter_is_a_422_for_every_method(client, method):
    """Also where the view declares none at all."""
    url = "/things/?foo=1" if method == "POST" else "/things/4?foo=1"
    response = client.open(url, method=method, json={"name": "a"} if method == "POST" else None)
    assert 422 == response.status_code
    if method != "HEAD":
        assert {"foo": ["Unknown parameter; this call takes none."]} == response.json["errors"]


@pytest.mark.parametrize(
    "url, wrong",
    [
        ("/things/?X-Token=a", ["X-Token"]),
        ("/things/?session=a", ["session"]),
        ("/things/?sort=a", ["sort"]),
        ("/things/?foo=1&bar=2&size=x&order=1&order=2", ["foo", "bar", "order", "size"]),
        ("/things/?page=1&page=2", ["page"]),
        ("/things/?page=99999999999999999999", ["page"]),
        ("/things/?page=0", ["page"]),
        ("/things/?size=x&page=0", ["size", "page"]),
        ("/things/?order=&page=0&page_size=y", ["order", "page", "page_size"]),
        ("/things/renaming?size[lt]=3&foo=1", ["size[lt]", "foo"]),
        ("/things/excluding?size=1&size=2", ["size"]),
        ("/things/open?size=1&size=2", ["size"]),
        ("/things/by-hand?b=1&b=2", ["b"]),
        ("/things/by-hand?foo=1", ["foo"]),
    ],
)
def test_every_wrong_parameter_is_named(client, url, wrong):
    """Headers and cookies are no parameters of the query, nor are names of attributes."""
    response = client.get(url)
    assert 422 == response.status_code
    assert sorted(wrong) == sorted(response.get_json()["errors"])


def test_an_unknown_parameter_is_told_the_known_ones(client):
    """Those of all schemas together."""
    (message,) = client.get("/things/?foo=1").get_json()["errors"]["foo"]
    assert "Unknown parameter; known are order, page, page_size, size, tag." == message


def test_a_redirect_and_a_wrong_method_do_not_look_at_the_query(client):
    """What is no view declares nothing."""
    assert 308 == client.get("/things?foo=1").status_code
    assert 405 == client.patch("/things/4?foo=1").status_code
    assert 200 == client.options("/things/4?foo=1").status_code


@pytest.mark.parametrize("url", ["/things/open?q=%FF", "/plain/?q=%FF", "/plain/?a=1&q=\xff"])
def test_a_query_that_is_not_utf_8_is_a_422(client, url):
    """Whatever the view does with it; the parameter is named."""
    path, _, query = url.partition("?")
    overrides = {"QUERY_STRING": query}
    response = client.get(path, environ_overrides=overrides)
    assert (422, {"q": ["Not UTF-8."]}) == (response.status_code, response.json["errors"])
    assert 200 == client.get(path, query_string={"q": "\xff\u20ac"}).status_code


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/openapi.json", "/docs"])
def test_calls_of_the_core_take_any_query(client, path):
    """A prober may add what it likes."""
    assert 200 == client.get(f"{path}?probe=1").status_code


def test_the_largest_page_is_in_the_document(client):
    """Generated clients know it."""
    document = client.get("/openapi.json").get_json()
    parameters = document["paths"]["/things/"]["get"]["parameters"]
    (page,) = [one for one in parameters if one["name"] == "page"]
    assert 1_000_000 == page["schema"]["maximum"]


def test_the_pages_are_told_in_the_form_of_all_json(client):
    """Without spaces."""
    header = client.get("/things/").headers["X-Pagination"]
    assert '{"total":0,"total_pages":0}' == header

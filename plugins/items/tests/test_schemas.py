"""What the description of the API says of items."""

import re

import pytest


@pytest.fixture
def document(make_app):
    """The OpenAPI document of an app with items."""
    return make_app(plugins=["items"], API_DOCS=True).test_client().get("/openapi.json").json


@pytest.mark.parametrize(
    "path, method, statuses",
    [
        ("/api/items/", "get", {200, 308, 422}),
        ("/api/items/", "post", {201, 308, 408, 409, 413, 415, 422}),
        ("/api/items/{item_id}", "get", {200, 304, 404, 412, 422}),
        ("/api/items/{item_id}", "put", {200, 404, 408, 409, 412, 413, 415, 422}),
        ("/api/items/{item_id}", "delete", {204, 404, 409, 412, 422}),
    ],
)
def test_every_status_is_documented(document, path, method, statuses):
    """Beside those that everything can answer."""
    operation = document["paths"][path][method]

    assert statuses | {400, 406, 500, 503} == set(map(int, operation["responses"]))
    assert ["items"] == operation["tags"]
    assert operation["summary"]
    assert operation["operationId"]


def test_times_are_said_to_be_in_utc(document):
    """With what JavaScript, which would read them as local time, has to append."""
    properties = document["components"]["schemas"]["items.Item"]["properties"]
    for name in ("created_at", "updated_at"):
        assert properties[name]["description"].startswith("UTC, without an offset; ")
        assert "append Z before it is read" in properties[name]["description"]


def test_headers_are_documented(document):
    """With the status that carries them."""
    paths = document["paths"]
    one, many = paths["/api/items/{item_id}"], paths["/api/items/"]

    always = {"X-Request-ID"}
    of_list = {"X-Pagination", "Link", "Content-Disposition"}
    assert of_list | always == set(many["get"]["responses"]["200"]["headers"])
    assert {"ETag", "Location"} | always == set(many["post"]["responses"]["201"]["headers"])
    shared = document["components"]["responses"]
    for response in (one["get"]["responses"]["200"], one["put"]["responses"]["200"],
                     shared["NOT_MODIFIED"], shared["PRECONDITION_FAILED"]):  # fmt: skip
        assert {"ETag"} | always == set(response["headers"])


def test_conditional_requests_can_be_generated(document):
    """A client reads, replaces and deletes what it knows."""
    one = document["paths"]["/api/items/{item_id}"]
    for method in ("get", "put", "delete"):
        references = {parameter["$ref"] for parameter in one[method]["parameters"]}
        assert {f"#/components/parameters/{name}" for name in ("If-Match", "If-None-Match")} == (
            references
        )


def test_ids_have_bounds(document):
    """Those of the column."""
    [parameter] = document["paths"]["/api/items/{item_id}"]["parameters"]

    assert {"type": "integer", "minimum": 1, "maximum": 2**31 - 1} == parameter["schema"]


def test_bodies_are_closed(document):
    """What is not declared is refused; a client writes a name and a description."""
    schemas = document["components"]["schemas"]

    assert ["name", "description"] == list(schemas["items.ItemInput"]["properties"])
    assert ["name"] == schemas["items.ItemInput"]["required"]
    assert schemas["items.ItemInput"]["additionalProperties"] is False
    assert 5 == len(schemas["items.Item"]["required"])


def test_examples_match_their_patterns(document):
    """So that the documentation's page sends something that works."""
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            if "pattern" in field:
                assert re.search(field["pattern"], field["example"])

"""Which plugins a tenant has."""

from functools import partial

import pytest
from flask import jsonify

import pegboard


@pytest.fixture
def without_items(cli, client):
    """A client of acme, which does not have items."""
    assert 201 == client.post("/api/items/", json={"name": "Hammer"}).status_code
    assert 0 == cli("tenants", "disable", "acme", "items").exit_code
    return client


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/api/items/"),
        ("GET", "/api/items/1"),
        ("HEAD", "/api/items/1"),
        ("OPTIONS", "/api/items/1"),
        ("POST", "/api/items/"),
        ("PATCH", "/api/items/"),
        ("TRACE", "/api/items/1"),
        ("GET", "/api/items"),
        ("GET", "/api//items/1"),
    ],
)
def test_a_plugin_that_a_tenant_does_not_have_is_not_there(without_items, globex, method, path):
    """The answer is that to a path of no plugin, also for a wrong method and a missing slash."""
    nothing = without_items.open("/api/nothing", method=method)
    found = without_items.open(path, method=method)
    assert (404, nothing.data) == (found.status_code, found.data)
    assert nothing.headers["Cache-Control"] == found.headers["Cache-Control"]
    assert 404 != globex.open(path, method=method).status_code


def test_the_document_has_what_a_client_has(without_items, globex, guest):
    """Neither paths nor schemas tell of another plugin; a tenant could ask without its key."""

    def shown(client):
        answer = client.get("/openapi.json")
        assert "Authorization" in answer.headers["Vary"]
        return answer.get_json()

    assert "/api/items/{item_id}" in shown(globex)["paths"]
    assert "/api/documents/{document_id}" in shown(without_items)["paths"]
    for client in (without_items, guest):
        document = shown(client)
        names = [tag["name"] for tag in document["tags"]]
        assert "items" not in " ".join([*document["paths"], *names]).lower()
        assert not [name for name in document["components"]["schemas"] if "Item" in name]
        assert "tenants.Document" in document["components"]["schemas"]


def test_a_document_from_before_is_not_current(client, cli):
    """Its validator is that of what the tenant had."""
    before = client.get("/openapi.json").headers["ETag"]
    assert 304 == client.get("/openapi.json", headers={"If-None-Match": before}).status_code
    assert 0 == cli("tenants", "disable", "acme", "items").exit_code
    assert 200 == client.get("/openapi.json", headers={"If-None-Match": before}).status_code


def test_the_start_page_shows_a_tenant_its_plugins(without_items, globex, guest):
    """And nothing to others."""
    assert {"name": "acme", "plugins": ["tenants"]} == without_items.get("/").get_json()
    assert {"name": "globex", "plugins": ["items", "tenants"]} == globex.get("/").get_json()
    assert 401 == guest.get("/").status_code


def test_a_cached_answer_is_not_for_a_tenant_without_the_plugin(without_items, globex):
    """The stage stands before the cache."""
    assert [200, 200] == [globex.get("/api/items/1").status_code for _ in range(2)]
    assert 404 == without_items.get("/api/items/1").status_code


def test_a_plugin_can_be_had_again(without_items, cli):
    """By a command; the list shows who lacks what."""
    assert "acme  without items\n" == cli("tenants", "list").output
    assert 0 == cli("tenants", "enable", "acme", "items").exit_code
    assert 200 == without_items.get("/api/items/1").status_code


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("disable", "acme", "itms"), "itms is not active; these are: items, tenants"),
        (("disable", "nobody", "items"), "There is no tenant nobody."),
        (("add", "acme"), "There is a tenant acme already."),
        (("add", "A b"), "a name has 1 to 40 of a-z, 0-9 and -"),
    ],
)
def test_a_command_says_what_is_wrong(client, cli, arguments, message):
    """And changes nothing."""
    refused = cli("tenants", *arguments)
    assert 0 != refused.exit_code
    assert message in refused.output


class Zoo:
    """A plugin whose routes have views of another library, and no blueprint."""

    name = "zoo"

    @pegboard.hookimpl
    def pegboard_setup(self, app):
        """Serve them."""
        app.add_url_rule("/api/zoo/lib", "zoo_lib", jsonify)
        app.add_url_rule("/api/zoo/partial", "zoo_partial", partial(jsonify, "seen"))
        app.add_url_rule(
            "/api/zoo/options",
            "zoo_options",
            jsonify,
            methods=["OPTIONS"],
            provide_automatic_options=False,
        )


@pytest.fixture
def zoo(make_app, plugins):
    """An app with those routes, and one of the code that has made it."""
    app = make_app(plugins=[*plugins, Zoo()], TENANTS_REFRESH=0)
    app.add_url_rule("/api/mine", "mine", jsonify)
    return app


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/api/zoo/lib"),
        ("GET", "/api/zoo/partial"),
        ("OPTIONS", "/api/zoo/lib"),
        ("OPTIONS", "/api/zoo/options"),
        ("POST", "/api/zoo/lib"),
    ],
)
def test_a_route_is_that_of_the_plugin_which_adds_it(zoo, add_tenant, cli, method, path):
    """Whatever module its view is from, and whatever the request says of a preflight."""
    acme, globex = add_tenant(zoo, "acme"), add_tenant(zoo, "globex")
    assert 0 == cli("tenants", "disable", "globex", "zoo", app=zoo).exit_code
    for headers in ({}, {"Access-Control-Request-Method": "GET"}):
        nothing = globex.open("/api/nothing", method=method, headers=headers)
        hidden = globex.open(path, method=method, headers=headers)
        assert (404, nothing.data) == (hidden.status_code, hidden.data)
        guest = zoo.test_client().open(path, method=method, headers=headers)
        assert 401 == guest.status_code
        wanted = 405 if method == "POST" else 200
        assert wanted == acme.open(path, method=method, headers=headers).status_code


def test_a_route_of_no_plugin_needs_a_key(zoo, add_tenant):
    """Only the core's own are for everybody."""
    assert 200 == add_tenant(zoo, "acme").get("/api/mine").status_code
    assert 401 == zoo.test_client().get("/api/mine").status_code
    assert 200 == zoo.test_client().get("/health").status_code

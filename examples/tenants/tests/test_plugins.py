"""Which plugins a tenant has."""

import pytest


@pytest.fixture
def app(make_app, plugins):
    """The app without a page of documents, which a 404 would name."""
    return make_app(plugins=plugins, TENANTS_REFRESH=0, API_DOCS=False)


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

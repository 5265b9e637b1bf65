"""The page `/`, for people and for programs, and the icon."""

import base64
import hashlib
import re

import pytest

from pegboard import Blueprint, create_app, hookimpl
from pegboard.testing.fixtures import MakeApp

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

shelves = Blueprint("shelves", __name__, url_prefix="/shelves")


@shelves.get("/")
@shelves.response(200)
def list_shelves():
    """List the shelves."""
    return []


@shelves.delete("/<int:shelf_id>")
@shelves.response(204)
def remove_shelf(shelf_id):
    """Remove a shelf."""


class Shelves:
    """A plugin with two routes."""

    name = "shelves"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the blueprint."""
        return [shelves]


def plugin_at_root(path="/", methods=("GET",), *, in_setup=False):
    """Return a plugin that serves the root itself."""
    blueprint = Blueprint("mine", __name__)
    blueprint.add_url_rule(path, "mine", lambda: "mine", methods=list(methods))

    class Root:
        name = "root"

        @hookimpl
        def pegboard_blueprints(self):
            return () if in_setup else (blueprint,)

        @hookimpl
        def pegboard_setup(self, app):
            if in_setup:
                app.add_url_rule(path, "mine", lambda: "mine", methods=list(methods))

    return Root()


@pytest.fixture
def plugins():
    """The plugins of `app`."""
    return [Shelves()]


def test_a_program_gets_json(client):
    """Name, version, links, and each plugin with its routes."""
    response = client.get("/")
    assert 200 == response.status_code
    assert "Accept" in response.vary
    assert {
        "name": "Pegboard",
        "version": "v1",
        "links": {"health": "/health", "docs": "/docs", "openapi": "/openapi.json"},
        "plugins": [
            {
                "name": "shelves",
                "version": None,
                "routes": [
                    {"path": "/shelves/", "methods": ["GET"]},
                    {"path": "/shelves/{shelf_id}", "methods": ["DELETE"]},
                ],
            }
        ],
    } == response.get_json()


@pytest.mark.parametrize(
    "accept,expected",
    [
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("application/json;q=0.5, text/html", "text/html"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("text/html;q=0, */*", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("image/png", "application/json"),
        ("", "application/json"),
    ],
)
def test_the_form_is_negotiated(client, accept, expected):
    """By quality; what accepts both alike is a program."""
    response = client.get("/", headers={"Accept": accept})
    assert 200 == response.status_code
    assert expected == response.mimetype
    assert "Accept" in response.vary


def test_a_person_gets_links(client):
    """To what can be read without a variable."""
    page = client.get("/", headers={"Accept": BROWSER}).text
    links = re.findall(r'<a href="([^"]+)"', page)
    assert ["/docs", "/openapi.json", "/health", "/shelves/"] == links
    assert "/shelves/{shelf_id}" in page
    for link in links:
        assert 200 == client.get(link).status_code


def test_the_page_is_escaped_and_runs_nothing(make_app: MakeApp):
    """Its policy allows its own style by hash, its icon and nothing else."""
    app = make_app(plugins=[Shelves()], API_TITLE="<script>alert(1)</script> & co")
    response = app.test_client().get("/", headers={"Accept": "text/html"})
    assert "<script" not in response.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in response.text
    assert [] == re.findall(r"<link rel=.stylesheet| style=| on\w+=", response.text)
    (style,) = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = response.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert [] == re.findall(r'(?:src|href)="(?!/)[^"]*"', response.text)


def test_without_documentation_it_tells_no_versions_plugins_or_routes(make_app: MakeApp):
    """As in production by default."""
    client = make_app(plugins=[Shelves()], API_DOCS=False).test_client()
    expected = {"name": "Pegboard", "version": "v1", "links": {"health": "/health"}}
    assert expected == client.get("/").get_json()
    page = client.get("/", headers={"Accept": BROWSER}).text
    assert "shelves" not in page
    assert "/docs" not in page


def test_a_browser_finds_an_icon(client):
    """Where it looks for one by itself."""
    response = client.get("/favicon.ico")
    assert 200 == response.status_code
    assert "image/svg+xml" == response.mimetype
    assert response.data.startswith(b"<svg")
    response.close()


def test_it_can_be_switched_off(make_app: MakeApp):
    """Then there is nothing at the root."""
    client = make_app(START_PAGE=False).test_client()
    for path in ("/", "/favicon.ico"):
        response = client.get(path)
        assert 404 == response.status_code == response.get_json()["status"]


@pytest.mark.parametrize("in_setup", [False, True])
@pytest.mark.parametrize("path", ["/", "/favicon.ico"])
def test_a_plugin_may_serve_the_root_itself(make_app: MakeApp, path, in_setup):
    """By a blueprint or in its set-up; that is no collision."""
    client = make_app(plugins=[plugin_at_root(path, in_setup=in_setup)]).test_client()
    for accept in ("*/*", BROWSER):
        assert "mine" == client.get(path, headers={"Accept": accept}).text
    assert {"GET", "HEAD", "OPTIONS"} == set(client.options(path).allow)


def test_a_site_may_serve_the_root_itself(make_app: MakeApp):
    """Also after the app was made."""
    app = make_app()
    app.add_url_rule("/", "site", lambda: "site")
    assert "site" == app.test_client().get("/").text


def test_another_method_of_the_root_takes_nothing_from_the_page(make_app: MakeApp):
    """Both are served."""
    client = make_app(plugins=[plugin_at_root(methods=["POST"])]).test_client()
    assert "mine" == client.post("/").text
    assert "Pegboard" == client.get("/").get_json()["name"]
    assert {"GET", "HEAD", "POST", "OPTIONS"} == set(client.options("/").allow)
    assert {"GET", "HEAD", "POST", "OPTIONS"} == set(client.put("/").allow)


def test_two_plugins_at_the_root_collide():
    """As at any other path."""
    one, two = plugin_at_root(), plugin_at_root()
    two.name = "other"
    with pytest.raises(Exception, match="GET /"):
        create_app("testing", plugins=[one, two])


def test_links_have_the_prefix_under_which_the_service_is_mounted(client):
    """A proxy or a server may mount it under a path."""
    found = client.get("/", environ_overrides={"SCRIPT_NAME": "/shop"}).get_json()
    assert "/shop/health" == found["links"]["health"]
    assert "/shop/docs" == found["links"]["docs"]
    assert "/shop/shelves/" == found["plugins"][0]["routes"][0]["path"]

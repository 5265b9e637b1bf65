"""What `pegboard explain` says of a request and of a plugin."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI

SHOP = """
import functools
from marshmallow import Schema, fields
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from pegboard.resources import Resource

class Base(pegboard.Model, DeclarativeBase):
    pass

class Order(Base):
    __tablename__ = "orders"
    name: Mapped[str] = mapped_column()

class Orders(Resource):
    def permit_write(self, operation, row=None):
        pegboard.abort(403)

class OrderSchema(Schema):
    id = fields.Integer(dump_only=True)
    name = fields.String(required=True)

orders = Orders("orders", __name__, Order, OrderSchema, noun="order", ttl=60)
blueprint = pegboard.Blueprint("shop", __name__)

def checked(view):
    @functools.wraps(view)
    def run(*args, **kwargs):
        return view(*args, **kwargs)
    return run

@blueprint.post("/api/shop/<int:number>")
@pegboard.rate_limit("5/minute")
@blueprint.response(204)
@pegboard.transactional
@checked
def sell(number):
    pass

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint, orders.blueprint]

@pegboard.hookimpl
def pegboard_models():
    return Base

@pegboard.hookimpl
def pegboard_migrations():
    from pathlib import Path
    return Path(__file__).parent
"""

GUARD = """
@pegboard.hookimpl
def pegboard_setup(app):
    app.before_request(refuse)
    app.after_request(lambda response: response)

def refuse():
    return None

class Watch:
    name, order = "watch", 250
    def bind(self, route):
        return self if route and route.method == "GET" else None
    def prepare(self, call):
        return None
    def complete(self, call, replies):
        return None
    def explain(self):
        return ["it watches"]

@pegboard.hookimpl
def pegboard_stages(app):
    return [Watch()]
"""


FULL = """
class Full:
    name, order = "full", 250
    def bind(self, route):
        return self
    def prepare(self, call):
        if "HTTP_FULL" in call.environ:
            pegboard.abort(429, "Full.")
    def complete(self, call, replies):
        return None

@pegboard.hookimpl
def pegboard_stages(app):
    return [Full()]
"""


@pytest.fixture
def shop(plugin_folder: PluginFolder) -> None:
    """Install plugins: one with a resource and a view, one with guards, one that is full."""
    plugin_folder.add("full", FULL)
    plugin_folder.add("shop", SHOP)
    plugin_folder.add("guard", GUARD)


@pytest.fixture
def explain(cli: RunCLI):
    """Run the command, and return its document."""

    def explain(app: Flask, *words: str) -> dict[str, Any]:
        done = cli("explain", *words, "--json", app=app)
        assert 0 == done.exit_code, done.output
        content: dict[str, Any] = json.loads(done.stdout)
        return content

    return explain


def make(make_app: MakeApp, *plugins: str, **config: object) -> Flask:
    """Return an app whose database has no tables."""
    return make_app(plugins=plugins, upgrade=False, **config)


@pytest.mark.usefixtures("shop")
def test_a_request_is_explained(make_app: MakeApp, explain: Any) -> None:
    """Its route and owner, limit, decorators and whose, transaction, and answers."""
    app = make(make_app, "shop")
    found = explain(app, "post", "/api/shop/7?x=1")
    assert ("POST /api/shop/<int:number>", "shop", {"number": "7"}) == (
        found["outcome"],
        found["plugin"],
        found["arguments"],
    )
    assert "example_shop.plugin.sell" == found["view"]
    assert "5/minute, noted at the view; no active plugin enforces it" == found["limit"]
    assert found["transaction"].startswith("one: committed when the view returns")
    assert [("pegboard.transactional", "core"), ("example_shop.plugin.checked", "shop")] == [
        (one["what"], one["plugin"]) for one in found["guards"] if one["plugin"] in {"core", "shop"}
    ]
    assert {"cached": False, "explanation": "only GET and HEAD are cached"} == found["cache"]
    answers = {one["status"]: one["headers"] for one in found["answers"]}
    assert {"204", "404", "503"} <= {*answers}
    assert "X-Request-ID" in answers["204"]


def test_a_limit_that_is_enforced_is_just_told(
    make_app: MakeApp, explain: Any, plugin_folder: PluginFolder
) -> None:
    """A plugin with a stage of that order does it."""
    plugin_folder.add("shop", SHOP)
    plugin_folder.add("limiter", GUARD.replace('"watch", 250', '"limit", 200'))
    found = explain(make(make_app, "shop", "limiter"), "POST", "/api/shop/7")
    assert "5/minute, noted at the view" == found["limit"]


@pytest.mark.usefixtures("shop")
def test_a_resource_is_explained(make_app: MakeApp, explain: Any) -> None:
    """Whether it is cached, why it has no fast path, and which steps its class overrides."""
    app = make(make_app, "shop")
    found = explain(app, "GET", "/api/orders/3")
    assert found["cache"]["explanation"].startswith("60 s by memory, of orders:")
    assert found["cache"]["cached"]
    assert "the resource overrides permit_write" == found["fast_path"]["explanation"]
    for reading in ("/api/orders/3", "/api/orders/"):
        guards = explain(app, "GET", reading)["guards"]
        assert "step permit_write" not in {one["kind"] for one in guards}, "no GET calls it"
    found = explain(app, "DELETE", "/api/orders/3")
    step = {"kind": "step permit_write", "what": "example_shop.plugin.Orders.permit_write"}
    assert {**step, "plugin": "shop"} in found["guards"]
    assert "403" in {one["status"] for one in found["answers"]}
    off = make(make_app, "shop", CACHE="none")
    assert {
        "cached": False,
        "explanation": "it declares 60 s, but PEGBOARD_CACHE is none",
    } == explain(off, "GET", "/api/orders/3")["cache"]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "config,totals",
    [
        (
            {},
            (
                "always, except on a page by cursor (after); kept by memory for 60 s, or until "
                "orders or a table that the filters depend on is written to; that of a search is "
                "counted each time"
            ),
        ),
        (
            {"RESOURCES_TOTAL": "request", "CACHE": "none"},
            (
                "for Prefer: count=exact alone, except on a page by cursor (after); counted for "
                "each request, as PEGBOARD_CACHE is none"
            ),
        ),
    ],
)
def test_the_totals_of_a_list_are_explained(
    make_app: MakeApp, explain: Any, cli: RunCLI, config: dict[str, str], totals: str
) -> None:
    """When there is one, and where it comes from; one row has none."""
    app = make(make_app, "shop", **config)
    assert totals == explain(app, "GET", "/api/orders/")["totals"]
    assert explain(app, "GET", "/api/orders/3")["totals"] is None
    shown = " ".join(cli("explain", "/api/orders/", app=app).stdout.split())
    assert f"totals {totals}" in shown


@pytest.mark.usefixtures("shop")
def test_what_another_plugin_does_to_a_request_is_its(make_app: MakeApp, explain: Any) -> None:
    """Its hooks of Flask, and its stage, which says what it does; the cache waits for it."""
    app = make(make_app, "guard", "shop")
    found = explain(app, "GET", "/api/orders/3")
    assert ["before_request", "after_request"] == [
        one["kind"] for one in found["guards"] if one["plugin"] == "guard"
    ]
    assert [("watch", "guard", True, ["it watches"]), ("cache", "core", False, [])] == [
        (one["name"], one["plugin"], one["acts"], one["explanation"]) for one in found["stages"]
    ]
    assert "looked up by the view, as code of a plugin runs before" in found["cache"]["explanation"]


@pytest.mark.parametrize(
    "method,path,outcome",
    [
        ("GET", "/nowhere", "404 Not Found: no route matches"),
        ("POST", "/api/orders", "308 Permanent Redirect to /api/orders/"),
        ("PUT", "/api/shop/7", "405 Method Not Allowed: this path has OPTIONS, POST"),
        ("TRACE", "/nowhere", "404 Not Found: no route matches"),
        ("TRACE", "/health", "405 Method Not Allowed: this path has GET, HEAD, OPTIONS"),
        ("BREW", "/health", "405 Method Not Allowed: this path has GET, HEAD, OPTIONS"),
        ("HEAD", "/health", "HEAD /health"),
        ("OPTIONS", "/api/shop/7", "OPTIONS /api/shop/<int:number>"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_the_outcome_is_that_of_the_request(
    make_app: MakeApp, explain: Any, method: str, path: str, outcome: str
) -> None:
    """Also where no route matches: it is compared with what the client gets, also from a stage."""
    app = make(make_app, "shop", "full")
    found = explain(app, method, path)
    assert outcome == found["outcome"]
    if outcome[0].isdigit():
        client = app.test_client()
        sent = [
            client.open(path, method=method, headers=headers).status_code
            for headers in ({}, {"full": "1"})
        ]
        told = [one["status"] for one in found["answers"]]
        assert [str(sent[0]), "4XX, 5XX", 429] == [*told, sent[1]]


@pytest.mark.usefixtures("shop")
def test_a_request_is_told_to_people(make_app: MakeApp, cli: RunCLI) -> None:
    """In sections; one word that begins with a slash is read."""
    done = cli("explain", "/api/orders/3", app=make(make_app, "shop"))
    assert done.stdout.startswith("GET /api/orders/3: GET /api/orders/<row_id:order_id>\n")
    assert "  cache        60 s by memory" in done.stdout
    assert "  stages, in order\n    300  cache (core)\n" in done.stdout
    done = cli("explain", "GET", "api/orders", app=make(make_app, "shop"))
    assert (2, True) == (done.exit_code, "begins with a slash" in done.stderr)


@pytest.mark.usefixtures("shop")
def test_why_a_plugin_is_not_active_is_explained(
    make_app: MakeApp, cli: RunCLI, explain: Any, plugin_folder: PluginFolder
) -> None:
    """One that was not given, one whose requirement is not met, and one that is not there."""
    plugin_folder.add("lamp", requires=["pegboard", "example-shop>=9", "example-bulb"])
    app = make(make_app, "shop")
    reasons = {one["about"]: one["is_met"] for one in explain(app, "shop")["reasons"]}
    assert all(reasons.values())
    assert {"metadata", "entry point", "allow-list", "deny-list", "policy", "requirement"} <= {
        *reasons
    }
    found = explain(app, "lamp")
    assert "disabled" == found["state"]
    unmet = [one["text"] for one in found["reasons"] if not one["is_met"]]
    assert ["example-bulb", "example-shop>=9", "create_app"] == [
        text.removeprefix("it requires ").partition(",")[0].partition(" ")[0] for text in unmet
    ]
    done = cli("explain", "lmap", app=app)
    assert "lmap is not installed. Did you mean lamp?" in done.stderr


def test_a_stage_explains_itself_as_the_guide_shows(
    make_app: MakeApp, explain: Any, plugin_folder: PluginFolder
) -> None:
    """The code of the guide is run as that of a stage."""
    guide = (Path(__file__).parents[3] / "docs/how-to/diagnose.md").read_text(encoding="utf-8")
    _, code = guide.split("```python\n", 1)
    stage = """
class Count:
    name, order = "count", 150
    def bind(self, route):
        return Handler()

@pegboard.hookimpl
def pegboard_stages(app):
    return [Count()]
"""
    plugin_folder.add("count", code.partition("```")[0] + stage)
    first, *_ = explain(make(make_app, "count"), "GET", "/nowhere")["stages"]
    assert ["counts the requests of each client"] == first["explanation"]


WATCHED = """
from flask import request, signals
ran = []

def note(function):
    def run(*args, **kwargs):
        ran.append(function.__qualname__)
        return function(*args, **kwargs)
    run.__qualname__ = function.__qualname__
    return run

blueprint = pegboard.Blueprint("watched", __name__)

@blueprint.get("/api/watched/<name>")
def view(name):
    return {"name": name}

@blueprint.url_value_preprocessor
@note
def of_blueprint(endpoint, values): ...

@blueprint.before_request
@note
def before_blueprint(): ...

@blueprint.after_request
@note
def after_blueprint(response):
    return response

@blueprint.teardown_request
@note
def teardown_blueprint(error): ...

@note
def started(app): ...

@note
def finished(app, response): ...

@note
def refused():
    if "refused" in request.headers:
        pegboard.abort(401, "Refused.")

@note
def first(response):
    return response

@note
def last(response):
    return response

@note
def teardown(error): ...

@note
def values(endpoint, values): ...

@note
def unknown(error):
    return {"mine": True}, 410

def around(inner):
    @note
    def middleware(environ, start):
        if environ["PATH_INFO"] == "/outside":
            start("200 OK", [])
            return [b""]
        return inner(environ, start)
    return middleware

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]

@pegboard.hookimpl
def pegboard_setup(app):
    app.before_request(refused)
    app.url_value_preprocessor(values)
    app.teardown_request(teardown)
    app.after_request(last)
    app.after_request(first)
    app.register_error_handler(404, unknown)
    signals.request_started.connect(started, app)
    signals.request_finished.connect(finished, app)
    app.wsgi_app = around(app.wsgi_app)
"""


@pytest.fixture
def watched(plugin_folder: PluginFolder, make_app: MakeApp) -> Flask:
    """An app with a plugin that does to requests what can be done."""
    plugin_folder.add("watched", WATCHED)
    return make(make_app, "watched")


@pytest.mark.parametrize(
    "path,text",
    [
        ("/api/watched/a", "GET /api/watched/<name>"),
        ("/nowhere", "404 Not Found: no route matches; example_watched.plugin.unknown "),
    ],
)
def test_what_acts_on_a_request_is_in_the_order_in_which_it_runs(
    watched: Flask, explain: Any, path: str, text: str
) -> None:
    """Where no route matches as well: hooks, middleware and the handler of the error."""
    found = explain(watched, "GET", path)
    assert found["outcome"].startswith(text)
    told = [one["what"].rpartition(".")[2] for one in found["guards"] if one["plugin"] == "watched"]
    ran = sys.modules["example_watched.plugin"].ran
    ran.clear()
    watched.test_client().get(path)
    expected = [name for name in told if path == "/nowhere" or name != "unknown"]
    assert expected == [name.rpartition(".")[2] for name in ran]


def test_what_may_answer_in_place_of_a_view_is_among_the_answers(
    watched: Flask, explain: Any
) -> None:
    """A route is refused by a hook of the app, and a path without one is answered by middleware."""
    client = watched.test_client()
    statuses = {
        "/api/watched/a": client.get("/api/watched/a", headers={"refused": "1"}).status_code,
        "/nowhere": client.get("/nowhere").status_code,
        "/outside": client.get("/outside").status_code,
    }
    assert {"/api/watched/a": 401, "/nowhere": 410, "/outside": 200} == statuses
    for path in statuses:
        found = explain(watched, "GET", path)
        *documented, foreign = found["answers"]
        assert bool(documented) is (path == "/api/watched/a")
        assert "any" == foreign["status"]
        for name in ("middleware", "refused", "unknown"):
            assert f".{name}" in foreign["description"]
        assert ".teardown" not in foreign["description"]


@pytest.mark.parametrize("path", ["/api/watched/%41%20b%C3%A9", "/api/watched/A bé"])
def test_a_path_is_read_as_a_server_reads_it(watched: Flask, explain: Any, path: str) -> None:
    """Percent-encoded or not."""
    name = watched.test_client().get(path).get_json()["name"]
    assert {"name": name} == explain(watched, "GET", path)["arguments"]


def test_a_route_without_a_document_is_explained(make_app: MakeApp, explain: Any) -> None:
    """What a client may expect of it is that its view answers; OPTIONS is Flask's."""
    app = make(make_app)
    (answer,) = explain(app, "GET", "/")["answers"]
    assert ("any", True) == (answer["status"], "start_page" in answer["description"])
    (answer,) = explain(app, "OPTIONS", "/")["answers"]
    assert ("200", ["Allow"]) == (answer["status"], answer["headers"])


def test_a_transaction_below_a_decorator_without_wraps_is_explained(
    make_app: MakeApp, explain: Any, plugin_folder: PluginFolder
) -> None:
    """With the decorator, which may do what it likes."""
    code = SHOP.replace("    @functools.wraps(view)\n", "").replace(
        "@pegboard.transactional\n@checked", "@checked\n@pegboard.transactional"
    )
    plugin_folder.add("shop", code.replace("5/minute", "6/minute"))
    found = explain(make(make_app, "shop"), "POST", "/api/shop/7")
    assert found["transaction"].startswith("one, if the decorator without functools.wraps calls")
    told = [one["what"] for one in found["guards"] if one["kind"] == "decorator"]
    assert ["checked.<locals>.run, without functools.wraps", "pegboard.transactional"] == [
        one.removeprefix("example_shop.plugin.") for one in told[-2:]
    ]


def test_a_method_without_a_path_is_no_plugin(make_app: MakeApp, cli: RunCLI) -> None:
    """The path was forgotten."""
    done = cli("explain", "get", app=make_app(plugins=[]))
    assert 2 == done.exit_code
    assert "A path is missing: pegboard explain get /health" in done.output

"""Routes of which a request could match two."""

import pytest
from flask import Flask
from flask.sansio.blueprints import BlueprintSetupState
from flask.views import MethodView
from werkzeug.routing import BaseConverter

from pegboard import Blueprint, Settings, StartupError, create_app, hookimpl, setting
from pegboard.app.start_page import FallbackRule
from pegboard.plugins.collisions import CORE_ROUTES
from pegboard.problems import Code, Problem

ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}


class Serving:
    """A plugin that serves routes: pairs of a rule and its methods, or views."""

    def __init__(self, name: str, *rules: str, methods: tuple[str, ...] = ("GET",)) -> None:
        self.name = name
        self.blueprint = Blueprint(name, __name__)
        for index, rule in enumerate(rules):
            view = f"view{index}"
            self.blueprint.add_url_rule(rule, view, lambda **_: name, methods=methods)

    @hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Return the one blueprint."""
        return [self.blueprint]


class Odd(BaseConverter):
    """A converter whose expression has a mistake."""

    regex = "["


class SettingUp:
    """A plugin that adds a route when it is set up."""

    def __init__(self, name: str, rule: str) -> None:
        self.name = name
        self.rule = rule

    @hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Add it."""
        app.add_url_rule(self.rule, self.name, lambda **_: self.name)


def problems(*plugins: object) -> tuple[Problem, ...]:
    """What keeps these plugins from starting together."""
    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=plugins)
    return caught.value.problems


def test_a_second_plugin_cannot_answer_for_the_first() -> None:
    """However its converter is spelled; both plugins, both rules and such a path are named."""
    first = Serving("items", "/api/items/<int(max=2147483647, min=1):item_id>")
    second = Serving("thief", "/api/items/<int(min=1, max=2147483647):number>")
    (problem,) = problems(first, second)
    assert ("thief", Code.COLLISION_ROUTE) == (problem.plugin, problem.code)
    assert (
        "its route GET /api/items/<int(min=1, max=2147483647):number> and the route GET "
        "/api/items/<int(max=2147483647, min=1):item_id> of plugin items both match /api/items/1"
    ) == problem.summary.partition(", at ")[0]
    assert (
        "Change the path in one of the two, thief or items, or disable one of the two plugins."
    ) == problem.hint


def test_routes_that_no_request_matches_together_are_no_collision() -> None:
    """Other words, other methods, other kinds of values."""
    app = create_app(
        ALONE,
        plugins=[
            Serving("one", "/api/<any(cats, dogs):kind>/", "/n/<int:n>", "/m"),
            Serving("two", "/api/<any(fish, birds):kind>/", "/n/last"),
            Serving("three", "/m", methods=("POST",)),
        ],
    )
    client = app.test_client()
    assert ["one", "two", "one", "two", "one"] == [
        client.get(path).text for path in ("/api/cats/", "/api/fish/", "/n/7", "/n/last", "/m")
    ]
    assert "three" == client.post("/m").text
    assert {"GET", "HEAD", "OPTIONS", "POST"} == set(client.options("/m").allow)


def test_a_catch_all_of_another_plugin_is_reported_once_for_each_owner() -> None:
    """It would answer for routes of the other that are misspelled, and lose those that are not."""
    found = problems(Serving("one", "/a", "/b", "/c/<int:n>"), Serving("pages", "/<path:rest>"))
    assert ["pages", "pages"] == [problem.plugin for problem in found]
    assert {"of the core", "of plugin one"} == {
        owner
        for owner in ("of the core", "of plugin one")
        if any(owner in problem.summary for problem in found)
    }


def test_a_catch_all_beside_a_specific_route_of_the_same_plugin_is_fine() -> None:
    """Its author knows both."""
    app = create_app(ALONE, plugins=[Serving("one", "/one/<path:rest>", "/one/<int:n>", "/one/a")])
    assert 200 == app.test_client().get("/one/a").status_code


@pytest.mark.parametrize(
    "rule", ["/health", "/docs/assets/<path:name>", "/health/<word>", "/docs/"]
)
def test_routes_of_the_core_cannot_be_taken(rule: str) -> None:
    """Not by another spelling either."""
    (problem,) = problems(Serving("one", rule))
    assert "of the core both match" in problem.summary
    assert "Change the path in one." == problem.hint


def test_the_routes_of_the_core_are_known() -> None:
    """Those that plugins' routes are compared with are those that the core serves."""
    app = create_app(ALONE, plugins=[])
    rules = [rule for rule in app.url_map.iter_rules() if not isinstance(rule, FallbackRule)]
    assert {rule.rule for rule in rules} == set(CORE_ROUTES)


@pytest.mark.parametrize("kind", [Serving, SettingUp])
def test_a_plugin_may_serve_the_start_page(kind: type[Serving | SettingUp]) -> None:
    """There the core gives way, but not two plugins to each other."""
    app = create_app(ALONE, plugins=[kind("one", "/")])
    assert "one" == app.test_client().get("/").text
    (problem,) = problems(kind("one", "/"), kind("two", "/"))
    assert (
        "its route GET / and the route GET / of plugin one both match /"
        == problem.summary.partition(", at ")[0]
    )


def test_a_route_with_two_views_of_one_plugin_is_reported() -> None:
    """The second view would never be called."""
    (problem,) = problems(Serving("one", "/a/<int(min=1):n>", "/a/<int:number>"))
    assert (
        "its route GET /a/<int:number> has two views: one.view0 answers, and one.view1 is never "
        "called"
    ) == problem.summary.partition(", at ")[0]
    assert "Change the path in one." == problem.hint


def test_views_of_one_plugin_share_a_path_by_their_methods() -> None:
    """Also where one answers HEAD or OPTIONS itself."""
    plugin = Serving("one")

    class Heads(MethodView):
        def head(self) -> str:
            return ""

        def options(self) -> str:
            return "mine"

    plugin.blueprint.add_url_rule("/a", view_func=Heads.as_view("heads"))
    plugin.blueprint.add_url_rule("/a", "read", lambda: "read")
    client = create_app(ALONE, plugins=[plugin]).test_client()
    assert ("mine", "read") == (client.options("/a").text, client.get("/a").text)


def test_a_view_that_answers_options_for_the_paths_of_another_plugin_is_reported() -> None:
    """Flask answers them for all routes of a path, but a view only for its own."""
    first, second = Serving("one", "/a"), Serving("two", "/a", methods=("OPTIONS",))
    (problem,) = problems(first, second)
    assert "its route OPTIONS /a and the route OPTIONS /a of plugin one" in problem.summary


def test_routes_of_a_set_up_are_compared_with_all_others() -> None:
    """With those of blueprints, of the core and of other plugins' set-ups; with the owner's too."""
    (problem,) = problems(Serving("one", "/a/<int:n>"), SettingUp("two", "/a/<n>"))
    assert "the route GET /a/<int:n> of plugin one both match /a/1" in problem.summary
    (problem,) = problems(SettingUp("one", "/a/<n>"), SettingUp("two", "/a/b"))
    assert "the route GET /a/<n> of plugin one both match /a/b" in problem.summary
    (problem,) = problems(SettingUp("one", "/<name>/ready"))
    assert "of the core both match /health/ready" in problem.summary


@pytest.mark.parametrize(
    "hook",
    [
        "pegboard_setup",
        "pegboard_client_identity",
        "pegboard_session_strategy",
        "pegboard_cache_strategy",
        "pegboard_stages",
        "pegboard_openapi",
    ],
)
def test_routes_of_every_hook_with_the_app_are_compared(hook: str) -> None:
    """Also those that are called after all plugins are set up."""

    def add(app: Flask) -> list[object] | None:
        app.add_url_rule("/a/<n>", "late", lambda **_: "late")
        return [] if hook == "pegboard_stages" else None

    body = {hook: staticmethod(hookimpl(specname=hook)(add)), "name": "thief"}
    thief = type("Thief", (), body)()
    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing"}, plugins=[Serving("one", "/a/<int:n>"), thief])
    (problem,) = caught.value.problems
    assert ("thief", Code.COLLISION_ROUTE) == (problem.plugin, problem.code)


def test_a_converter_without_a_regular_expression_is_reported() -> None:
    """Werkzeug would fail at the first request, whatever its path."""

    def register(state: BlueprintSetupState) -> None:
        state.app.url_map.converters["odd"] = Odd

    plugin = Serving("one", "/a")
    plugin.blueprint.record(register)
    plugin.blueprint.add_url_rule("/<odd:x>", "odd", lambda x: x)
    (problem,) = problems(plugin)
    assert (Code.BLUEPRINT_INVALID, "one") == (problem.code, problem.plugin)
    assert "/<odd:x>" in problem.summary


def test_a_blueprint_may_read_the_configuration_when_it_is_registered() -> None:
    """By `record`, as Flask's documentation shows: the routes are read before the app exists."""

    class OneSettings(Settings):
        limit: int = setting(3, doc="How many.")

    class One(Serving):
        @hookimpl
        def pegboard_settings(self) -> type[Settings]:
            """Return one setting."""
            return OneSettings

    one = One("one", "/a")
    read: set[object] = set()

    def record(state: BlueprintSetupState) -> None:
        read.update((state.app.config["ONE_LIMIT"], state.app.config["MAX_CONTENT_LENGTH"]))

    one.blueprint.record(record)
    app = create_app(ALONE, plugins=[one])
    assert {3, app.config["MAX_CONTENT_LENGTH"]} == read

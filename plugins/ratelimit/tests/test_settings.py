"""The settings of the plugin."""

import re

import pytest
from flask.views import MethodView

import pegboard
from pegboard_ratelimit.settings import RatelimitSettings


@pytest.mark.parametrize(
    "setting, value",
    [
        ("DEFAULT", "many"),
        ("DEFAULT", ""),
        ("DEFAULT", "0/minute"),
        ("ROUTES", "/api/things/"),
        ("ROUTES", "/api/things/=often"),
        ("ROUTES", "GET|FETCH /api/things/=1/second"),
        ("ROUTES", "=1/second"),
        ("ROUTES", "HEAD /api/things/=1/second"),
        ("ROUTES", "HEAD|POST=1/second"),
        ("ON_FAILURE", "panic"),
        ("LEGACY_HEADERS", "perhaps"),
        ("MEMORY_CLIENTS", 1),
        ("PREFIX", ""),
        ("PREFIX", "a:b"),
        ("PREFIX", "{a}"),
        ("ENABLED", "perhaps"),
        ("DEFOULT", "1/second"),
    ],
)
def test_a_setting_that_is_not_allowed_stops_the_start(setting, value):
    """With its name."""
    with pytest.raises(pegboard.StartupError, match=f"RATELIMIT_{setting}"):
        pegboard.create_app(
            {"ENV": "testing", f"RATELIMIT_{setting}": value}, plugins=["ratelimit"]
        )


@pytest.mark.parametrize(
    "one, other",
    [
        ("/api/items/{id}", "/api/items/{x}"),
        ("/api/items/{id}", "/api/items/<int:item_id>"),
        ("GET /api/items/", "GET|HEAD /api/items/"),
        ("GET|POST", "POST|GET *"),
    ],
)
def test_two_limits_for_one_place_stop_the_start(one, other):
    """Which of them held would be a riddle; both are named."""
    with pytest.raises(pegboard.StartupError) as caught:
        pegboard.create_app(
            {"ENV": "testing", "RATELIMIT_ROUTES": {one: "2/m", other: "3/m"}},
            plugins=["ratelimit"],
        )

    assert f"{one!r} and {other!r} are the same route" in str(caught.value)


def test_a_client_may_do_a_thousand_requests_a_minute(make_app):
    """By default; and no old header is sent."""
    settings = pegboard.get_settings(RatelimitSettings, make_app(plugins=["ratelimit"]))

    assert ("1000/minute", "local", False) == (
        settings.default,
        settings.on_failure,
        settings.legacy_headers,
    )


def test_a_decorator_that_cannot_be_read_stops_the_start(make_app, plugin_of):
    """With the name of the view."""
    blueprint = pegboard.Blueprint("search", __name__)
    blueprint.get("/search")(pegboard.rate_limit("often")(lambda: "found"))

    with pytest.raises(
        pegboard.StartupError,
        match=rf"search\.<lambda>, of {__name__}, has.*'often' is not a limit",
    ):
        make_app(plugins=["ratelimit", plugin_of(blueprint)])


def search(decorate_blueprint=None, **decorators):
    """Return a blueprint with one class of views, whose methods have these decorators."""
    functions = {name: decorate(lambda _: "found") for name, decorate in decorators.items()}
    blueprint = pegboard.Blueprint("search", __name__)
    blueprint.route("/search")(type("Search", (MethodView,), functions))
    return decorate_blueprint(blueprint) if decorate_blueprint else blueprint


OFTEN = pegboard.rate_limit("often")
PANIC = pegboard.rate_limit("9/minute", on_failure="panic")
FINE = pegboard.rate_limit("9/minute")


@pytest.mark.parametrize(
    "blueprint, summary",
    [
        (
            search(get=OFTEN),
            r"search\.Search\.get, of .* cannot be read: 'often' is not a limit",
        ),
        (search(get=PANIC), r"search\.Search\.get, of .* cannot be read: 'panic' is not one of"),
        (search(OFTEN, get=FINE), r"search, of .* cannot be read: 'often' is not a limit"),
        (search(get=FINE, head=OFTEN), r"search\.Search\.head, of .* HEAD counts as GET"),
        (search(head=FINE), r"search\.Search\.head, of .* HEAD counts as GET"),
    ],
)
def test_a_wrong_decorator_is_a_problem_of_the_plugin_that_owns_the_view(
    make_app, plugin_of, limiter_of, blueprint, summary
):
    """With the view, the hint, and the policy of that plugin: it is left out if it may be."""
    plugin = plugin_of(blueprint)
    with pytest.raises(pegboard.StartupError) as caught:
        make_app(plugins=["ratelimit", plugin])
    (problem,) = caught.value.problems
    app = make_app(plugins=["ratelimit", plugin], PLUGINS_POLICY="search=skip")

    assert "search" == problem.plugin
    assert re.match(summary, problem.summary)
    expected = "LIMIT_OF_HEAD" if "HEAD" in summary else "INVALID_LIMIT"
    assert f"RATELIMIT_{expected}" == problem.code
    assert problem.hint.startswith(
        "Decorate its get" if "HEAD" in summary else "Write the decorator"
    )
    assert 404 == app.test_client().get("/search").status_code
    assert limiter_of(app)


def test_head_may_have_the_decorator_of_get(make_app, plugin_of):
    """As it has where one function serves both."""
    make_app(plugins=["ratelimit", plugin_of(search(get=FINE, head=FINE))])


@pytest.mark.parametrize("workers, quota, is_warned", [(4, 3, True), (4, 4, False), (1, 1, False)])
def test_a_limit_that_the_workers_together_exceed_is_told_at_the_start(
    make_app, caplog, workers, quota, is_warned
):
    """Each worker admits one request at least; the rule is named."""
    make_app(plugins=["ratelimit"], WORKERS=workers, RATELIMIT_ROUTES=f"POST /login={quota}/minute")
    said = [one.message for one in caplog.records if "together exceed" in one.message]

    assert is_warned == (len(said) == 1)
    assert all("the limit 3/minute of POST /login" in one for one in said)


def test_workers_that_share_a_count_exceed_nothing(make_app, caplog, redis_url):
    """Nothing is said where Redis counts."""
    make_app(plugins=["ratelimit"], WORKERS=4, RATELIMIT_DEFAULT="1/minute", REDIS_URL=redis_url)

    assert not any("together exceed" in one.message for one in caplog.records)

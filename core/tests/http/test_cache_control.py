"""What caches outside the service may keep of its answers."""

from collections.abc import Callable
from datetime import UTC, datetime

import flask
import pytest
from flask.testing import FlaskClient
from flask.views import MethodView

import pegboard
from pegboard.annotations import cache_control
from pegboard.stages import Answer, Call, Route
from pegboard.testing.fixtures import MakeApp

QUOTA = ("RateLimit", '"x";r=1;t=60')
views = flask.Blueprint("shop", __name__, url_prefix="/shop")
countries = cache_control("public, max-age=3600")(flask.Blueprint("countries", __name__))


@views.get("/tagged")
def tagged() -> flask.Response:
    """Answer with a validator."""
    response = flask.jsonify(1)
    response.set_etag("abc")
    return response


@views.get("/session")
def session() -> str:
    """Read the session."""
    return str(flask.session.get("user"))


@views.get("/login")
def login() -> str:
    """Begin a session."""
    flask.session["user"] = "ann"
    return "hello"


def written(control: str) -> Callable[[], flask.Response]:
    """Return a view that sets `Cache-Control` itself."""

    def view() -> flask.Response:
        return flask.Response("x", headers={"Cache-Control": control})

    return view


for name, control in {
    "public": "public, max-age=60",
    "fresh": "max-age=60",
    "mine": "private, max-age=60",
    "asked": "public, no-cache",
}.items():
    views.add_url_rule(f"/{name}", name, written(control))


@views.get("/expires")
def expires() -> flask.Response:
    """Set the older header."""
    response = flask.Response("x")
    response.expires = datetime(2030, 1, 1, tzinfo=UTC)
    return response


@views.get("/public-login")
def public_login() -> flask.Response:
    """Allow to be kept, and set a cookie."""
    flask.session["user"] = "ann"
    return written("public, max-age=60")()


@cache_control("public, max-age=5")
class Noted(MethodView):
    """A resource whose author has set it for all methods, and for one otherwise."""

    def get(self) -> str:
        """Answer, or fail."""
        if "fail" in flask.request.args:
            pegboard.abort(409, "No.")
        if "login" in flask.request.args:
            flask.session["user"] = "ann"
        return "x"

    @cache_control("no-store")
    def post(self) -> str:
        """Answer."""
        return "x"


views.add_url_rule("/noted", view_func=Noted.as_view("noted"))


@countries.get("/countries")
def list_countries() -> str:
    """Answer as the blueprint says."""
    return "x"


class Quota:
    """A stage that tells each client what it has left, and refuses at one path."""

    name, order = "quota", 1

    def bind(self, _: Route | None) -> "Quota":
        """Act everywhere."""
        return self

    def prepare(self, call: Call) -> Answer | None:
        """Add the header."""
        if "quota" in call.environ.get("QUERY_STRING", ""):
            call.headers.append(QUOTA)
        return Answer.error(429, "No.") if call.environ["QUERY_STRING"] == "refused" else None

    def complete(self, *_: object) -> None:
        """Never called."""


class Shop:
    """The plugin."""

    name = "shop"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[flask.Blueprint]:
        """Serve the views."""
        return [views, countries]

    @pegboard.hookimpl
    def pegboard_stages(self) -> list[Quota]:
        """Add the stage."""
        return [Quota()]


@pytest.fixture
def shop(make_app: MakeApp) -> FlaskClient:
    """A client of an app with the plugin."""
    return make_app(plugins=[Shop()], CORS_ORIGINS="https://a.example").test_client()


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/shop/tagged", "no-cache"),
        ("/shop/session", "no-store"),
        ("/shop/login", "no-store"),
        ("/shop/public", "public, max-age=60"),
        ("/shop/fresh", "max-age=60"),
        ("/shop/expires", None),
        ("/shop/public-login", "no-store"),
        ("/shop/noted", "public, max-age=5"),
        ("/shop/noted?fail", "no-store"),
        ("/shop/noted?login", "no-store"),
        ("/countries", "public, max-age=3600"),
        ("/shop/tagged?quota", "private, no-cache"),
        ("/shop/tagged?refused", "no-store"),
        ("/health", "no-store"),
        ("/health/ready", "no-store"),
        ("/nothing", "no-store"),
        ("/docs", "no-cache"),
        ("/openapi.json", "no-cache"),
        ("/docs/assets/docs.js", "no-cache"),
    ],
)
def test_every_answer_says_what_caches_may_keep(
    shop: FlaskClient, path: str, expected: str | None
) -> None:
    """By default nothing is used without asking, and errors and sessions are not even kept."""
    for _ in range(2):  # what is remembered of the first holds for the second
        response = shop.get(path)
        assert expected == response.headers.get("Cache-Control")
        assert len(response.headers.getlist("Cache-Control")) <= 1
        response.close()


@pytest.mark.parametrize(
    "method, path, headers, status, expected",
    [
        ("HEAD", "/shop/tagged", {}, 200, "no-cache"),
        ("POST", "/shop/noted", {}, 200, "no-store"),
        ("POST", "/shop/tagged", {}, 405, "no-store"),
        ("GET", "/shop/tagged", {"If-None-Match": '"other"'}, 200, "no-cache"),
        ("GET", "/openapi.json", {"If-None-Match": "*"}, 304, "no-cache"),
        ("GET", "/shop/tagged", {"Authorization": "Bearer x"}, 200, "no-store"),
        ("GET", "/shop/mine", {"Authorization": "Bearer x"}, 200, "private, max-age=60"),
        ("GET", "/shop/noted", {"Authorization": "Bearer x"}, 200, "public, max-age=5"),
        ("GET", "/health", {"Accept-Encoding": "*;q=0"}, 406, "no-store"),
    ],
)
def test_what_was_asked_with_credentials_is_not_kept(
    shop: FlaskClient, method: str, path: str, headers: dict[str, str], status: int, expected: str
) -> None:
    """Unless the author has said so; other methods and conditions are as GET."""
    for _ in range(2):  # what is remembered of the first holds for the second
        response = shop.open(path, method=method, headers=headers)
        assert (status, expected) == (response.status_code, response.headers["Cache-Control"])


def test_a_redirect_is_not_kept(make_app: MakeApp) -> None:
    """A browser keeps a 308 for ever if nothing is said, and the plugin may be gone tomorrow."""
    blueprint = flask.Blueprint("slash", __name__)
    blueprint.add_url_rule("/a/", "a", lambda: "x")

    class Slash:
        name = "slash"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[flask.Blueprint]:
            return [blueprint]

    response = make_app(plugins=[Slash()]).test_client().get("/a")
    assert (308, "no-cache") == (response.status_code, response.headers["Cache-Control"])


@pytest.mark.parametrize("path", ["public", "fresh", "expires", "noted", "asked"])
def test_what_a_shared_cache_may_keep_tells_nothing_of_a_client(
    shop: FlaskClient, path: str
) -> None:
    """The next client would take it for its own, also when the cache has asked whether it holds."""
    assert "RateLimit" not in shop.get(f"/shop/{path}?quota").headers


@pytest.mark.parametrize("path", ["tagged", "mine", "login"])
def test_what_no_shared_cache_keeps_tells_the_client(shop: FlaskClient, path: str) -> None:
    """What it has left."""
    assert dict([QUOTA])["RateLimit"] == shop.get(f"/shop/{path}?quota").headers["RateLimit"]


@pytest.mark.parametrize(
    "path, headers, expected",
    [
        ("/shop/tagged", {}, {"Origin", "Accept-Encoding"}),
        ("/shop/session", {}, {"Origin", "Accept-Encoding", "Cookie"}),
        ("/shop/mine", {"Authorization": "x"}, {"Origin", "Accept-Encoding", "Authorization"}),
        ("/shop/tagged", {"Authorization": "x"}, {"Origin", "Accept-Encoding"}),
        ("/openapi.json", {"If-None-Match": "*"}, {"Origin", "Accept-Encoding"}),
    ],
)
def test_vary_names_what_the_answer_depends_on(
    shop: FlaskClient, path: str, headers: dict[str, str], expected: set[str]
) -> None:
    """In one header, as some caches read only one."""
    for _ in range(2):  # what is remembered of the first holds for the second
        (vary,) = shop.get(path, headers=headers).headers.getlist("Vary")
        assert expected == set(vary.split(", "))


def test_answers_with_the_same_headers_may_differ_in_what_is_added(make_app: MakeApp) -> None:
    """By status, media type and `Vary`."""
    blueprint = flask.Blueprint("kinds", __name__)

    @blueprint.get("/kinds/<int:status>")
    def kind(status: int) -> flask.Response:
        vary = {"Vary": flask.request.args["vary"]}
        return flask.Response("x", status, vary, mimetype=flask.request.args["type"])

    class Kinds:
        name = "kinds"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[flask.Blueprint]:
            return [blueprint]

    client = make_app(plugins=[Kinds()]).test_client()
    expected = {
        "200?type=text/plain&vary=Accept": ("no-cache", "Accept, Accept-Encoding"),
        "200?type=image/png&vary=Accept": ("no-cache", "Accept"),
        "200?type=text/plain&vary=Cookie": ("no-store", "Cookie, Accept-Encoding"),
        "404?type=text/plain&vary=Accept": ("no-store", "Accept, Accept-Encoding"),
    }
    for path, headers in 2 * [*expected.items()]:
        found = client.get(f"/kinds/{path}").headers
        assert headers == (found["Cache-Control"], found["Vary"])


def test_what_no_header_can_carry_is_refused() -> None:
    """Where it is written, not at the first request."""
    with pytest.raises(ValueError, match="max-age=60"):
        cache_control("no-store\r\nX: 1")

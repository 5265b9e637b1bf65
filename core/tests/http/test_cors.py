"""Calls from pages of other origins."""

import flask
import pytest
from flask.testing import FlaskClient

import pegboard
from pegboard.http import parse_origin
from pegboard.testing.fixtures import MakeApp

ORIGINS = ("https://app.example", "capacitor://localhost", "http://[::1]:3000")
ASKED = {"Access-Control-Request-Method": "PUT"}
views = flask.Blueprint("shop", __name__)


@views.route("/things/", methods=["GET", "PUT"])
def things() -> str:
    """Answer, to who has signed in."""
    return "x"


class Shop:
    """The plugin."""

    name = "shop"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[flask.Blueprint]:
        """Serve the views."""
        return [views]

    @pegboard.hookimpl
    def pegboard_setup(self, app: flask.Flask) -> None:
        """Refuse who brings no credentials, as a preflight does."""

        @app.before_request
        def refuse() -> None:
            if "Authorization" not in flask.request.headers:
                pegboard.abort(401, "Who are you?")


@pytest.fixture
def shop(make_app: MakeApp) -> FlaskClient:
    """A client of an app that pages of these origins may call."""
    app = make_app(
        plugins=[Shop()],
        CORS_ORIGINS=",".join(ORIGINS),
        CORS_EXPOSED_HEADERS="X-Price, etag",
        CORS_MAX_AGE=600,
    )
    return app.test_client()


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["/things/", "/things", "/nothing", "/health", "/"])
def test_a_preflight_is_answered_before_routing(shop: FlaskClient, path: str, origin: str) -> None:
    """A browser follows no redirect of it, and it has no credentials."""
    wanted = {"Access-Control-Request-Headers": "content-type, if-match"}
    found = shop.options(path, headers={"Origin": origin, **ASKED, **wanted})
    assert (200, b"", "0") == (found.status_code, found.data, found.headers["Content-Length"])
    assert origin == found.headers["Access-Control-Allow-Origin"]
    assert "true" == found.headers["Access-Control-Allow-Credentials"]
    assert "PUT" in found.headers["Access-Control-Allow-Methods"].split(", ")
    assert "content-type, if-match" == found.headers["Access-Control-Allow-Headers"]
    assert "600" == found.headers["Access-Control-Max-Age"]
    assert {"Origin", *(f"Access-Control-Request-{name}" for name in ("Method", "Headers"))} == set(
        found.headers["Vary"].split(", ")
    )


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil"])
def test_a_preflight_of_another_origin_allows_nothing(shop: FlaskClient, origin: str) -> None:
    """Nor says which origins it would allow."""
    found = shop.options("/things/", headers={"Origin": origin, **ASKED})
    assert 200 == found.status_code
    assert [] == [name for name, _ in found.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "method, headers",
    [("OPTIONS", {"Origin": ORIGINS[0]}), ("OPTIONS", ASKED), ("GET", {"Origin": "x", **ASKED})],
)
def test_what_is_no_preflight_goes_on(
    shop: FlaskClient, method: str, headers: dict[str, str]
) -> None:
    """To the plugins."""
    assert 401 == shop.open("/things/", method=method, headers=headers).status_code


@pytest.mark.parametrize(
    "path, headers, status",
    [
        ("/things/", {"Authorization": "x"}, 200),
        ("/things/", {}, 401),
        ("/things", {"Authorization": "x"}, 308),
        ("/nothing", {"Authorization": "x"}, 404),
        ("/things/", {"Accept-Encoding": "*;q=0"}, 406),
    ],
)
def test_a_page_may_read_every_answer(
    shop: FlaskClient, path: str, headers: dict[str, str], status: int
) -> None:
    """Errors and redirects, too, with the headers that it needs and those of the setting."""
    found = shop.get(path, headers={"Origin": ORIGINS[1], **headers})
    assert status == found.status_code
    assert ORIGINS[1] == found.headers["Access-Control-Allow-Origin"]
    exposed = found.headers["Access-Control-Expose-Headers"].split(", ")
    assert {
        *("Allow", "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"),
        *("X-Pagination", "X-Request-ID", "X-Price"),
    } <= set(exposed)
    assert len(exposed) == len({name.lower() for name in exposed})


def test_a_header_of_the_view_itself_stays(make_app: MakeApp) -> None:
    """Some views are for all origins."""
    app = make_app(CORS_ORIGINS=ORIGINS[0])
    app.get("/open")(lambda: ("x", {"Access-Control-Allow-Origin": "*"}))
    found = app.test_client().get("/open", headers={"Origin": ORIGINS[0]})
    assert ["*"] == found.headers.getlist("Access-Control-Allow-Origin")


def test_without_origins_nothing_is_allowed(make_app: MakeApp) -> None:
    """A preflight is then an OPTIONS like any other."""
    found = make_app().test_client().options("/health", headers={"Origin": "x", **ASKED})
    assert "Allow" in found.headers
    assert "Origin" not in found.headers.get("Vary", "")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("https://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        *[(origin, origin) for origin in ("app://.", "ionic://localhost", "tauri://localhost")],
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_read_as_browsers_send_it(text: str, expected: str) -> None:
    """With a name in small letters and without the port that the scheme has anyway."""
    assert expected == parse_origin(text)


def test_null_is_refused_with_its_reason() -> None:
    """A sandboxed frame of any site has it."""
    with pytest.raises(ValueError, match="would allow all sites"):
        parse_origin("null")

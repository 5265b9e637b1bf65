"""A service that clients reach under a path prefix."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard import StartupError, create_app
from pegboard.stages import Call, Route
from pegboard.testing.fixtures import MakeApp

TRUSTING = {"TRUSTED_PROXIES": "10.0.0.0/8"}


class Base(pegboard.Model, DeclarativeBase):
    """The models of the plugin."""


class Page(Base):
    """A page that can be cached."""

    __tablename__ = "pages"

    title: Mapped[str] = mapped_column()


class Shop:
    """A plugin whose answers have links, and which notes what its stage sees."""

    name = "shop"

    def __init__(self, migrations: Path) -> None:
        self.migrations = migrations
        self.seen: list[str | None] = []

    @pegboard.hookimpl
    def pegboard_models(self) -> type[Base]:
        """Own the pages."""
        return Base

    @pegboard.hookimpl
    def pegboard_migrations(self) -> Path:
        """Have none, as nothing is read."""
        return self.migrations

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[flask.Blueprint]:
        """Serve the pages."""
        blueprint = flask.Blueprint("shop", __name__)

        @blueprint.get("/pages/")
        def index() -> flask.Response:
            flask.session["user"] = "ann"
            response = flask.jsonify(flask.url_for(".page", id=1))
            response.location = flask.url_for(".index")
            return response

        @blueprint.get("/pages/<int:id>")
        @pegboard.cached(Page, ttl=300)
        def page(id: int) -> flask.Response:  # noqa: A002 - the column's name
            response = flask.jsonify(id=id, all=flask.url_for("shop.index"))
            response.headers["Link"] = f'<{flask.url_for("shop.index")}>; rel="up"'
            return response

        return [blueprint]

    @pegboard.hookimpl
    def pegboard_stages(self) -> list["Shop"]:
        """Be a stage, too."""
        return [self]

    order = 1

    def bind(self, _: Route | None) -> "Shop":
        """Act everywhere."""
        return self

    def prepare(self, call: Call) -> None:
        """Note the rule that a limit would be counted by."""
        self.seen.append(None if call.route is None else call.route.rule.rule)

    def complete(self, *_: object) -> None:
        """Never called."""


@pytest.fixture
def plugin(tmp_path: Path) -> Shop:
    """The plugin, which has no revisions."""
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    return Shop(migrations)


@pytest.fixture
def serve(make_app: MakeApp, plugin: Shop) -> Callable[..., FlaskClient]:
    """Return a client behind a trusted proxy, if the app trusts any."""

    def run(**config: Any) -> FlaskClient:
        client = make_app(plugins=[plugin], upgrade=False, **config).test_client()
        client.environ_base["REMOTE_ADDR"] = "10.1.2.3"
        return client

    return run


Serve = Callable[..., FlaskClient]


@pytest.mark.parametrize(
    "config, headers",
    [({"PATH_PREFIX": "/shop/"}, {}), (TRUSTING, {"X-Forwarded-Prefix": "/shop"})],
    ids=["setting", "header"],
)
@pytest.mark.parametrize("sent", ["", "/shop"], ids=["removed", "left"])
def test_every_link_has_the_prefix(
    serve: Serve, plugin: Shop, config: dict[str, str], headers: dict[str, str], sent: str
) -> None:
    """Whether the proxy has removed it from the path or not; a stage sees the route."""
    client = serve(**config)

    def get(path: str) -> Any:
        return client.get(sent + path, headers=headers)

    redirect, index = get("/pages"), get("/pages/")
    assert (308, "/shop/pages/") == (redirect.status_code, redirect.headers["Location"])
    assert ("/shop/pages/1", "/shop/pages/") == (index.json, index.headers["Location"])
    assert "; Path=/shop" in index.headers["Set-Cookie"]
    for answer in (get("/pages/1"), get("/pages/1")):
        assert '</shop/pages/>; rel="up"' == answer.headers["Link"]
        assert {"id": 1, "all": "/shop/pages/"} == answer.json
    assert [None, "/pages/", "/pages/<int:id>", "/pages/<int:id>"] == plugin.seen

    page, document = get("/docs").text, get("/openapi.json")
    assert 'data-document="/shop/openapi.json"' in page
    assert 'src="/shop/docs/assets/docs.js?' in page
    assert [{"url": "/shop"}] == document.json["servers"]
    assert document.headers["ETag"] != client.get("/openapi.json").headers["ETag"] or not headers
    assert 200 == get("/health").status_code


def test_a_cached_answer_is_given_under_its_own_prefix_only(serve: Serve) -> None:
    """And no other is stored over it."""
    client = serve(CACHE="memory", CACHE_STATUS_HEADER=True, **TRUSTING)
    found = []
    for prefix in ("/a", "/b", "/a", ""):
        headers = {"X-Forwarded-Prefix": prefix} if prefix else {}
        answer = client.get("/pages/1", headers=headers)
        assert f"{prefix}/pages/" == json.loads(answer.data)["all"]
        found.append(answer.headers["Cache-Status"])
    assert ["fwd=miss; stored", "fwd=bypass", "hit", "fwd=bypass"] == [
        status.removeprefix("pegboard; ").partition("; detail")[0] for status in found
    ]


@pytest.mark.parametrize("header", ["/evil, /shop", "/evil,/shop/", "/shop"])
def test_only_what_the_nearest_proxy_has_written_counts(serve: Serve, header: str) -> None:
    """A client can send the header as well."""
    client = serve(**TRUSTING)
    answer = client.get("/pages", headers={"X-Forwarded-Prefix": header})
    assert "/shop/pages/" == answer.headers["Location"]


@pytest.mark.parametrize(
    "header",
    ["//evil.example", "/a//b", "evil", "/..", "/a/../b", "/a b", "/a%2f", "/\xe4", "/a?x"],
)
def test_what_is_no_prefix_is_ignored(serve: Serve, header: str) -> None:
    """A redirect must not lead to another host."""
    client = serve(PATH_PREFIX="/own", **TRUSTING)
    answer = client.get("/pages", headers={"X-Forwarded-Prefix": header})
    assert "/own/pages/" == answer.headers["Location"]


@pytest.mark.parametrize("config", [{}, TRUSTING], ids=["none trusted", "another trusted"])
def test_a_client_cannot_choose_its_prefix(serve: Serve, config: dict[str, str]) -> None:
    """Only the proxies that are trusted with its address."""
    client = serve(**config)
    client.environ_base["REMOTE_ADDR"] = "192.0.2.1"
    answer = client.get("/pages", headers={"X-Forwarded-Prefix": "/evil"})
    assert "/pages/" == answer.headers["Location"]


@pytest.mark.parametrize("path", ["/shopping/pages/", "/shop/shop/pages/", "/Shop/pages/"])
def test_the_prefix_is_removed_once_and_as_a_whole(serve: Serve, path: str) -> None:
    """Another path that begins like it is another path."""
    assert 404 == serve(PATH_PREFIX="/shop").get(path).status_code


@pytest.mark.parametrize("prefix", ["shop", "//shop", "/sh op", "/..", "/a" * 200])
def test_a_setting_that_is_no_prefix_stops_the_start(prefix: str) -> None:
    """It would be in every link."""
    with pytest.raises(StartupError, match="PATH_PREFIX"):
        create_app({"ENV": "testing", "PATH_PREFIX": prefix}, plugins=[])


@pytest.mark.parametrize("prefix", ["/pages", "/health", "/docs/"])
def test_a_prefix_with_which_routes_begin_stops_the_start(serve: Serve, prefix: str) -> None:
    """Where the proxy removes it from the path, every request to them would be a 404."""
    with pytest.raises(StartupError, match=f"PATH_PREFIX.*such as {prefix.rstrip('/')}"):
        serve(PATH_PREFIX=prefix)
    assert 200 == serve(PATH_PREFIX="/page").get("/page/pages/").status_code


def test_a_configured_path_of_the_cookie_stays(serve: Serve) -> None:
    """As Flask has it."""
    client = serve(PATH_PREFIX="/shop", SESSION_COOKIE_PATH="/pages")
    assert "; Path=/pages" in client.get("/pages/").headers["Set-Cookie"]

"""URLs that a view builds, and hosts that are refused, where the stages have found the route."""

import flask
import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder, TestResponse

from pegboard.testing.fixtures import MakeApp


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an app whose view tells what URLs it builds and finds."""
    app = make_app(upgrade=False)

    @app.route("/numbers/<int:number>", methods=["GET", "PUT"])
    def numbers(number: int) -> dict[str, object]:
        adapter = flask.globals.request_ctx.url_adapter
        assert adapter is not None
        return {
            "number": number,
            "next": flask.url_for("numbers", number=number + 1, _external=True),
            "other": adapter.match("/numbers/7", method="PUT")[1],
            "allowed": sorted(adapter.allowed_methods()),
            "host": flask.request.host,
        }

    return app


def ask(app: Flask, host: str, path: str = "/numbers/1") -> TestResponse:
    """Ask for a number, from a host that a client names."""
    builder = EnvironBuilder(path=path, headers=[("Host", host)])
    return app.test_client().open(builder)


def test_every_request_of_a_host_builds_urls_of_its_own(app):
    """Hosts that alternate are not mixed up."""
    for host, path in (("one.test", "/numbers/1"), ("two.test:81", "/numbers/2")) * 2:
        number = int(path[-1])
        assert ask(app, host, path).get_json() == {
            "number": number,
            "next": f"http://{host}/numbers/{number + 1}",
            "other": {"number": 7},
            "allowed": ["GET", "HEAD", "OPTIONS", "PUT"],
            "host": host,
        }


def test_a_host_that_cannot_be_is_refused_at_each_request(app):
    """One that IDNA cannot encode is not remembered as a good one."""
    host = f"{'a' * 64}.test"
    assert [ask(app, host).status_code for _ in range(2)] == [400, 400]


def test_hosts_are_trusted_as_configured_by_now(app):
    """One that was good before is refused once only others are trusted."""
    assert ask(app, "one.test").status_code == 200
    app.config["TRUSTED_HOSTS"] = ["two.test"]
    assert [ask(app, host).status_code for host in ("one.test", "two.test")] == [400, 200]
    assert ask(app, "one.test").status_code == 400

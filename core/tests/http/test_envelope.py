"""What every answer gets: request id, trace context, security headers, one log line."""

import io
import json
import logging
import re
import time
from datetime import UTC, datetime

import pytest
from flask import Flask

from pegboard import hookimpl
from pegboard.testing.fixtures import MakeApp


@pytest.mark.parametrize("path", ["/health", "/nowhere"])
def test_every_answer_has_a_request_id_and_security_headers(client, path):
    """Errors included; and no version banner."""
    headers = client.get(path).headers
    assert headers["X-Request-ID"]
    assert "nosniff" == headers["X-Content-Type-Options"]
    assert "default-src 'none'; frame-ancestors 'none'" == headers["Content-Security-Policy"]
    assert "Server" not in headers


def test_a_proper_request_id_is_taken_over(client):
    """A caller can find its request in the service's log."""
    given = {"X-Request-ID": "order-42.a_b"}
    assert "order-42.a_b" == client.get("/health", headers=given).headers["X-Request-ID"]


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\x1b[31m", "é"])
def test_an_improper_request_id_is_replaced(client, given):
    """What could forge a log line is not repeated."""
    found = client.get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert given != found
    assert 32 == len(found)


@pytest.fixture
def lines(make_app: MakeApp, monkeypatch):
    """Serve one request, and return the lines that it logs."""

    def serve(path="/health", log_format="json", **headers):
        stream = io.StringIO()
        app: Flask = make_app(LOG_FORMAT=log_format, LOG_LEVEL="INFO")
        monkeypatch.setattr("sys.stderr", stream)
        app.test_client().get(path, headers=headers)
        return stream.getvalue().splitlines()

    return serve


@pytest.fixture
def tokyo(monkeypatch):
    """Let the process be nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_request_is_one_json_line_in_production_style(lines):
    """Method, path, status, the ids of the request and of the trace, and the time in UTC."""
    before = datetime.now(UTC).replace(microsecond=0)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    (line,) = lines(
        **{"X-Request-ID": "abc", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
    )
    found = json.loads(line)
    assert "abc" == found["request_id"]
    assert trace == found["trace_id"]
    assert ("GET", "/health", 200) == (found["method"], found["path"], found["status"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    assert before <= datetime.fromisoformat(found["time"]) <= datetime.now(UTC)


@pytest.mark.parametrize(
    "given",
    [
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "nonsense",
    ],
)
def test_an_invalid_traceparent_is_replaced(lines, given):
    """W3C Trace Context, section 3.2."""
    (line,) = lines(traceparent=given)
    assert json.loads(line)["trace_id"] not in given


@pytest.mark.parametrize("log_format", ["human", "json"])
@pytest.mark.parametrize("path", ["/a%0d%0aforged", "/a%1b[31mred", "/a%e2%80%a8forged"])
def test_control_characters_in_a_path_stay_on_one_escaped_line(lines, log_format, path):
    """No client writes lines or colors into the log."""
    found = lines(path, log_format)
    warnings = [line for line in found if "forged" in line or "red" in line]
    assert 1 == len(warnings)
    assert "\x1b" not in warnings[0]


def test_an_error_outside_flask_is_answered_in_the_format(make_app: MakeApp, caplog):
    """Middleware that raises does not leave a client without an answer; a test sees the error."""

    class Broken:
        name = "broken"

        @hookimpl
        def pegboard_setup(self, app: Flask):
            def middleware(_environ, _start_response):
                message = "secret internals"
                raise RuntimeError(message)

            app.wsgi_app = middleware  # type: ignore[method-assign]  # Flask's way to add it

    with pytest.raises(RuntimeError):
        make_app(plugins=[Broken()]).test_client().get("/health")
    with caplog.at_level(logging.ERROR):
        response = make_app(plugins=[Broken()], TESTING=False).test_client().get("/health")
    assert 500 == response.status_code
    body = response.get_json()
    assert 500 == body["status"]
    assert response.headers["X-Request-ID"] in body["message"]
    assert "secret" not in response.text
    assert "secret internals" in caplog.text


def test_an_error_after_the_answer_has_begun_replaces_it(make_app: MakeApp):
    """As PEP 3333 demands of an application: the server is told what happened."""

    class Late:
        name = "late"

        @hookimpl
        def pegboard_setup(self, app: Flask):
            def middleware(_environ, start_response):
                start_response("200 OK", [])
                message = "too late"
                raise RuntimeError(message)

            app.wsgi_app = middleware  # type: ignore[method-assign]  # Flask's way to add it

    app = make_app(plugins=[Late()], TESTING=False)
    calls = []

    def start_response(status, headers, exc_info=None):
        calls.append((status, exc_info and exc_info[0]))

    (body,) = app.wsgi_app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, start_response)
    assert [("200 OK", None), ("500 Internal Server Error", RuntimeError)] == calls
    assert 500 == json.loads(body)["status"]


def test_what_is_added_to_an_answer_is_the_same_at_every_request(make_app: MakeApp):
    """Whichever status was answered before with headers of the same names."""
    app = make_app(upgrade=False)
    app.add_url_rule(
        "/<int:status>/<kind>",
        "any",
        lambda status, kind: ("{}", status, {"Content-Type": f"application/{kind}"}),
    )
    client = app.test_client()
    found: dict[tuple[int, str], list[list[tuple[str, str]]]] = {}
    for status in (200, 201, 200, 201, 202, 404, 201, 200):
        for kind in ("json", "octet-stream"):
            headers = client.get(f"/{status}/{kind}").headers
            del headers["X-Request-ID"]
            found.setdefault((status, kind), []).append(sorted(headers.items()))
    assert all(one == all_[0] for all_ in found.values() for one in all_)
    assert "no-store" in dict(found[404, "json"][0])["Cache-Control"]
    for kind in ("json", "octet-stream"):
        assert found[200, kind][0] == found[201, kind][0] == found[202, kind][0]

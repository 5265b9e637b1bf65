"""The access log: a line of fields for each request."""

import io
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

import pegboard
from pegboard.testing.fixtures import MakeApp

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Send a request to an app with settings, and return what it logs as JSON."""

    def serve(
        path: str = "/health",
        *,
        settings: dict[str, Any] | None = None,
        times: int = 1,
        **given: Any,
    ) -> list[dict[str, Any]]:
        stream = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
        app: Flask = make_app(**{"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"} | (settings or {}))
        monkeypatch.setattr("sys.stderr", stream)
        for _ in range(times):
            app.test_client().open(path, **given)
        monkeypatch.undo()
        stream.flush()
        lines = stream.buffer.getvalue().decode().splitlines()
        return [json.loads(line) for line in lines]

    return serve


def test_a_line_has_the_fields_of_its_request(ask: Ask):
    """One type for each, and null where something is not known."""
    agent = {"User-Agent": 'test "1"', "X-Request-ID": "abc"}
    (line,) = ask("/health?secret=1", headers=agent, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 <= line.pop("milliseconds") < 60_000
    assert re.fullmatch("[0-9a-f]{32}", line.pop("trace_id"))
    assert {
        "level": "INFO",
        "logger": "pegboard.access",
        "message": "request",
        "request_id": "abc",
        "method": "GET",
        "route": "/health",
        "path": "/health",
        "status": 200,
        "bytes": 32,
        "client": "192.0.2.7",
        "identity": None,
        "user_agent": 'test "1"',
        "plugin": "core",
        "cached": None,
    } == line


@pytest.mark.parametrize(
    "path,logged",
    [
        ("/caf%C3%A9/%E6%9D%B1", "/caf\u00e9/\u6771"),
        ("/%F0%9F%8E%88", "/\U0001f388"),
        ("/a%0D%0A%1B%C2%85%E2%80%A8%7Fb", "/a\r\n\x1b\x85\u2028\x7fb"),
        ("/%FF%ED%A0%80", "/" + "\ufffd" * 4),
        ("/" + "x" * 2000, "/" + "x" * 998 + "\u2026"),
    ],
)
def test_a_path_is_readable(ask: Ask, path: str, logged: str):
    """Whatever its bytes are, it is one line of JSON."""
    (line,) = ask(path)
    assert logged == line["path"]


def test_what_a_client_says_is_bounded(ask: Ask):
    """It cannot fill the disk."""
    (line,) = ask(headers={"User-Agent": "x" * 5000}, method="X" * 5000)
    assert "x" * 199 + "\u2026" == line["user_agent"]
    assert "X" * 31 + "\u2026" == line["method"]


def test_the_client_is_the_one_behind_the_proxies(ask: Ask):
    """Its whole address, of IPv6 as well."""
    headers = {"X-Forwarded-For": "2001:db8::7"}
    (line,) = ask(headers=headers, settings={"TRUSTED_PROXIES": ["1"]})
    assert "2001:db8::7" == line["client"]
    (line,) = ask(headers=headers)
    assert "127.0.0.1" == line["client"]


class Naming:
    """A plugin that knows who the client is."""

    name = "naming"

    def __init__(self, *, is_non_blocking: bool) -> None:
        self.is_non_blocking = is_non_blocking

    @pegboard.hookimpl
    def pegboard_client_identity(self, app: Flask) -> Callable[[Any], str | None]:
        """Return what says so."""

        def identify(environ: Any) -> str | None:
            name: str | None = environ.get("HTTP_X_NAME")
            return name

        identify.is_non_blocking = self.is_non_blocking  # type: ignore[attr-defined]
        return identify


@pytest.mark.parametrize("is_non_blocking", [True, False])
def test_an_identity_is_logged_where_it_is_known(ask: Ask, *, is_non_blocking: bool):
    """No plugin that may wait is asked for the log alone."""
    plugin = Naming(is_non_blocking=is_non_blocking)
    (line,) = ask(headers={"X-Name": "alice"}, settings={"plugins": [plugin]})
    assert ("alice" if is_non_blocking else None) == line["identity"]


def test_a_share_of_the_requests_is_logged(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    """And each error of the server."""
    dice = iter([0.09, 0.1, 0.5, 0.05])
    monkeypatch.setattr("pegboard.observation.access_log.random.random", lambda: next(dice))
    lines = ask(settings={"ACCESS_LOG_SHARE": 0.1}, times=3)
    assert 1 == len(lines)
    failing = Naming(is_non_blocking=True)
    failing.pegboard_setup = pegboard.hookimpl(_answer_500)  # type: ignore[attr-defined]
    lines = ask("/failing", settings={"ACCESS_LOG_SHARE": 0.0, "plugins": [failing]}, times=2)
    assert [503, 503] == [line["status"] for line in lines]


def _answer_500(app: Flask) -> None:
    app.add_url_rule("/failing", "failing", lambda: pegboard.abort(503, "Not now."))


def test_other_formatters_get_the_fields(make_app: MakeApp, caplog: pytest.LogCaptureFixture):
    """They are attributes of the record, as `extra` would set them."""
    app = make_app(LOG_LEVEL="INFO")
    with caplog.at_level(logging.INFO, "pegboard.access"):
        app.test_client().get("/nothing")
    (record,) = [one for one in caplog.records if one.name == "pegboard.access"]
    formatter = logging.Formatter("%(levelname)s %(process)d %(status)s %(path)s %(message)s")
    assert " 404 /nothing GET /nothing 404 " in formatter.format(record)

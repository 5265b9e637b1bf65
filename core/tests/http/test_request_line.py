"""What is answered before anything else sees a request, by any server and on the event loop."""

import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from pegboard.http.request_line import answer_early

VALID = [
    *("localhost", "a.example", "a.example.", "a.example:8000", "A.EXAMPLE:", "my_service:80"),
    *("127.0.0.1:8000", "[::1]", "[2001:db8::1]:443", "[fe80::1%25eth0]", "%41.example", "a-b~c"),
]
INVALID = [
    *("a b", "a/b", "user@a", "a:port", "a:80:80", "http://a", "[::1", "::1", "a?b", "a#b", "%zz"),
    *("a,b", "a, a", ",a", "a,", "\xe4.example", "a\\b", ":80"),
]


def environ(host: str | None, method: str = "GET", path: str = "/health", version: str = "1.1"):
    """Make the environment of a request."""
    found = EnvironBuilder(path=path).get_environ()
    found |= {"REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_PROTOCOL": f"HTTP/{version}"}
    del found["HTTP_HOST"]
    return found if host is None else found | {"HTTP_HOST": host}


def answer(app: Flask, *arguments: Any, **options: Any) -> tuple[int, Any, bytes]:
    """Return status, headers and body of the answer to a request."""
    body, status, headers = run_wsgi_app(app, environ(*arguments, **options), buffered=True)
    return int(status.split()[0]), headers, b"".join(body)


@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
@pytest.mark.parametrize("host", VALID)
def test_a_valid_host_is_let_through(app: Flask, host: str, version: str):
    """In every version of HTTP, and again when it is known."""
    for _ in range(2):
        assert 200 == answer(app, host, version=version)[0]


@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
@pytest.mark.parametrize("host", INVALID)
def test_an_invalid_host_is_a_400(app: Flask, host: str, version: str):
    """Two that a server has joined by a comma included, also if they are the same."""
    for _ in range(2):
        status, headers, body = answer(app, host, version=version)
        assert 400 == status
        assert ["message", "status"] == list(json.loads(body))
        assert 400 == json.loads(body)["status"]
        assert "application/json" == headers["Content-Type"]
        assert headers["X-Request-ID"]
        assert str(len(body)) == headers["Content-Length"]


@pytest.mark.parametrize("host", [None, ""])
def test_only_http_1_1_needs_a_host(app: Flask, host: str | None):
    """HTTP/1.0 has none, HTTP/2 has `:authority`."""
    statuses = {version: answer(app, host, version=version)[0] for version in ("1.0", "1.1", "2")}
    assert {"1.0": 200, "1.1": 400, "2": 200} == statuses


@pytest.mark.parametrize("method", ["get", "Get", "options", "delete"])
def test_names_of_methods_are_case_sensitive(app: Flask, method: str):
    """`get` is no GET, but a method that nothing serves."""
    status, _, body = answer(app, "localhost", method)
    assert 501 == status
    assert 501 == json.loads(body)["status"]


def test_an_unknown_method_in_capital_letters_is_a_405(app: Flask):
    """As any that the address does not have."""
    status, headers, _ = answer(app, "localhost", "BREW")
    assert 405 == status
    assert "GET" in headers["Allow"]


def test_options_of_the_server_are_told(app: Flask):
    """Without a body."""
    status, headers, body = answer(app, "localhost", "OPTIONS", "*")
    assert (204, b"") == (status, body)
    assert "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" == headers["Allow"]
    assert "Content-Length" not in headers
    assert "Content-Type" not in headers
    assert 404 == answer(app, "localhost", "GET", "*")[0]


def test_a_head_request_gets_the_error_without_its_body(app: Flask):
    """With its length."""
    status, headers, body = answer(app, None, "HEAD")
    assert (400, b"") == (status, body)
    assert 0 < int(headers["Content-Length"])


def test_few_hosts_are_remembered(monkeypatch: pytest.MonkeyPatch):
    """However many are tried, and none that is long."""
    hosts: set[str] = set()
    monkeypatch.setattr("pegboard.http.request_line._hosts", hosts)
    assert answer_early(environ("a" * 300)) is None
    assert set() == hosts
    for number in range(2000):
        assert answer_early(environ(f"host-{number}")) is None
    assert 1024 == len(hosts)
    assert answer_early(environ("a b"))

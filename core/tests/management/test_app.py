"""The pages of the management port; `tests/test_management.py` has it serve."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import pegboard
from pegboard.http import Endpoint, parse_endpoint
from pegboard.management.app import management_app
from pegboard.management.service import ServedService
from pegboard.server import Address, Limits, Roster
from pegboard.testing.fixtures import MakeApp

LIMITS = Limits(
    workers=1,
    threads=1,
    backlog=1,
    header_timeout=1,
    keep_alive_timeout=1,
    connections_per_client=1,
    shutdown_timeout=1,
)


class ShopSettings(pegboard.Settings):
    """Secrets, one of them not declared as such."""

    token: str = pegboard.setting("hunter1", doc="A token.", secret=True)
    api_key: str = pegboard.setting("hunter2", doc="A key.")
    url: str = pegboard.setting("https://user:hunter3@shop.example/", doc="A URL.")


class Shop:
    """A plugin with all that the port tells of one."""

    name = "shop"

    def __init__(self, metrics: Callable[[], bytes] = lambda: b"shop_up 1\n") -> None:
        self.metrics = metrics

    @pegboard.hookimpl
    def pegboard_settings(self):
        """Bring the settings."""
        return ShopSettings

    @pegboard.hookimpl
    def pegboard_health_checks(self):
        """Bring a check that fails."""
        return [pegboard.HealthCheck("supply", self.fail, is_required=False)]

    @staticmethod
    def fail() -> None:
        """Fail with a reason."""
        message = "no ink"
        raise pegboard.NotReadyError(message)

    @pegboard.hookimpl
    def pegboard_metrics(self) -> bytes:
        """Return what the test has."""
        return self.metrics()


class Failing(Shop):
    """Another plugin whose metrics cannot be read."""

    name = "failing"

    @pegboard.hookimpl
    def pegboard_settings(self):
        """Bring none that the other has."""
        return type("FailingSettings", (pegboard.Settings,), {})

    @pegboard.hookimpl
    def pegboard_metrics(self) -> bytes:
        """Raise an error."""
        raise ZeroDivisionError


@pytest.fixture
def roster() -> Iterator[Roster]:
    """A service of one worker that serves: this process is in its place."""
    roster = Roster(1)
    pulse = roster.take(1)
    pulse.begin()
    pulse.beat()
    yield roster
    roster.close()


@pytest.fixture
def client_of(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FlaskClient]:
    """Return a client of the pages of an app."""
    monkeypatch.setattr(Address, "is_listening", lambda _: True)
    monkeypatch.setattr(Roster, "notify", lambda _: None)

    def make(app: Flask, address: str = "9000") -> FlaskClient:
        endpoint = parse_endpoint(address)
        assert endpoint is not None
        service = ServedService(lambda: app, Address("127.0.0.1", 8000), LIMITS, roster)
        service.load()
        return management_app(service, endpoint).test_client()

    return make


@pytest.fixture
def client(client_of: Callable[..., FlaskClient], make_app: MakeApp) -> FlaskClient:
    """A client of the pages of a service with one plugin."""
    return client_of(make_app(plugins=[Shop()]))


def test_health_has_reasons_and_times(client: FlaskClient):
    """Unlike that of the service's own port, which anybody may ask."""
    answer = client.get("/health/ready")
    assert 200 == answer.status_code
    assert ["shop.supply"] == answer.get_json()["degraded"]
    supply = answer.get_json()["checks"]["shop.supply"]
    assert supply.pop("milliseconds") >= 0
    assert {"result": "failing", "required": False, "reason": "no ink"} == supply
    assert {"database", "migrations", "workers", "address"} < answer.get_json()["checks"].keys()
    assert {"supervisor", "served"} == client.get("/health/live").get_json()["checks"].keys()
    assert {"supervisor", "workers"} < client.get("/health").get_json()["checks"].keys()


def test_a_service_that_stops_is_not_ready_and_lives(client: FlaskClient, roster: Roster):
    """It must not be started anew for that."""
    roster.tell_stopping()
    assert 503 == client.get("/health/ready").status_code
    assert "not healthy: running" == client.get("/health").get_json()["message"]
    assert 200 == client.get("/health/live").status_code


def test_a_service_without_a_worker_that_serves_is_not_ready(client: FlaskClient, roster: Roster):
    """After a while, in which one is replaced, it does not live either."""
    roster._pulses[0].vitals.still_seconds = 6.0
    assert "not ready: workers" == client.get("/health/ready").get_json()["message"]
    assert "still" == client.get("/workers").get_json()["workers"][0]["state"]
    assert 200 == client.get("/health/live").status_code
    roster._head.served_at -= 60.0
    assert "not alive: served" == client.get("/health/live").get_json()["message"]
    roster._head.supervised_at -= 60.0
    assert "not alive: supervisor, served" == client.get("/health/live").get_json()["message"]


def test_an_app_that_cannot_be_built_is_told(client_of, roster: Roster):
    """All that needs none is answered."""

    def fail() -> Flask:
        message = "no such file"
        raise RuntimeError(message)

    service = ServedService(fail, Address("127.0.0.1", 8000), LIMITS, roster)
    service.load()
    client = management_app(service, Endpoint("127.0.0.1", 9000)).test_client()
    assert "no such file" == client.get("/health/ready").get_json()["checks"]["app"]["reason"]
    assert {503} == {client.get(f"/{one}").status_code for one in ("config", "plugins", "metrics")}
    assert {200} == {client.get(f"/{one}").status_code for one in ("workers", "log-level")}


def test_settings_are_told_without_secrets(client: FlaskClient):
    """Also those that a plugin has not declared to be one."""
    answer = client.get("/config")
    assert "hunter" not in answer.text
    settings = {one["setting"]: one for one in answer.get_json()["settings"]}
    assert {"setting", "plugin", "value", "origin"} == settings["SHOP_TOKEN"].keys()
    assert "********" == settings["SHOP_API_KEY"]["value"]
    assert "core" == settings["PORT"]["plugin"]


def test_plugins_are_told_as_on_the_command_line(client: FlaskClient):
    """With what each contributes."""
    answer = client.get("/plugins").get_json()
    assert {"plugins", "can_start", "migrations_error"} == answer.keys()
    [shop] = [one for one in answer["plugins"] if one["name"] == "shop"]
    assert ("active", ["supply"]) == (shop["state"], shop["health_checks"])


def test_metrics_are_those_of_all_plugins(client_of, make_app: MakeApp, caplog):
    """One that fails is logged, and keeps no other from being read."""
    answer = client_of(make_app(plugins=[Shop(), Failing()])).get("/metrics")
    assert (200, "shop_up 1\n") == (answer.status_code, answer.text)
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
    assert "ZeroDivisionError" in caplog.text
    wrong: tuple[Any, ...] = ("text", None, b"shop_up{ 1", b"up 1\nshop is open", b"\xff 1")
    for broken in (Failing(), *(Shop(partial(next, iter([result]))) for result in wrong)):
        assert 500 == client_of(make_app(plugins=[broken])).get("/metrics").status_code
    for result in wrong:
        assert f"shop: pegboard_metrics returned {result!r}, at " in caplog.text
    assert len(wrong) == caplog.text.count("[PB_HOOK_RESULT_INVALID]")
    assert "[PB_HOOK_FAILED]" in caplog.text


def test_any_line_of_the_format_is_a_metric(client_of, make_app: MakeApp):
    """With labels, a time, and numbers of each kind."""
    text = '# TYPE a counter\na{b="}\\"{ ",c="ü"} 1e-05 1700000000\n\n:a_b 2\r\na +Inf\na NaN\n'
    shop = Shop(lambda: text.replace("\r", "").encode())
    assert 200 == client_of(make_app(plugins=[shop])).get("/metrics").status_code


def test_without_metrics_there_is_no_such_page(client_of, make_app: MakeApp):
    """So a scraper does not take nothing for zero."""
    answer = client_of(make_app()).get("/metrics")
    assert {"message": "No active plugin has metrics.", "status": 404} == answer.get_json()


@pytest.mark.slow
def test_a_level_is_set_for_all_processes(client: FlaskClient, roster: Roster):
    """Null is as configured."""
    assert client.put("/log-level", json={"level": "DEBUG"}).get_json()["level"] == "DEBUG"
    assert "DEBUG" == roster.log_level
    assert "INFO" == client.put("/log-level", json={"level": None}).get_json()["level"]
    assert roster.log_level is None


@pytest.mark.parametrize(
    "body,content_type,status",
    [
        ('{"level": "LOUD"}', "application/json", 422),
        ('{"level": 10}', "application/json", 422),
        ('{"level": ["DEBUG"]}', "application/json", 422),
        ('{"level": "DEBUG", "for": 5}', "application/json", 422),
        ("{}", "application/json", 422),
        ("[]", "application/json", 422),
        ("level=DEBUG", "application/json", 400),
        ("", "application/json", 400),
        ('{"level": "DEBUG"}', "text/plain", 415),
        (json.dumps({"level": "x" * 2000}), "application/json", 413),
    ],
)
def test_a_level_that_is_none_changes_nothing(
    client: FlaskClient, roster: Roster, body: str, content_type: str, status: int
):
    """The error has the platform's format."""
    answer = client.put("/log-level", data=body, content_type=content_type)
    assert status == answer.status_code
    assert status == answer.get_json()["status"]
    assert roster.log_level is None


@pytest.mark.parametrize(
    "method,path,status,allow",
    [
        ("POST", "/log-level", 405, "GET, HEAD, PUT"),
        ("DELETE", "/health", 405, "GET, HEAD"),
        ("OPTIONS", "/config", 405, "GET, HEAD"),
        ("GET", "/env", 404, None),
    ],
)
def test_an_error_has_the_format_of_all(
    client: FlaskClient, method: str, path: str, status: int, allow: str | None
):
    """No browser gets leave to read anything: there are no headers of CORS."""
    answer = client.open(path, method=method, headers={"Origin": "https://evil.example"})
    assert (status, allow) == (answer.status_code, answer.headers.get("Allow"))
    assert {"message", "status"} == answer.get_json().keys()
    assert "no-store" == answer.headers["Cache-Control"]
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "host,status",
    [
        ("localhost:9000", 200),
        ("127.0.0.1", 200),
        ("127.9.9.9:1", 200),
        ("[::1]:9000", 200),
        ("evil.example:9000", 421),
        ("localhost.evil.example", 421),
        ("10.0.0.1:9000", 421),
        ("", 421),
    ],
)
def test_the_loopback_is_asked_by_its_own_names(client: FlaskClient, host: str, status: int):
    """A website may have a name that resolves to it, and read what a browser gets there."""
    assert status == client.get("/workers", headers={"Host": host}).status_code


@pytest.mark.parametrize("endpoint", ["0.0.0.0:9000", "unix:/run/x.sock"])
def test_elsewhere_any_name_is_taken(client_of, make_app: MakeApp, endpoint: str):
    """A probe of Kubernetes has the pod's address, a socket none."""
    client = client_of(make_app(), endpoint)
    assert 200 == client.get("/workers", headers={"Host": "10.0.0.1:9000"}).status_code


def test_all_pages_are_listed(client: FlaskClient):
    """At the root."""
    listed: dict[str, Any] = client.get("/").get_json()
    assert "PUT /log-level" in listed["endpoints"]
    assert 11 == len(listed["endpoints"])

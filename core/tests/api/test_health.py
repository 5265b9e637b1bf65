"""Liveness, readiness, and the checks of plugins."""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError  # noqa: A004 - SQLAlchemy's own

from pegboard import HealthCheck, NotReadyError, StartupError, db, get_health, hookimpl
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import wait_until


class Checked:
    """A plugin with one health check that does what it is given."""

    name = "checked"

    def __init__(self, check, **options):
        self.check = check
        self.options = options

    @hookimpl
    def pegboard_health_checks(self):
        """Bring the check."""
        return [HealthCheck("supply", self.check, **self.options)]


def fail_openly():
    """Fail with a reason."""
    message = "no ink"
    raise NotReadyError(message)


def fail_with_a_bug():
    """Fail with what no public answer may contain."""
    message = "password=hunter2"
    raise ValueError(message)


def exit_process():
    """Do what only a command may do."""
    sys.exit("gone")


def fail_without_a_word():
    """Fail with an error that has no text."""
    raise RuntimeError


class Unspeakable(Exception):  # noqa: N818 - of a plugin
    """An error whose text cannot be had."""

    def __str__(self):
        raise KeyError(self)


def fail_unspeakably():
    """Fail with such an error."""
    raise Unspeakable


def query_nothing():
    """Fail as a query of a table that is not there: SQLAlchemy adds the statement and a link."""
    db.session.execute(text("SELECT * FROM nowhere"))


def exhaust_the_pool():
    """Fail as SQLAlchemy does without the driver, in two lines and with a link."""
    message = "QueuePool limit of size 1\nis reached"
    raise TimeoutError(message, code="3o7r")


def test_a_process_that_answers_is_alive(client: FlaskClient):
    """Whatever the database does."""
    response = client.get("/health")
    assert 200 == response.status_code
    assert {"message": "alive", "status": 200} == response.get_json()


def test_a_service_at_head_is_ready(make_app: MakeApp, database_url):
    """Database and migrations are checked on every database."""
    response = make_app(DATABASE_URL=database_url).test_client().get("/health/ready")
    assert 200 == response.status_code
    assert {"database": "ok", "migrations": "ok"} == response.get_json()["checks"]


def test_a_check_of_a_plugin_counts(make_app: MakeApp):
    """It is named after the plugin."""
    app = make_app(plugins=[Checked(lambda: None)])
    assert "ok" == app.test_client().get("/health/ready").get_json()["checks"]["checked.supply"]


def test_stats_are_logged_and_not_public(make_app: MakeApp, caplog):
    """Those that cannot be read keep no service from being ready, and no others from the log."""
    app = make_app()
    details = get_health(app).details
    details.update(broken=fail_with_a_bug, exits=sys.exit, sound=lambda: {"calls": 1})
    with caplog.at_level("INFO"):
        response = app.test_client().get("/health/ready")
    assert 200 == response.status_code
    assert {"message", "status", "checks", "degraded"} == set(response.get_json())
    assert "the stats of broken cannot be read: password=hunter2" in caplog.text
    assert "the stats of exits cannot be read" in caplog.text
    assert 'stats of sound: {"calls": 1}' in caplog.text


def test_stats_in_a_log_of_json_are_fields(make_app: MakeApp, capsys):
    """Under a key of their own; those that JSON has no form of are texts."""
    app = make_app(LOG_FORMAT="json", LOG_LEVEL="INFO")
    stats = {"level": 3, "share": float("inf"), "by_kind": {"hit": 2}, "of": Checked}
    get_health(app).details.update(sound=lambda: stats, broken=fail_with_a_bug)
    app.test_client().get("/health/ready")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if "stats of sound" == line["message"]]
    expected = {"level": 3, "share": "inf", "by_kind": {"hit": 2}, "of": str(Checked)}
    assert expected == line["stats"]
    assert "INFO" == line["level"]
    assert ["WARNING"] == [one["level"] for one in lines if "stats of broken" in one["message"]]


@pytest.mark.parametrize(
    "check,reason",
    [
        (fail_openly, "no ink"),
        (fail_with_a_bug, "password=hunter2"),
        (exit_process, "gone"),
        (fail_without_a_word, "RuntimeError"),
        (fail_unspeakably, "its text cannot be had, KeyError"),
        (query_nothing, "no such table: nowhere"),
        (exhaust_the_pool, "QueuePool limit of size 1 is reached"),
    ],
)
def test_a_failing_check_is_a_503_that_names_it(make_app: MakeApp, check, reason, caplog):
    """Its reason is in the log alone."""
    response = make_app(plugins=[Checked(check)]).test_client().get("/health/ready")
    assert 503 == response.status_code
    assert {
        "message": "not ready: checked.supply",
        "status": 503,
        "checks": {"database": "ok", "migrations": "ok", "checked.supply": "failing"},
        "degraded": [],
    } == response.get_json()
    assert f"the health check checked.supply fails: {reason}" in caplog.messages


def test_an_optional_check_that_fails_leaves_the_service_ready(make_app: MakeApp):
    """It is named, so that whoever watches sees it."""
    app = make_app(plugins=[Checked(fail_openly, is_required=False)])
    response = app.test_client().get("/health/ready")
    assert 200 == response.status_code
    assert {
        "message": "ready",
        "status": 200,
        "checks": {"database": "ok", "migrations": "ok", "checked.supply": "failing"},
        "degraded": ["checked.supply"],
    } == response.get_json()


def test_an_operator_can_require_an_optional_check(make_app: MakeApp):
    """As where sessions are in Redis and every view needs one."""
    plugins = [Checked(fail_openly, is_required=False)]
    app = make_app(plugins=plugins, READY_REQUIRES="checked.supply")
    assert 503 == app.test_client().get("/health/ready").status_code


def test_requiring_a_check_that_is_not_there_stops_the_start(make_app: MakeApp):
    """The message has the names of those that are."""
    with pytest.raises(StartupError, match="no health check reddis") as caught:
        make_app(READY_REQUIRES="reddis,database")
    assert "database, migrations" in str(caught.value)


def test_a_flood_of_probes_shares_one_result(make_app: MakeApp):
    """The checks run once a second, however many ask."""
    runs = []
    client = make_app(plugins=[Checked(lambda: runs.append(1))]).test_client()
    began = time.monotonic()
    assert {200} == {client.get("/health/ready").status_code for _ in range(200)}
    assert len(runs) <= 1 + (time.monotonic() - began)


@pytest.mark.slow
def test_probes_do_not_wait_for_a_check_that_is_slow(make_app: MakeApp):
    """They get the result before it; the new one counts once it is there."""
    is_slow, entered, leave = threading.Event(), threading.Event(), threading.Event()

    def check() -> None:
        if is_slow.is_set():
            entered.set()
            leave.wait(30)
            raise NotReadyError

    app = make_app(plugins=[Checked(check)])

    def probe() -> int:
        return app.test_client().get("/health/ready").status_code

    assert 200 == probe()
    is_slow.set()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lambda: next(status for status in iter(probe, 0) if status != 200))
        try:
            assert entered.wait(30)
            assert {200} == {probe() for _ in range(20)}
        finally:
            leave.set()
        assert 503 == slow.result()
    assert 503 == probe()


def test_a_check_that_does_not_end_fails(make_app: MakeApp, monkeypatch):
    """Else probes would get the result before it for ever, or wait for ever for the first one."""
    monkeypatch.setattr("pegboard.api.health.OVERDUE", 0.05)
    entered, leave = threading.Event(), threading.Event()

    def check() -> None:
        entered.set()
        leave.wait(30)

    app = make_app(plugins=[Checked(check)])

    def probe() -> dict[str, object]:
        body: dict[str, object] = app.test_client().get("/health/ready").get_json()
        return body

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(probe)
        try:
            assert entered.wait(30)
            wait_until(lambda: probe()["status"] == 503, "the check is overdue")
            assert "not ready: checked.supply" == probe()["message"]
        finally:
            leave.set()
        assert 200 == first.result()["status"]


@pytest.mark.slow
def test_a_check_is_logged_when_it_begins_to_fail_and_when_it_passes_again(
    make_app: MakeApp, caplog
):
    """Not at every probe."""
    broken = threading.Event()
    broken.set()

    def check() -> None:
        if broken.is_set():
            fail_openly()

    client = make_app(plugins=[Checked(check)]).test_client()

    def becomes(status: int) -> None:
        wait_until(lambda: client.get("/health/ready").status_code == status, f"it is {status}")

    with caplog.at_level("INFO", "pegboard.api.health"):
        becomes(503)
        broken.clear()
        becomes(200)
    told = [one.message for one in caplog.records if "health check" in one.message]
    assert [
        "the health check checked.supply fails: no ink",
        "the health check checked.supply passes again",
    ] == told


def test_why_a_check_fails_is_logged_once_a_minute(make_app: MakeApp, caplog, monkeypatch):
    """However often it is probed: the first line may be far away when somebody looks."""
    app = make_app(plugins=[Checked(fail_openly)])
    health, now = get_health(app), [1000.0]
    monkeypatch.setattr("pegboard.api.health.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("pegboard.api.health.SHARED_FOR", 0.0)
    with app.app_context():
        for now[0] in (1000.0, 1001.0, 1059.0, 1060.0, 1061.0):
            assert {"checked.supply"} == health.failing()
    assert 2 == caplog.text.count("the health check checked.supply fails: no ink")


def test_a_database_behind_its_migrations_is_not_ready(make_app: MakeApp, plugin_folder, caplog):
    """The log names the history that is behind, with the hint."""
    module = plugin_folder.add(
        "late",
        """
        from pathlib import Path

        @pegboard.hookimpl
        def pegboard_migrations():
            return Path(__file__).parent / "migrations"
        """,
    )
    (module / "migrations").mkdir()
    (module / "migrations" / "late_0001.py").write_text(
        "revision = 'late_0001'\ndown_revision = None\nbranch_labels = None\ndepends_on = None\n\n"
        "def upgrade():\n    pass\n\ndef downgrade():\n    pass\n"
    )
    app = make_app(plugins=["late"], upgrade=False)
    response = app.test_client().get("/health/ready")
    assert 503 == response.status_code
    assert "not ready: migrations" == response.get_json()["message"]
    assert "behind: late; run pegboard db upgrade" in caplog.text

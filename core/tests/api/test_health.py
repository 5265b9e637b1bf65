"""Liveness, readiness, and the checks of plugins."""

import pytest
from flask.testing import FlaskClient

from pegboard import HealthCheck, NotReadyError, get_health, hookimpl
from pegboard.testing.fixtures import MakeApp


class Checked:
    """A plugin with one health check that does what it is given."""

    name = "checked"

    def __init__(self, check):
        self.check = check

    @hookimpl
    def pegboard_health_checks(self):
        """Bring the check."""
        return [HealthCheck("supply", self.check)]


def fail_openly():
    """Fail with a message for the public."""
    message = "no ink"
    raise NotReadyError(message)


def fail_with_a_bug():
    """Fail with a message that must not become public."""
    message = "password=hunter2"
    raise ValueError(message)


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


def test_figures_that_cannot_be_told_keep_no_service_from_being_ready(make_app: MakeApp, caplog):
    """The log says why, and the other checks are reported."""
    app = make_app()
    get_health(app).details.update(broken=fail_with_a_bug, sound=lambda: {"calls": 1})
    response = app.test_client().get("/health/ready")
    assert 200 == response.status_code
    expected = {"broken": {"error": "failing; the log says why"}, "sound": {"calls": 1}}
    assert expected == {name: response.get_json()["details"][name] for name in expected}
    assert "password=hunter2" in caplog.text


@pytest.mark.parametrize(
    "check,told",
    [(fail_openly, "no ink"), (fail_with_a_bug, "failing; the log says why")],
)
def test_a_failing_check_is_a_503_that_names_it(make_app: MakeApp, check, told, caplog):
    """Its reason is public if it is a `NotReadyError`; the log has it anyway."""
    response = make_app(plugins=[Checked(check)]).test_client().get("/health/ready")
    body = response.get_json()
    assert 503 == response.status_code == body["status"]
    assert "not ready: checked.supply" == body["message"]
    assert told == body["checks"]["checked.supply"]
    assert "ok" == body["checks"]["database"]
    assert "hunter2" not in response.text
    assert "checked.supply" in caplog.text


def test_a_database_behind_its_migrations_is_not_ready(make_app: MakeApp, plugin_folder):
    """The history that is behind is named, with the hint."""
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
    told = response.get_json()["checks"]["migrations"]
    assert "late" in told
    assert "pegboard db upgrade" in told

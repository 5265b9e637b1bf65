"""A setting has one name in the environment and one in what `create_app` is given."""

import logging

import pytest
from click.testing import CliRunner

from pegboard import CoreSettings, Settings, StartupError, create_app, hookimpl, setting
from pegboard.cli import main
from pegboard.settings import declarations_of


class OrdersSettings(Settings):
    """The settings of the plugin."""

    page_size: int = setting(20, doc="Rows a page holds.")
    token: str = setting("", doc="A secret.", secret=True)


class Orders:
    """A plugin with settings."""

    name = "orders"

    @hookimpl
    def pegboard_settings(self):
        """Declare them."""
        return OrdersSettings


@pytest.fixture(autouse=True)
def _own_database(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/own.db")


@pytest.mark.parametrize(
    "given, meant",
    [
        ("PEGBOARD_ORDERS_PAGE_SIZE", "ORDERS_PAGE_SIZE"),
        ("PEGBOARD_ORDERS_TOKEN_FILE", "ORDERS_TOKEN"),
        ("PEGBOARD_ORDERS_PAGESIZE", "ORDERS_PAGE_SIZE"),
        ("ORDERS_PAGESIZE", "ORDERS_PAGE_SIZE"),
        ("PEGBOARD_LOG_LEVEL", "LOG_LEVEL"),
        ("PEGBOARD_LOG_LEVL", "LOG_LEVEL"),
        ("SECRET_KEY_FILE", "SECRET_KEY"),
        ("WEB_CONCURRENCY", "WORKERS"),
    ],
)
def test_a_variable_given_to_create_app_stops_the_start(given, meant) -> None:
    """With the key that is meant."""
    with pytest.raises(StartupError) as caught:
        create_app({given: 3}, plugins=[Orders()])
    (problem,) = caught.value.problems
    assert "PB_SETTING_UNKNOWN" == problem.code
    assert f"unknown setting {given} (given to create_app)" == problem.summary
    assert meant in problem.hint.replace("?", " ").replace(".", " ").split()
    assert f"PEGBOARD_{meant}" not in problem.hint.removeprefix(given)


def test_a_misspelled_key_is_warned_of(caplog) -> None:
    """It may be of Flask or of an extension, whose keys are not."""
    create_app({"LOG_LEVL": "DEBUG", "SQLALCHEMY_ECHO": False}, plugins=[Orders()])
    told = [one for one in caplog.records if "is not used" in one.getMessage()]
    assert ["LOG_LEVL is not used: no setting has this name. Did you mean LOG_LEVEL?"] == [
        one.getMessage() for one in told
    ]
    assert logging.WARNING == told[0].levelno


def test_keys_of_flask_are_not_warned_of(caplog) -> None:
    """Whichever of them is given."""
    create_app(
        {"SESSION_COOKIE_NAME": "s", "MAX_CONTENT_LENGTH": 9, "SERVER_NAME": "a.example"},
        plugins=[],
    )
    assert "is not used" not in caplog.text


@pytest.mark.parametrize("name", ["ORDERS_PAGE_SIZE", "ORDERS_PAGESIZE", "orders_page_size"])
def test_a_variable_without_the_prefix_is_warned_of(monkeypatch, caplog, name) -> None:
    """It may belong to another program; not where the right one is given."""
    monkeypatch.setenv(name, "3")
    create_app(plugins=[Orders()])
    told = f"{name} is not used: no setting has this name. Did you mean PEGBOARD_ORDERS_PAGE_SIZE?"
    assert logging.WARNING == next(
        one.levelno for one in caplog.records if one.getMessage() == told
    )
    caplog.clear()
    monkeypatch.setenv("PEGBOARD_ORDERS_PAGE_SIZE", "3")
    create_app(plugins=[Orders()])
    assert "is not used" not in caplog.text


def test_a_key_of_the_core_in_the_environment_is_warned_of(monkeypatch) -> None:
    """Only under its exact name, and not one that each program may have."""
    for name in ("LOG_LEVEL", "LOG_LEVELS", "DEBUG", "TESTING"):
        monkeypatch.setenv(name, "1")
    result = CliRunner().invoke(main, ["config", "show"])
    told = [line for line in result.stderr.splitlines() if "is not used" in line]
    assert [
        "LOG_LEVEL is not used: no setting has this name. Did you mean PEGBOARD_LOG_LEVEL?"
    ] == told


def test_every_key_of_the_core_can_be_given_at_once() -> None:
    """None is taken for a misspelling of another."""
    given = {one.key: one.default for one in declarations_of(CoreSettings, None)}
    create_app({**given, "ENV": "testing", "SECRET_KEY": "x" * 32}, plugins=[])

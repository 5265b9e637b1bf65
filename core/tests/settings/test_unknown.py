"""Variables with the platform's prefix that are no settings."""

import logging

import pytest
from click.testing import CliRunner

from pegboard import (
    CoreSettings,
    Settings,
    StartupError,
    create_app,
    get_registry,
    get_settings,
    hookimpl,
    setting,
)
from pegboard.cli import main
from pegboard.settings import declarations_of


class ShopSettings(Settings):
    """Settings whose names Kubernetes may use, too."""

    page_size: int = setting(20, doc="Rows a page holds.")
    port: int | None = setting(None, doc="A port.")
    service_host: str | None = setting(None, doc="A host.")


class Shop:
    """A plugin with settings."""

    name = "shop"

    @hookimpl
    def pegboard_settings(self):
        """Declare them."""
        return ShopSettings


@pytest.fixture(autouse=True)
def _own_database(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/own.db")


KUBERNETES = {
    "SERVICE_HOST": "10.0.171.239",
    "SERVICE_PORT": "8000",
    "SERVICE_PORT_HTTP_API": "8000",
    "PORT": "tcp://10.0.171.239:8000",
    "PORT_8000_TCP": "tcp://10.0.171.239:8000",
    "PORT_8000_TCP_PROTO": "tcp",
    "PORT_8000_TCP_PORT": "8000",
    "PORT_8000_TCP_ADDR": "10.0.171.239",
    "PORT_53_UDP": "udp://[fd00::1]:53",
    "PORT_53_UDP_ADDR": "fd00::1",
}
"""What Kubernetes sets for one Service, as its documentation has it, on IPv4 and IPv6."""

DOCKER = {
    "NAME": "/web/alias",
    "PORT": "tcp://172.17.0.5:6379",
    "PORT_6379_TCP_ADDR": "172.17.0.5",
    "ENV_REDIS_VERSION": "7.2",
}
"""What a link of Docker sets."""


@pytest.mark.parametrize("service", ["PEGBOARD", "PEGBOARD_SHOP", "PEGBOARD_SHOP_API"])
@pytest.mark.parametrize("links", [KUBERNETES, DOCKER])
def test_variables_of_a_service_are_not_taken_for_settings(
    monkeypatch, caplog, service, links
) -> None:
    """Whatever the Service is called; they are named at the level debug, and by `config show`."""
    for suffix, text in links.items():
        monkeypatch.setenv(f"{service}_{suffix}", text)
    declared = {"PEGBOARD_SHOP_PORT", "PEGBOARD_SHOP_SERVICE_HOST"}
    with caplog.at_level(logging.DEBUG):
        app = create_app(plugins=[Shop()])
    expected = {f"{service}_{suffix}" for suffix in links} - declared
    assert expected == {unused.name for unused in get_registry(app).unused}
    for name in expected:
        text = f"{name} is not used: it describes a service of the network."
        assert logging.DEBUG == next(r.levelno for r in caplog.records if r.getMessage() == text)
    assert get_settings(ShopSettings, app).port is None
    shown = app.test_cli_runner().invoke(args=["config", "show"])
    lines = [line for line in shown.stderr.splitlines() if " is not used: " in line]
    assert expected == {line.split()[0] for line in lines}


@pytest.mark.parametrize(
    "variable,text",
    [
        ("PEGBOARD_SHOP_SERVICE_HOSTS", "10.0.0.1"),
        ("PEGBOARD_SHOP_PORTS", "8000"),
        ("PEGBOARD_SHOP_PORT_NUMBER", "tcp://10.0.0.1:80"),
        ("PEGBOARD_SHOP_NAME", "corner"),
        ("PEGBOARD_SHOP_ENV_NAME", "corner"),
    ],
)
def test_what_only_resembles_them_is_still_unknown(monkeypatch, variable, text) -> None:
    """The name and the value are looked at."""
    monkeypatch.setenv(variable, text)
    with pytest.raises(StartupError, match=variable):
        create_app(plugins=[Shop()])


def test_a_port_of_a_plugin_can_be_set(monkeypatch) -> None:
    """Only the form of Kubernetes is ignored, where a number is expected."""
    monkeypatch.setenv("PEGBOARD_SHOP_PORT", "25")
    monkeypatch.setenv("PEGBOARD_SHOP_SERVICE_HOST", "10.0.0.1")
    settings = get_settings(ShopSettings, create_app(plugins=[Shop()]))
    assert (25, "10.0.0.1") == (settings.port, settings.service_host)


@pytest.mark.parametrize(
    "variable,meant",
    [
        ("PEGBOARD_LOGLEVEL", "PEGBOARD_LOG_LEVEL"),
        ("PEGBOARD_PLUGIN", "PEGBOARD_PLUGINS"),
        ("PEGBOARD_PLUGINS_DISABLE", "PEGBOARD_PLUGINS_DISABLED"),
        ("PEGBOARD_TRUSTED_PROXY", "PEGBOARD_TRUSTED_PROXIES"),
        ("PEGBOARD_DATABASE_POOLSIZE", "PEGBOARD_DATABASE_POOL_SIZE"),
        ("PEGBOARD_SECRET_KEY", "SECRET_KEY"),
        ("PEGBOARD_DATABASE_URL", "DATABASE_URL"),
        ("PEGBOARD_REDIS_URL_FILE", "REDIS_URL_FILE"),
        ("PEGBOARD_PORT", "PORT"),
        ("PEGBOARD_WORKER", "WORKERS"),
        ("pegboard_log_level", "PEGBOARD_LOG_LEVEL"),
        ("Pegboard_Port", "PORT"),
        ("pegboard_plugin", "PEGBOARD_PLUGINS"),
    ],
)
def test_a_misspelled_variable_of_the_core_stops_the_start(monkeypatch, variable, meant) -> None:
    """With the one that is meant; no default is in force in silence."""
    monkeypatch.setenv(variable, "1")
    with pytest.raises(StartupError) as caught:
        create_app(plugins=[])
    (problem,) = caught.value.problems
    assert ("PB_SETTING_UNKNOWN", None) == (problem.code, problem.plugin)
    assert f"unknown setting {variable} (environment)" == problem.summary
    assert problem.hint.startswith(f"Did you mean {meant}? ")
    result = CliRunner().invoke(main, ["config", "check"])
    assert 1 == result.exit_code


def test_other_variables_may_be_of_a_plugin_that_is_not_active(monkeypatch, caplog) -> None:
    """They stop nothing; what resembles a variable of an active plugin is warned of."""
    monkeypatch.setenv("PEGBOARD_SHOPS_PAGE_SIZE", "30")
    monkeypatch.setenv("PEGBOARD_IMAGE_TAG", "v3")
    with caplog.at_level(logging.DEBUG):
        create_app(plugins=[Shop()])
    levels = {record.getMessage(): record.levelno for record in caplog.records}
    end = "is not used: no active plugin declares it."
    assert logging.DEBUG == levels[f"PEGBOARD_IMAGE_TAG {end}"]
    near = f"PEGBOARD_SHOPS_PAGE_SIZE {end} Did you mean PEGBOARD_SHOP_PAGE_SIZE?"
    assert logging.WARNING == levels[near]


@pytest.mark.parametrize("variable", ["PEGBOARD_ENVIRONMENT", "pegboard_environment"])
def test_a_longer_form_of_a_variable_of_the_core_is_warned_of(
    monkeypatch, caplog, variable
) -> None:
    """Else a service that is meant for production is in development, and nothing says so."""
    monkeypatch.setenv(variable, "production")
    create_app(plugins=[])
    (told,) = (one for one in caplog.records if variable in one.getMessage())
    assert logging.WARNING == told.levelno
    assert told.getMessage().endswith("Did you mean PEGBOARD_ENV?")


def test_config_check_tells_what_has_no_effect(monkeypatch) -> None:
    """Once each, whatever the level of the log: it is for those who change variables."""
    monkeypatch.setenv("PEGBOARD_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("PEGBOARD_IMAGE_TAG", "v3")
    monkeypatch.setenv("PEGBOARD_ENVIRONMENT", "testing")
    result = CliRunner().invoke(main, ["config", "check"])
    assert 0 == result.exit_code, result.output
    end = "is not used: no active plugin declares it."
    assert [
        f"PEGBOARD_ENVIRONMENT {end} Did you mean PEGBOARD_ENV?",
        f"PEGBOARD_IMAGE_TAG {end}",
    ] == sorted(result.stderr.splitlines())


def test_no_variable_of_the_core_is_like_another(monkeypatch) -> None:
    """All may be set at once, and so may those of the testing kit."""
    for declaration in declarations_of(CoreSettings, None):
        for variable in declaration.variables:
            if variable.startswith("PEGBOARD_"):
                monkeypatch.setenv(variable, "")
    for name in ("PLUGINS", "SUBSET", "DATABASE_URL", "REDIS_URL", "HISTORY_SEED"):
        monkeypatch.setenv(f"PEGBOARD_TEST_{name}", "")
    monkeypatch.setenv("PEGBOARD_ENV", "development")
    with pytest.raises(StartupError) as caught:
        create_app(plugins=[])
    assert {"PB_SETTING_INVALID"} == {problem.code for problem in caught.value.problems}


@pytest.mark.parametrize(
    "variable, meant",
    [
        ("DATABASE_URI", "DATABASE_URL"),
        ("REDIS_URI", "REDIS_URL"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("secret_key", "SECRET_KEY"),
    ],
)
def test_a_variable_that_is_almost_one_without_a_prefix_is_told_of(
    monkeypatch, variable, meant
) -> None:
    """As a warning, as it may belong to another program; not where the right one is given."""
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CORS_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PEGBOARD_LOG_LEVEL", "WARNING")
    for other in ("PORTS", "HOSTS", "WORKER", "TEST_DATABASE_URL", "DATABASE"):
        monkeypatch.setenv(other, "1")
    monkeypatch.setenv(variable, "1")
    result = CliRunner().invoke(main, ["config", "show"])
    told = f"{variable} is not used: no setting has this name. Did you mean {meant}?"
    assert [told] == [line for line in result.stderr.splitlines() if "is not used" in line]

    monkeypatch.setenv(meant, "")
    assert variable not in CliRunner().invoke(main, ["config", "show"]).stderr


def test_config_show_names_a_variable_once(monkeypatch) -> None:
    """It lists what the start of a service logs."""
    monkeypatch.setenv("PEGBOARD_IMAGE_TAG", "1")
    monkeypatch.setenv("DATABASE_URI", "1")
    monkeypatch.delenv("DATABASE_URL")
    result = CliRunner().invoke(main, ["config", "show"])
    for variable in ("PEGBOARD_IMAGE_TAG", "DATABASE_URI"):
        assert 1 == result.output.count(f"{variable} is not used")

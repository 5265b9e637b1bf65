"""`pegboard config` and `pegboard plugins`: what an operator sees."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.services import run_pegboard

SHOP = """
class ShopSettings(pegboard.Settings):
    page_size: int = pegboard.setting(20, doc="Rows a page holds.")
    token: str | None = pegboard.setting(None, doc="A token.", secret=True)

@pegboard.hookimpl
def pegboard_settings():
    return ShopSettings
"""


@pytest.fixture
def pegboard(plugin_folder: PluginFolder, tmp_path: Path):
    """Run a command where only the plugins of the test are allowed."""

    def run(*arguments: str, **settings: str):
        known = ",".join(name.removeprefix("example_") for name in plugin_folder.packages)
        given = {"PEGBOARD_PLUGINS": known, "PYTHONPATH": str(plugin_folder.path), **settings}
        return run_pegboard(*arguments, directory=tmp_path, **given)

    return run


def row(output: str, key: str) -> list[str]:
    """The cells of one setting."""
    (line,) = (line for line in output.splitlines() if line.split()[0] == key)
    return line.split(maxsplit=3)


@pytest.mark.slow
def test_config_show_prints_value_and_origin_of_every_setting(plugin_folder, pegboard):
    """Of the core and of the plugins; secrets are masked."""
    plugin_folder.add("shop", SHOP)
    done = pegboard("config", "show", PEGBOARD_SHOP_PAGE_SIZE="30", PEGBOARD_SHOP_TOKEN="hunter2")
    assert 0 == done.returncode
    origin = "environment PEGBOARD_SHOP_PAGE_SIZE"
    assert ["SHOP_PAGE_SIZE", "shop", "30", origin] == row(done.stdout, "SHOP_PAGE_SIZE")
    assert "********" == row(done.stdout, "SHOP_TOKEN")[2]
    assert ["PORT", "core", "8000", "default"] == row(done.stdout, "PORT")
    assert "hunter2" not in done.stdout


@pytest.mark.slow
def test_config_check_is_content_with_a_service_that_can_start(plugin_folder, pegboard):
    """It names the active plugins, and settings that keep each other from their effect."""
    plugin_folder.add("shop", SHOP)
    done = pegboard("config", "check", PEGBOARD_KEEP_ALIVE_TIMEOUT="5")
    assert 0 == done.returncode
    assert "Plugins: shop." in done.stdout
    assert "[PB_SETTINGS_CONTRADICT]" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "variable,value",
    [
        ("PEGBOARD_SHOP_PAGE_SIZE", "many"),
        ("DATABASE_URL", "nonsense"),
        ("REDIS_URL", "http://host"),
        ("PEGBOARD_PLUGINS_DISABLED", "shop"),
        ("PEGBOARD_TLS_KEY", "/no/such/file"),
    ],
)
def test_config_check_fails_as_the_start_would(plugin_folder, pegboard, variable, value):
    """Without a trace, with what to do."""
    plugin_folder.add("shop", SHOP)
    plugin_folder.add("extra", requires=["pegboard", "example-shop"])
    done = pegboard("config", "check", **{variable: value})
    assert 1 == done.returncode
    assert "cannot start" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_flask_debug_does_not_turn_on_debug_in_production(plugin_folder, pegboard):
    """The configuration decides."""
    plugin_folder.add(
        "probe",
        """
        import click
        from flask import current_app
        from flask.cli import with_appcontext

        @click.command("probe")
        @with_appcontext
        def probe():
            click.echo(f"debug is {current_app.debug}")

        @pegboard.hookimpl
        def pegboard_commands():
            return [probe]
        """,
    )
    production = {
        "PEGBOARD_ENV": "production",
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuv",
        "DATABASE_URL": "sqlite://",
    }
    assert "debug is False" in pegboard("probe", **production).stdout
    assert "FLASK_DEBUG is on" in pegboard("probe", FLASK_DEBUG="1", **production).stdout
    assert "debug is True" in pegboard("probe", FLASK_DEBUG="0").stdout


@pytest.mark.slow
def test_plugins_list_says_what_is_active_and_what_is_not(plugin_folder, pegboard):
    """With distribution, version, and the reason."""
    plugin_folder.add("shop", SHOP, version="2.1")
    plugin_folder.add("broken", "1 / 0")
    plugin_folder.add("off")
    allowed = {"PEGBOARD_PLUGINS": "shop,broken", "PEGBOARD_PLUGINS_POLICY": "broken=skip"}
    text = pegboard("plugins", "list", **allowed).stdout
    rows = {tuple(re.split(r" {2,}", line)[:3]) for line in text.splitlines()}
    assert {("shop", "example-shop 2.1", "active"), ("off", "example-off 1.0", "disabled")} <= rows
    assert ("broken", "example-broken 1.0", "skipped") in rows
    assert "it cannot be imported" in " ".join(text.split())
    assert "[PB_PLUGIN_IMPORT_FAILED]" in text


@pytest.mark.skipif(bool(entry_points(group="pegboard.plugins")), reason="plugins are installed")
def test_plugins_list_without_a_plugin_says_what_to_do(pegboard):
    """A head without rows would leave a stranger with nothing."""
    assert "No plugin is installed" in pegboard("plugins", "list").stdout


WARNING = """
import logging

@pegboard.hookimpl
def pegboard_setup(app):
    logging.getLogger("shop").warning("the shop is closed")

@pegboard.hookimpl
def pegboard_commands():
    return [click.Command("shop", callback=lambda: None)]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "command, times",
    [("--help", 0), ("shop --help", 0), ("--version", 0), ("shop", 1), ("config check", 1)],
)
def test_a_warning_of_the_start_is_logged_once_and_not_with_the_help(
    plugin_folder, pegboard, command, times
):
    """The help is for someone who does not start anything yet."""
    plugin_folder.add("shop", "import click\n" + WARNING)
    done = pegboard(*command.split())
    assert 0 == done.returncode, done.stdout
    assert times == done.stdout.count("the shop is closed")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["config check", "plugins list"])
def test_a_skipped_plugin_is_shown_once(plugin_folder, pegboard, command):
    """The command itself tells of it, and the log does not again."""
    plugin_folder.add("broken", "1 / 0")
    allowed = {"PEGBOARD_PLUGINS": "broken", "PEGBOARD_PLUGINS_POLICY": "broken=skip"}
    assert 1 == pegboard(*command.split(), **allowed).stdout.count("it cannot be imported")

"""What the commands show and how they exit when the service cannot start."""

import json
import os
from importlib.metadata import version
from pathlib import Path

import click
import flask.cli
import pytest
from click.testing import CliRunner

from pegboard.cli import main
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.services import clean_environment

SHOP = """
import click
from flask.cli import with_appcontext

class ShopSettings(pegboard.Settings):
    endpoint: str = pegboard.setting(doc="Where to send orders.")
    page_size: int = pegboard.setting(20, doc="Rows a page holds.")

@pegboard.hookimpl
def pegboard_settings():
    return ShopSettings

@click.group()
def shop():
    "Run the shop."

@shop.command()
@with_appcontext
def restock():
    click.echo("restocked")

@pegboard.hookimpl
def pegboard_commands():
    return [shop]
"""

VAULT = """
@pegboard.hookimpl
def pegboard_setup(app):
    raise pegboard.StartupError([pegboard.Problem("VAULT_LOST", "no vault", "Buy a vault.")])
"""

FAULTS = {
    "core setting": {"PORT": "many"},
    "configuration": {"PEGBOARD_ENV": "prod"},
    "plugin setting": {"PEGBOARD_SHOP_ENDPOINT": ""},
    "plugin absent": {"PEGBOARD_PLUGINS": "shop,nowhere"},
    "hook": {"PEGBOARD_PLUGINS": "shop,vault"},
    "import": {"PEGBOARD_PLUGINS": "shop,ruin"},
    "database": {"DATABASE_URL": "nonsense"},
    "redis": {"REDIS_URL": "http://host"},
}
"""Settings with which the service cannot start, each for another cause."""


@pytest.fixture
def run(plugin_folder: PluginFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command and return its result; an empty setting is taken away."""
    monkeypatch.chdir(tmp_path)
    plugin_folder.add("shop", SHOP, version="2.1")
    plugin_folder.add("vault", VAULT)
    plugin_folder.add("ruin", "1 / 0")
    given = {"PEGBOARD_PLUGINS": "shop", "PEGBOARD_SHOP_ENDPOINT": "here"}

    def run(line: str, command: click.Group = main, **settings: str):
        chosen = {name: text for name, text in (given | settings).items() if text}
        clean = dict.fromkeys(os.environ) | clean_environment(chosen)
        done = CliRunner(env=clean).invoke(command, line.split())
        assert done.exception is None or isinstance(done.exception, SystemExit)
        assert "Traceback" not in done.output
        return done

    return run


@pytest.mark.parametrize("fault", FAULTS)
def test_help_lists_all_commands_and_says_what_is_broken(run, fault: str) -> None:
    """Those of the plugins that can be read as well; the exit status is 0."""
    done = run("--help", **FAULTS[fault])
    assert 0 == done.exit_code
    assert "the service cannot start, 1 problem:" in done.stderr
    assert "[" in done.stderr
    assert {"db", "serve", "routes", "shop"} <= {
        line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")
    }


@pytest.mark.parametrize("command", ["plugins list", "plugins show ruin", "plugins check"])
def test_a_plugin_is_broken_beside_one_that_is_absent(run, command: str) -> None:
    """The name of the one does not hide the error of the other."""
    done = run(command, PEGBOARD_PLUGINS="shop,ruin,nowhere")
    assert "PB_PLUGIN_IMPORT_FAILED" in done.output
    assert "PB_PLUGIN_NOT_INSTALLED" in done.output
    if command != "plugins check":
        assert "broken" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_the_plugins_and_the_settings_are_shown_with_what_is_broken(run, fault: str) -> None:
    """The problems follow on standard error; what needs an app, and `config check`, fails."""
    plugins = run("plugins list", **FAULTS[fault])
    settings = run("config show", **FAULTS[fault])
    assert "shop example-shop 2.1 " in " ".join(plugins.stdout.split())
    assert {"PORT", "SHOP_PAGE_SIZE"} <= {line.split()[0] for line in settings.stdout.splitlines()}
    for done in (plugins, settings):
        assert 0 == done.exit_code
        assert "the service cannot start, 1 problem:" in done.stderr
    for line in ("config check", "plugins doctor", "db current", "shop restock", "nonsense"):
        done = run(line, **FAULTS[fault])
        assert (1, plugins.stderr) == (done.exit_code, done.stderr), line


def test_each_plugin_is_told_its_state_while_the_service_cannot_start(run) -> None:
    """Nothing is active; what is fine is enabled, what is not says why."""
    done = run(
        "plugins list --json",
        PEGBOARD_PLUGINS="shop,vault,ruin",
        PEGBOARD_PLUGINS_POLICY="ruin=skip",
        PEGBOARD_SHOP_ENDPOINT="",
    )
    states = {
        one["name"]: (one["state"], one["reason"]) for one in json.loads(done.stdout)["plugins"]
    }
    assert ("broken", "PB_SETTING_MISSING") == states["shop"]
    assert ("enabled", None) == states["vault"]
    assert "skipped" == states["ruin"][0]
    assert states["ruin"][1].startswith("it cannot be imported: ZeroDivisionError")
    assert 1 == done.output.count("missing setting SHOP_ENDPOINT")
    assert "Set PEGBOARD_SHOP_ENDPOINT." in done.stderr


def test_a_plugin_that_fails_in_another_file_is_told_which(run, plugin_folder) -> None:
    """The hint has its line, not the module of the entry point."""
    folder = plugin_folder.add("library", "from example_library import resource")
    (folder / "resource.py").write_text("shelves = 1\nraise ValueError('no noun')\n")
    done = run("plugins list", PEGBOARD_PLUGINS="library")
    told = " ".join(done.stdout.split())
    assert "library example-library 1.0 broken: PB_PLUGIN_IMPORT_FAILED " in told
    assert 1 == done.output.count("no noun")
    assert "Fix example_library/resource.py:2, or disable the plugin" in done.stderr
    assert "example_library.plugin" not in done.output


def test_a_value_that_is_refused_is_not_shown_as_if_it_were_in_force(run) -> None:
    """Its origin says that the default stands in; a missing one has no value."""
    shown = run("config show", PORT="many", PEGBOARD_SHOP_ENDPOINT="").stdout
    rows = {line.split()[0]: line.split(maxsplit=2)[2] for line in shown.splitlines()}
    assert "8000" == rows["PORT"].split()[0]
    assert rows["PORT"].endswith("default, for want of a usable value")
    assert "default, for want of a usable value" == rows["SHOP_ENDPOINT"]


@pytest.mark.parametrize(
    "line",
    [
        *("db --help", "db upgrade --help", "db revision --help", "plugins list --help"),
        *("shop --help", "shop restock --help", "serve --help", "config check --help", "--version"),
    ],
)
def test_help_of_a_command_needs_no_service(run, line: str) -> None:
    """Not even that of a plugin's command; nothing else is printed."""
    done = run(line, PORT="many")
    assert (0, "") == (done.exit_code, done.stderr)
    assert "Usage: " in done.stdout or line == "--version"


def test_the_version_is_that_of_pegboard(run) -> None:
    """And of what a report of a fault needs besides."""
    assert run("--version").stdout.startswith(f"Pegboard {version('pegboard')} (Python ")


def test_flask_shows_the_problems_instead_of_a_traceback(run) -> None:
    """The error is Flask's own kind for an app that cannot be loaded."""
    program = flask.cli.cli
    listed = run("--app pegboard --help", program, PORT="many")
    assert 0 == listed.exit_code
    assert "setting PORT (environment PORT): 'many' is not allowed" in listed.stderr
    assert 0 != run("--app pegboard shop restock", program, PORT="many").exit_code


def test_an_explanation_tells_each_problem_once(run) -> None:
    """Those of the plugin are its reasons, those of others follow."""
    done = run("explain shop", PEGBOARD_PLUGINS="shop,ruin", PEGBOARD_SHOP_ENDPOINT="")
    assert 1 == done.output.count("missing setting SHOP_ENDPOINT")
    assert 1 == done.output.count("ZeroDivisionError")
    assert "cannot start, 1 problem:" in done.stderr


@pytest.mark.slow
def test_the_routes_of_a_plugin_that_cannot_be_built_are_not_known(run) -> None:
    """None would be wrong: the app in which they are looked for is built without it."""
    shown = run("plugins show vault", PEGBOARD_PLUGINS="shop,vault").stdout
    assert "routes        not known: the service can only be built without the plugin" in shown
    shown = run("plugins show shop", PEGBOARD_PLUGINS="shop,vault").stdout
    assert "routes        none" in shown
    listed = json.loads(run("plugins list --json", PEGBOARD_PLUGINS="shop,vault").stdout)
    routes = {one["name"]: one["routes"] for one in listed["plugins"]}
    assert (None, []) == (routes["vault"], routes["shop"])

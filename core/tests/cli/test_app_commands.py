"""Commands run by an app's own runner, `app.test_cli_runner()`, as Flask's documentation has it."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from flask import Flask

import pegboard
from pegboard import create_app
from pegboard.cli import main
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.services import clean_environment

SHOP = """
import click

class ShopSettings(pegboard.Settings):
    page_size: int = pegboard.setting(20, doc="Rows a page holds.")

@click.command()
def shop():
    click.echo("a command of the plugin")

@pegboard.hookimpl
def pegboard_settings():
    return ShopSettings

@pegboard.hookimpl
def pegboard_commands():
    return [shop]
"""

SCRIPT = """
import sys
from pegboard import create_app

app = create_app({"ENV": "testing", "SHOP_PAGE_SIZE": 77}, plugins=["shop"])
assert "pegboard.cli" not in sys.modules
result = app.test_cli_runner().invoke(args=sys.argv[1:])
print(result.output)
sys.exit(result.exit_code)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "line,printed",
    [
        ("db upgrade", "site: already at head"),
        ("config show", "SHOP_PAGE_SIZE shop 77 create_app"),
        ("config check", "Plugins: shop."),
        ("plugins list", "shop example-shop 1.0 active"),
        ("cache stats", "strategy"),
        ("routes", "/health/ready"),
        ("shop", "a command of the plugin"),
        ("--help", "serve"),
    ],
)
def test_a_command_needs_no_import_of_the_command_line(
    plugin_folder: PluginFolder, tmp_path: Path, line: str, printed: str
) -> None:
    """Each runs first in a new process, on the app that the runner belongs to."""
    plugin_folder.add("shop", SHOP)
    (tmp_path / "alembic" / "versions").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *line.split()],
        cwd=tmp_path,
        env=clean_environment({"PYTHONPATH": str(plugin_folder.path)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert printed in " ".join(done.stdout.split())


def test_an_app_has_the_commands_of_the_command_line() -> None:
    """`pegboard`, `flask` and the app's own runner offer the same."""
    app = create_app("testing", plugins=[])
    context = click.Context(app.cli)
    commands = {name: app.cli.get_command(context, name) for name in app.cli.list_commands(context)}
    assert main.commands.items() <= commands.items()


def test_a_plugin_may_wrap_its_own_command(make_app: MakeApp) -> None:
    """In a hook that is given the app; no other plugin loses one."""

    class Shop:
        name = "shop"

        @pegboard.hookimpl
        def pegboard_commands(self) -> list[click.Command]:
            return [click.Command("shop", callback=lambda: click.echo("open"))]

        @pegboard.hookimpl
        def pegboard_setup(self, app: Flask) -> None:
            inner = app.cli.commands["shop"]
            app.cli.commands["shop"] = click.Group("shop", commands={"open": inner})

    done = make_app(plugins=[Shop()]).test_cli_runner().invoke(main, ["shop", "open"])
    assert "open\n" == done.output

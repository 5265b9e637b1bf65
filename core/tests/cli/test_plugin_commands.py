"""What `pegboard plugins list`, `show`, `check` and `time` say, and what `--safe` keeps out."""

import json
import os
import sys
import tempfile
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from pegboard.cli import main
from pegboard.plugins import installed_plugins
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.processes import Server, free_port, wait_until
from pegboard.testing.services import COMMAND, LiveServer, clean_environment, run_pegboard

ROOT = Path(__file__).parents[3]

SHOP = """
import time

class ShopSettings(pegboard.Settings):
    page_size: int = pegboard.setting(20, doc="Rows a page holds.")

blueprint = pegboard.Blueprint("shop", __name__)

@blueprint.get("/api/shop/")
@blueprint.response(200)
def read():
    return {"page_size": pegboard.get_settings(ShopSettings).page_size}

@pegboard.hookimpl
def pegboard_settings():
    return ShopSettings

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]

@pegboard.hookimpl
def pegboard_setup(app):
    time.sleep(0.05)
"""

VAULT = """
@pegboard.hookimpl
def pegboard_setup(app):
    raise ValueError("no key fits the lock of this vault, and none of the others that were tried")
"""


class Run(Protocol):
    """Runs a command with settings of the environment."""

    def __call__(self, line: str, **settings: str) -> Result:
        """Run it; an empty setting is taken away."""


@pytest.fixture
def run(plugin_folder: PluginFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command where three plugins are installed, of which two are broken and not allowed."""
    monkeypatch.chdir(tmp_path)
    plugin_folder.add("shop", SHOP, version="2.1")
    plugin_folder.add("vault", VAULT)
    plugin_folder.add("ruin", "1 / 0")

    def run(line: str, **settings: str) -> Result:
        chosen = {"PEGBOARD_PLUGINS": "shop"} | settings
        clean = clean_environment({name: text for name, text in chosen.items() if text})
        done = CliRunner(env=dict.fromkeys(os.environ) | clean).invoke(main, line.split())
        assert done.exception is None or isinstance(done.exception, SystemExit)
        assert "Traceback" not in done.output
        return done

    return run


def states(done: Result) -> dict[str, str]:
    """Return the states of the plugins in a list as JSON."""
    return {one["name"]: one["state"] for one in json.loads(done.stdout)["plugins"]}


COMMANDS = (
    "plugins list",
    "plugins show shop",
    "plugins show vault",
    "plugins check",
    "plugins time",
    "plugins doctor",
    "explain GET /api/shop/",
    "explain vault",
    "explain shop",
)

FAULTS = {
    "core setting": {"PORT": "many"},
    "plugin setting": {"PEGBOARD_SHOP_PAGE_SIZE": "many"},
    "plugin absent": {"PEGBOARD_PLUGINS": "shop,nowhere"},
    "import": {"PEGBOARD_PLUGINS": "shop,ruin"},
    "hook": {"PEGBOARD_PLUGINS": "shop,vault"},
}
"""Settings with which the service cannot start, each for another cause."""

OF_THE_FAULT = {"plugin setting": "explain shop", "hook": "explain vault"}
"""The command that tells the problem as the reason why its plugin is not active."""


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_imports_a_plugin_off_the_allow_list(run: Run, command: str) -> None:
    """Also not the one that is asked about."""
    run(command)
    assert "example_shop.plugin" in sys.modules
    assert not {"example_vault.plugin", "example_ruin.plugin"} & {*sys.modules}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_every_command_works_when_the_service_cannot_start(run: Run, fault: str) -> None:
    """It prints what it can, and why the service cannot start on standard error."""
    for command in COMMANDS:
        done = run(command, **FAULTS[fault])
        assert done.stdout, command
        if "check" in command:
            assert "the service cannot start" in done.stdout
        elif command == OF_THE_FAULT.get(fault):
            assert "NO   " in done.stdout
            assert not done.stderr
        else:
            assert "the service cannot start, 1 problem:" in done.stderr, command
        assert (command in {"plugins check", "plugins doctor"}) == bool(done.exit_code), command


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["", "Metadata-Version: 2.1\n", "Name: !\nVersion: banana\n"])
def test_every_command_works_beside_broken_metadata(
    run: Run, plugin_folder: PluginFolder, damage: str
) -> None:
    """Of a plugin, which is told of where it is asked for, and of any other distribution."""
    for name, group in (("bare", "pegboard.plugins"), ("other", "console_scripts")):
        metadata = plugin_folder.path / f"example_{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = example_{name}\n")
        if damage:
            (metadata / "METADATA").write_text(damage)
    for command in COMMANDS:
        assert 0 == run(command).exit_code, command
    assert "NO   metadata" in run("explain bare").stdout
    assert "[PB_PLUGIN_METADATA_INVALID]" in run("plugins check", PEGBOARD_PLUGINS="bare").stdout


@pytest.mark.slow
def test_the_list_fits_a_terminal_and_says_everything_on_demand(run: Run) -> None:
    """Long reasons are wrapped; with `--wide` each plugin is one line."""
    settings = {"PEGBOARD_PLUGINS": "shop,vault", "PEGBOARD_PLUGINS_POLICY": "vault=skip"}
    done = run("plugins list", **settings)
    lines = done.stdout.splitlines()
    assert ["NAME", "DISTRIBUTION", "STATE", "CLAIMS"] == lines[0].split()[:4]
    assert 80 >= max(map(len, lines))
    assert "[PB_HOOK_FAILED]" in done.stdout
    wide = run("plugins list --wide", **settings).stdout.splitlines()
    assert 1 + len(installed_plugins()) == len(wide)
    row = next(line for line in wide if line.startswith("vault "))
    assert "vault example-vault 1.0 skipped: pegboard_setup failed: Value" in " ".join(row.split())


def test_a_plugin_is_shown_with_what_it_contributes(run: Run) -> None:
    """Hooks, routes, tables, settings, migrations, and what its start has cost."""
    found = json.loads(run("plugins show shop --json").stdout)
    assert 50 <= found.pop("start_ms")
    assert {
        "name": "shop",
        "distribution": "example-shop",
        "version": "2.1",
        "first_party": False,
        "state": "active",
        "reason": None,
        "claimed_grade": None,
        "requires": ["pegboard"],
        "hooks": ["pegboard_blueprints", "pegboard_settings", "pegboard_setup"],
        "routes": ["GET /api/shop/"],
        "stages": [],
        "services": {"provides": [], "requires": []},
        "tables": [],
        "settings": ["SHOP_PAGE_SIZE"],
        "commands": [],
        "health_checks": [],
        "migrations": None,
    } == {**found, "hooks": sorted(found["hooks"])}
    assert "GET /api/shop/" in run("plugins show shop").stdout
    done = run("plugins show shpo")
    assert (1, "Error: shpo is not installed. Did you mean shop?\n") == (
        done.exit_code,
        done.stderr,
    )


MAIL = """
class Mailer:
    pass

class Journal:
    name, order = "journal", 450

    def bind(self, route):
        return None

@pegboard.hookimpl
def pegboard_stages(app):
    return [Journal()]

@pegboard.hookimpl.provides(Mailer)
def mailer():
    return Mailer()
"""

NEWS = """
from example_mail.plugin import Mailer

@pegboard.hookimpl
def pegboard_requires():
    return [Mailer]
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", "PORT", "vault", "mail"])
def test_a_plugin_is_shown_with_its_stages_and_services(
    run: Run, plugin_folder: PluginFolder, fault: str
) -> None:
    """Also when the service cannot start; the stages are not known if no app has the plugin."""
    plugin_folder.add("mail", MAIL + VAULT * (fault == "mail"))
    plugin_folder.add("news", NEWS)
    settings = {"PEGBOARD_PLUGINS": "mail,news" + ",vault" * (fault == "vault")}
    settings |= {"PORT": "many"} if fault == "PORT" else {}
    mail, news = (
        json.loads(run(f"plugins show {one} --json", **settings).stdout) for one in ("mail", "news")
    )
    mailer = "example_mail.plugin.Mailer"
    assert {"provides": [mailer], "requires": []} == mail["services"]
    assert {"provides": [], "requires": [mailer]} == news["services"]
    if fault == "mail":
        assert None is mail["stages"]
    else:
        assert ([{"name": "journal", "order": 450}], []) == (mail["stages"], news["stages"])
    lines = run("plugins show mail", **settings).stdout.splitlines()
    assert f"  services      provides {mailer}" in lines
    assert ("  stages        450  journal" in lines) == (fault != "mail")
    told = " ".join(run("explain mail", **settings).stdout.split())
    assert f"yes provides the service {mailer}, required by news" in told
    told = " ".join(run("explain news", **settings).stdout.split())
    assert f"yes requires the service {mailer}, provided by mail" in told


@pytest.mark.parametrize("command", ["plugins show", "explain", "plugins remove --yes"])
def test_a_plugin_is_meant_by_the_name_of_its_distribution(run: Run, command: str) -> None:
    """However it is spelled."""
    done = run(f"{command} Example_Shop")
    assert (0, "shop") == (done.exit_code, done.stdout[:4])


def test_one_of_several_plugins_of_a_distribution_is_named(
    run: Run, plugin_folder: PluginFolder
) -> None:
    """What removes data does not choose among them."""
    plugin_folder.add("twin")
    with next(plugin_folder.path.glob("example_twin*.dist-info/entry_points.txt")).open(
        "a"
    ) as file:
        file.write("other = example_twin.plugin\n")
    done = run("plugins remove example-twin")
    message = "Error: example-twin has several plugins, other, twin: name one of them\n"
    assert (1, message) == (done.exit_code, done.stderr)


@pytest.mark.slow
def test_the_state_of_the_schema_is_that_of_the_database(
    run: Run, plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """No file of SQLite is made by looking; an unavailable database is told of."""
    plugin_folder.add_table("notes")
    settings = {"PEGBOARD_PLUGINS": "notes", "DATABASE_URL": f"sqlite:///{tmp_path / 'a.db'}"}

    def migrations(**more: str) -> dict[str, object]:
        done = run("plugins show notes --json", **settings | more)
        found: dict[str, object] = json.loads(done.stdout)["migrations"]
        return found

    assert {"state": "behind", "current": [], "heads": ["notes_0001"]} == migrations()
    assert not (tmp_path / "a.db").exists()
    run("db upgrade", **settings)
    assert "head" == migrations()["state"]
    (tmp_path / "site" / "example_notes" / "migrations" / "notes_0001.py").unlink()
    assert "ahead" == migrations()["state"]
    unreachable = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    assert {"state": "unknown"} == migrations(**unreachable)
    revision = tmp_path / "site" / "example_notes" / "migrations" / "notes_0002.py"
    for command in ("plugins list", "plugins show notes"):
        done = run(command, **settings | unreachable)
        assert "How far the database is migrated is not known: Connection refused" in done.stderr
        revision.write_text("1 +\n")
        assert "at example_notes/migrations/notes_0002.py:1" in run(command, **settings).stderr
        revision.unlink()


@pytest.mark.slow
def test_a_check_finds_what_a_start_would_find_only_later(run: Run) -> None:
    """A hook that fails while the app is built, beside a plugin that cannot be imported."""
    settings = {"PEGBOARD_PLUGINS": "shop,vault,ruin"}
    done = run("plugins check --json", **settings)
    content = json.loads(done.stdout)
    assert (1, False) == (done.exit_code, content["can_start"])
    assert {("ruin", "PB_PLUGIN_IMPORT_FAILED"), ("vault", "PB_HOOK_FAILED")} == {
        (one["plugin"], one["code"]) for one in content["problems"]
    }
    done = run("plugins check", PEGBOARD_PLUGINS_POLICY="*=skip", **settings)
    assert 1 == done.exit_code
    assert "2 problems; the service starts without what is skipped." in done.stdout
    done = run("plugins check")
    assert (0, "No problem. Plugins: shop.\n") == (done.exit_code, done.stdout)
    done = run("plugins check", PEGBOARD_SOLD="1")
    assert 0 == done.exit_code
    assert "PEGBOARD_SOLD is not used" in done.stderr


CHANGING = {
    "import": "raise ValueError(uuid.uuid4())",
    "one hook": """
@pegboard.hookimpl
def pegboard_models():
    raise ValueError(uuid.uuid4())
""",
    "two hooks": """
def fail():
    raise ValueError(uuid.uuid4())

@pegboard.hookimpl
def pegboard_models():
    fail()

@pegboard.hookimpl
def pegboard_blueprints():
    fail()
""",
    "set-up": """
@pegboard.hookimpl
def pegboard_setup(app):
    raise ValueError(uuid.uuid4())
""",
}
"""Code of plugins whose errors read otherwise each time."""


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["", "mill=skip", "*=skip"])
@pytest.mark.parametrize("others", [[], ["ruin", "vault"]], ids=["alone", "beside others"])
@pytest.mark.parametrize("place", CHANGING)
def test_a_mistake_is_told_once_whatever_its_text(
    plugin_folder: PluginFolder, run: Run, place: str, others: list[str], policy: str
) -> None:
    """The app is tried several times; what is wrong in two places is still two mistakes."""
    plugin_folder.add("mill", f"import uuid\n{CHANGING[place]}")
    allowed = ",".join(["mill", *others])
    done = run("plugins check --json", PEGBOARD_PLUGINS=allowed, PEGBOARD_PLUGINS_POLICY=policy)
    mistakes = ["mill"] * (2 if place == "two hooks" else 1)
    told = [one["plugin"] for one in json.loads(done.stdout)["problems"]]
    assert [*mistakes, *others] == sorted(told)


BULB = """
class Light:
    pass

{service}

@pegboard.hookimpl
def pegboard_health_checks({argument}):
    return []
"""
PROVIDED = "@pegboard.hookimpl.provides(Light)\ndef light():\n    return {light}"


@pytest.mark.parametrize(
    "service,argument",
    [
        (PROVIDED.format(light="Light()"), "wrong"),
        (PROVIDED.format(light="object()"), ""),
    ],
)
def test_a_plugin_that_lacks_the_service_of_a_broken_one_is_not_accused(
    run: Run, plugin_folder: PluginFolder, service: str, argument: str
) -> None:
    """Only the mistake is told."""
    plugin_folder.add("bulb", BULB.format(service=service, argument=argument))
    code = """
import example_bulb.plugin

@pegboard.hookimpl
def pegboard_requires():
    return [example_bulb.plugin.Light]
"""
    plugin_folder.add("lamp", code, requires=["pegboard", "example-bulb"])
    done = run("plugins check --json", PEGBOARD_PLUGINS="bulb,lamp")
    assert ["bulb"] == [one["plugin"] for one in json.loads(done.stdout)["problems"]]


def test_the_cost_of_the_start_is_a_tree_by_plugin_and_hook(run: Run) -> None:
    """What sleeps has its time; the parts of a whole are not more than it."""
    core, *plugins = json.loads(run("plugins time --json").stdout)
    assert "core" == core["name"]
    assert ["shop"] == [one["name"] for one in plugins]
    parts = {one["name"]: one["ms"] for one in plugins[0]["parts"]}
    assert {"import", "pegboard_setup", "pegboard_blueprints", "register blueprints"} <= {*parts}
    assert 50 <= parts["pegboard_setup"]
    assert pytest.approx(plugins[0]["ms"], abs=0.1) == sum(parts.values())
    assert sum(one["ms"] for one in core["parts"]) <= core["ms"] + 0.1
    assert "└─ pegboard_setup" in run("plugins time").stdout


@pytest.mark.slow
def test_no_third_party_plugin_is_imported_where_all_is_to_be_safe(run: Run) -> None:
    """With the option of any command, or the variable; the lists still hold."""
    everything = {"PEGBOARD_PLUGINS": ",".join(one.name for one in installed_plugins())}
    for line, settings in (
        ("--safe plugins list --json", {}),
        ("plugins list --json", {"PEGBOARD_SAFE": "1"}),
    ):
        found = states(run(line, **everything, **settings))
        ours = {one.name for one in installed_plugins() if one.is_first_party}
        assert ours == {name for name, state in found.items() if state == "active"}
        assert not {"example_shop", "example_vault", "example_ruin"} & {*sys.modules}
    done = run("--safe explain shop", **everything)
    assert "shop (example-shop 2.1): disabled" in done.stdout
    assert "Start without --safe and PEGBOARD_SAFE." in done.stdout
    assert "option --safe" in run("--safe config show", **everything).stdout


def test_a_requirement_that_is_not_met_is_told_once(run: Run, plugin_folder: PluginFolder) -> None:
    """Though the service cannot start for it; what else is wrong is told by another command."""
    plugin_folder.add("lamp", requires=["pegboard", "example-bulb"])
    plugin_folder.add("door", requires=["pegboard", "example-hinge"])
    told = " ".join(run("explain lamp", PEGBOARD_PLUGINS="lamp,door").output.split())
    assert 1 == told.count("it requires example-bulb")
    assert 1 == told.count("pip install 'example-bulb'")
    assert 1 == told.count("it requires example-hinge")
    assert "it cannot start, because of: door" in told


@pytest.mark.slow
def test_safe_by_a_word_that_means_nothing_is_safe(run: Run) -> None:
    """Who sets it wants no third-party plugin to be run, whatever else is wrong."""
    installed = installed_plugins()
    names = {"PEGBOARD_PLUGINS": ",".join(one.name for one in installed)}
    found = states(run("plugins list --json", PEGBOARD_SAFE="perhaps", **names))
    assert {one.name for one in installed if one.is_first_party} == {
        name for name, state in found.items() if state == "enabled"
    }
    done = run("explain shop", PEGBOARD_SAFE="perhaps", **names)
    # Of lines as wide as a terminal.
    told = " ".join(done.stdout.split())
    assert "NO safe PEGBOARD_SAFE (--safe) is on (for want of a usable value)" in told
    assert not {"example_shop", "example_vault", "example_ruin"} & {*sys.modules}


def test_our_own_plugins_are_those_of_this_repository() -> None:
    """Each is told by the name of its distribution, without an import."""
    from pegboard.plugins.discovery import FIRST_PARTY  # noqa: PLC0415 - only here

    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    assert {f"pegboard-{name.replace('_', '-')}" for name in folders} == FIRST_PARTY


@pytest.mark.slow
def test_the_commands_of_a_distribution_whose_plugin_is_kept_out_are_not_imported(
    run: Run, plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """It may add commands to `flask`, which are found without the plugin."""
    metadata = next(plugin_folder.path.glob("example_ruin-*.dist-info"))
    with (metadata / "entry_points.txt").open("a", encoding="utf-8") as file:
        file.write("[flask.commands]\nruin = example_ruin.plugin:command\n")
    # A process of its own, as these commands are loaded once.
    settings = {"PYTHONPATH": str(plugin_folder.path), "PEGBOARD_PLUGINS": "shop"}
    done = run_pegboard("routes", directory=tmp_path, **settings)
    assert 0 == done.returncode, done.stdout


IMPORTS = """
import sys

@pegboard.hookimpl
def pegboard_setup(app):
    @app.get("/modules")
    def modules():
        return sorted(name for name in sys.modules if name.startswith(("pegboard.", "example_")))
"""


@pytest.mark.slow
def test_a_service_is_safe_too_and_loads_nothing_that_only_looks_at_it(
    plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """Its workers get the option of the command, and the packages of the commands stay out."""
    plugin_folder.add("ruin", "1 / 0")
    plugin_folder.add("eye", IMPORTS)
    settings = {
        "PYTHONPATH": str(plugin_folder.path),
        "PEGBOARD_PLUGINS": "eye",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'a.db'}",
    }
    with LiveServer(**settings) as server:
        modules = json.loads(server.request("GET", "/modules")[1])
    assert "pegboard.cli.serve" in modules
    assert not {"pegboard.inspection", "pegboard.testing", "pegboard.cli.dev"} & {*modules}
    port = free_port()
    with Server(
        [*COMMAND, "--safe", "serve"],
        port=port,
        directory=Path(tempfile.mkdtemp(prefix="pegboard-")),
        environment=clean_environment(
            {**settings, "PEGBOARD_PLUGINS": "eye,ruin", "PORT": str(port)}
        ),
    ) as safe:
        wait_until(lambda: "Plugins: " in safe.output, "the service has started")
        assert "Plugins: none" in safe.output
        with closing(HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("GET", "/modules")
            assert 404 == connection.getresponse().status

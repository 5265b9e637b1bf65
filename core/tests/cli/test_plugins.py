"""What `pegboard plugins` lists, says of what is left in a database, and removes."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from flask import Flask

from pegboard import db
from pegboard.cli import main
from pegboard.plugins import installed_plugins
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI
from pegboard.testing.services import clean_environment


def tables(app: Flask) -> set[str]:
    """Return the names of the tables in the database."""
    with app.app_context():
        return {*sa.inspect(db.engine).get_table_names()}


def execute_in(app: Flask, *statements: str) -> None:
    """Execute statements in the database."""
    with app.app_context(), db.engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def lose_version_table(app: Flask) -> None:
    """Drop the version table of notes."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version_notes"))


@pytest.fixture
def notes(plugin_folder: PluginFolder) -> None:
    """Install a plugin with a table."""
    plugin_folder.add_table("notes")


@pytest.fixture
def forget(plugin_folder: PluginFolder) -> Callable[[], None]:
    """Uninstall the plugin, as far as its metadata goes."""

    def forget() -> None:
        for metadata in plugin_folder.path.glob("example_notes-*.dist-info"):
            shutil.rmtree(metadata)

    return forget


@pytest.mark.slow
@pytest.mark.usefixtures("notes")
def test_no_data_of_an_installed_plugin_is_to_be_dropped(
    make_app: MakeApp, sqlite_url: str, cli: RunCLI, forget: Callable[[], None]
) -> None:
    """It is disabled, or was skipped because it is broken; that of an absent one may go."""
    make_app(plugins=["notes"], DATABASE_URL=sqlite_url)

    app = make_app(plugins=[], DATABASE_URL=sqlite_url)
    done = cli("plugins", "doctor", app=app)
    assert 1 == done.exit_code
    assert "history notes: its plugin is installed, and not active\n" in done.stdout
    assert "table notes: belongs to no active plugin\n" in done.stdout
    assert done.stderr.startswith("Drop nothing of an installed plugin: pegboard plugins list says")
    assert "plugins remove" not in done.stderr

    forget()
    done = cli("plugins", "doctor", app=app)
    assert "history notes: its plugin is absent\n" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("Activate an absent plugin again, or drop its")


@pytest.mark.slow
@pytest.mark.usefixtures("notes")
def test_a_table_without_a_version_table_may_be_of_an_installed_plugin(
    make_app: MakeApp,
    sqlite_url: str,
    cli: RunCLI,
    forget: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after an incomplete restore: only if no plugin is inactive it may be dropped."""
    lose_version_table(make_app(plugins=["notes"], DATABASE_URL=sqlite_url))
    app = make_app(plugins=[], DATABASE_URL=sqlite_url)
    done = cli("plugins", "doctor", app=app)
    assert (1, "table notes: belongs to no active plugin\n") == (done.exit_code, done.stdout)
    assert "A table of no active plugin may be of one of these: " in done.stderr
    assert "notes" in done.stderr
    assert "plugins remove" not in done.stderr

    forget()
    module = sys.modules["pegboard.cli.plugins_doctor"]
    monkeypatch.setattr(module, "installed_plugins", tuple)
    assert cli("plugins", "doctor", app=app).stderr.startswith("Activate an absent plugin again")


@pytest.mark.usefixtures("notes")
def test_a_plugin_that_is_gone_is_removed(
    make_app: MakeApp, database_url: str, cli: RunCLI, forget: Callable[[], None]
) -> None:
    """The database says which tables are its."""
    other = "CREATE TABLE others (id INTEGER PRIMARY KEY)"
    make_app(plugins=["notes"], DATABASE_URL=database_url)
    app = make_app(plugins=[], DATABASE_URL=database_url)
    execute_in(app, other)
    forget()
    done = cli("plugins", "remove", "notes", app=app, input="n\n")
    assert 1 == done.exit_code
    assert "Drop all data of notes (notes, which example-notes 1.0 has created)?" in done.stdout
    assert {"alembic_version_notes", "notes", "others"} == tables(app)
    done = cli("plugins", "remove", "notes", "--yes", app=app)
    assert (0, "The data of notes is dropped: notes.\n") == (done.exit_code, done.output)
    assert {"others"} == tables(app)
    done = cli("plugins", "remove", "notes", "--yes", app=app)
    assert 1 == done.exit_code
    assert "notes is not installed, and the database has no version table of it" in done.stderr


@pytest.mark.usefixtures("notes")
def test_of_a_plugin_that_is_gone_nothing_is_dropped_that_others_need(
    make_app: MakeApp, database_url: str, cli: RunCLI, forget: Callable[[], None]
) -> None:
    """Nor anything where the database does not say what is its."""
    make_app(plugins=["notes"], DATABASE_URL=database_url)
    app = make_app(plugins=[], DATABASE_URL=database_url)
    forget()
    execute_in(app, "CREATE TABLE pins (note INTEGER REFERENCES notes (id))")
    done = cli("plugins", "remove", "notes", "--yes", app=app)
    assert 1 == done.exit_code
    assert "notes: table pins refers to its table notes" in done.stderr

    execute_in(app, "DROP TABLE pins", "UPDATE alembic_version_notes SET record = NULL")
    done = cli("plugins", "remove", "notes", "--yes", app=app)
    assert 1 == done.exit_code
    assert "the database does not say which tables are its" in done.stderr
    assert {"alembic_version_notes", "notes"} == tables(app)


@pytest.mark.usefixtures("notes")
def test_what_is_removed_is_told_truly(make_app: MakeApp, sqlite_url: str, cli: RunCLI) -> None:
    """Without a version table nothing is dropped, as the table may be another program's."""
    app = make_app(plugins=["notes"], DATABASE_URL=sqlite_url)
    lose_version_table(app)
    done = cli("plugins", "remove", "notes", "--yes", app=app)
    assert 0 == done.exit_code
    assert done.stdout.startswith("Nothing is dropped: the database has no version table of notes.")
    assert {"notes"} == tables(app)


def test_a_plugin_without_migrations_has_nothing_to_remove(
    make_app: MakeApp, plugin_folder: PluginFolder, cli: RunCLI
) -> None:
    """Nothing is asked, and nothing failed."""
    plugin_folder.add("bare")
    done = cli("plugins", "remove", "bare", app=make_app(plugins=["bare"]))
    assert 0 == done.exit_code
    assert "bare has no migrations, and so no data in the database.\n" == done.stdout


@pytest.mark.parametrize("policy", ["", "twin=skip"])
def test_two_plugins_of_one_name_have_a_row_each(
    plugin_folder: PluginFolder, tmp_path: Path, policy: str
) -> None:
    """Each names the other's distribution, and not its own."""
    plugin_folder.add("twin", distribution="example-one")
    plugin_folder.add("twin", distribution="example-two")
    environment = {
        "PEGBOARD_PLUGINS": "twin",
        "PEGBOARD_PLUGINS_POLICY": policy,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'twin.db'}",
        "PEGBOARD_CACHE": "none",
        "PEGBOARD_SESSIONS": "cookie",
    }
    clean = dict.fromkeys(os.environ) | clean_environment(environment)
    done = CliRunner(env=clean).invoke(main, ["plugins", "list", "--wide"])
    state = "skipped" if policy else "broken"
    assert {
        f"twin example-{one} 1.0 {state}: example-{other} 1.0 has a plugin of the same name "
        "[PB_COLLISION_PLUGIN_NAME]"
        for one, other in (("one", "two"), ("two", "one"))
    } == {" ".join(line.split()) for line in done.stdout.splitlines() if line.startswith("twin ")}


ADDS_KEY = """
    op.create_table("pins_of_notes", sa.Column("note_id", sa.Integer, sa.ForeignKey("notes.id")))
"""


@pytest.mark.parametrize("command", [("plugins", "remove", "notes", "--yes"), ("db", "downgrade")])
@pytest.mark.parametrize("is_installed", [True, False])
@pytest.mark.usefixtures("notes")
def test_a_table_of_a_disabled_plugin_is_not_to_be_dropped(
    plugin_folder: PluginFolder,
    make_app: MakeApp,
    sqlite_url: str,
    cli: RunCLI,
    command: tuple[str, ...],
    *,
    is_installed: bool,
) -> None:
    """Where it refers to the tables that would go: its plugin is to be activated first."""
    required = ["pegboard", "example-notes"]
    plugin_folder.add_table("pins", upgrade=ADDS_KEY, requires=required)
    plugin_folder.add("quiet")
    make_app(plugins=["notes", "pins"], DATABASE_URL=sqlite_url)
    if not is_installed:
        for name in ("pins", "quiet"):
            for metadata in plugin_folder.path.glob(f"example_{name}-*.dist-info"):
                shutil.rmtree(metadata)
    installed = {"notes", "pins", "quiet"} if is_installed else {"notes"}
    assert installed <= {one.name for one in installed_plugins()}
    app = make_app(plugins=["notes"], upgrade=False, DATABASE_URL=sqlite_url)
    words = (*command, "notes", "base") if command[0] == "db" else command

    done = cli(*words, app=app)

    assert 1 == done.exit_code
    assert "table pins_of_notes refers to its table notes; " in done.stderr
    if is_installed:
        assert "the table is of pins, installed and not active: drop nothing" in done.stderr
        assert "run pegboard plugins remove with its name first, or activate it" in done.stderr
    else:
        assert "the table is of" not in done.stderr
    assert {"notes", "pins", "pins_of_notes"} <= tables(app)


BROKEN = """
@pegboard.hookimpl
def pegboard_setup(app):
    raise ValueError("broken")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("notes")
def test_a_plugin_is_removed_while_another_one_keeps_the_service_from_starting(
    plugin_folder: PluginFolder, sqlite_url: str, make_app: MakeApp
) -> None:
    """Unless the other one requires it: its tables may refer to those that would go."""
    app = make_app(plugins=["notes"], DATABASE_URL=sqlite_url)
    plugin_folder.add("vault", BROKEN)
    plugin_folder.add("pins", BROKEN, requires=["pegboard", "example-notes"])

    def remove(others: str) -> Result:
        settings = {"PEGBOARD_PLUGINS": f"notes,{others}", "DATABASE_URL": sqlite_url}
        clean = dict.fromkeys(os.environ) | clean_environment(settings)
        return CliRunner(env=clean).invoke(main, ["plugins", "remove", "notes", "--yes"])

    done = remove("pins")
    assert (1, True) == (done.exit_code, "notes is required by pins" in done.stderr)
    assert {"alembic_version_notes", "notes"} == tables(app)
    done = remove("vault")
    assert 0 == done.exit_code, done.output
    assert "this is what could be built without vault" in done.stderr
    assert set() == tables(app)
    done = CliRunner(env={"PORT": "many"}).invoke(main, ["plugins", "remove", "notes", "--yes"])
    assert (1, True) == (done.exit_code, "the service cannot start" in done.stderr)


IMPORT_FAILS = "raise SyntaxError('no version of this plugin works')\n"


@pytest.mark.slow
@pytest.mark.parametrize("state", ["import fails", "set-up fails", "disabled", "skipped", "gone"])
def test_the_data_of_two_plugins_is_removed_whatever_the_state_of_the_second(
    plugin_folder: PluginFolder, sqlite_url: str, make_app: MakeApp, state: str
) -> None:
    """The order that the messages name leads to the end, without an uninstallation."""
    plugin_folder.add_table("notes")
    required = ["pegboard", "example-notes"]
    pins = plugin_folder.add_table("pins", upgrade=ADDS_KEY, requires=required)
    app = make_app(plugins=["notes", "pins"], DATABASE_URL=sqlite_url)
    if state == "gone":
        for metadata in plugin_folder.path.glob("example_pins-*.dist-info"):
            shutil.rmtree(metadata)
    elif state != "disabled":
        source = BROKEN if state == "set-up fails" else IMPORT_FAILS
        (pins / "plugin.py").write_text(f"import pegboard\n{source}")
        del sys.modules["example_pins.plugin"]
    is_off = state in {"disabled", "gone"}
    is_required = state.endswith("fails") or state == "skipped"

    def remove(name: str, *, without_pins: bool = is_off) -> Result:
        settings = {
            "PEGBOARD_PLUGINS": "notes" if without_pins else "notes,pins",
            "PEGBOARD_PLUGINS_POLICY": "pins=skip" if state == "skipped" else "",
            "DATABASE_URL": sqlite_url,
        }
        clean = dict.fromkeys(os.environ) | clean_environment(settings)
        return CliRunner(env=clean).invoke(main, ["plugins", "remove", name, "--yes"])

    refused = remove("notes")
    assert 1 == refused.exit_code
    assert ("notes is required by pins" if is_required else "refers to") in refused.stderr
    done = remove("pins")
    assert 0 == done.exit_code, done.output
    if state != "gone":
        assert "pins is not active (" in done.stderr
        assert "Uninstall example-pins 1.0, or disable it" in done.stdout
    assert {"alembic_version_notes", "notes"} == tables(app)
    again = remove("pins")
    assert 1 == again.exit_code
    assert "the database has no version table of it" in again.stderr
    assert 0 == remove("notes", without_pins=True).exit_code
    assert set() == tables(app)

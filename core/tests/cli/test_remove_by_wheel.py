"""What `pegboard plugins remove --wheel` does with the data of a plugin that is gone."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from pegboard import db
from pegboard.plugins import installed_plugins
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI

SETTINGS = """
class Mine(pegboard.Settings):
    endpoint: str = pegboard.setting(doc="Where to send notes.")

@pegboard.hookimpl
def pegboard_settings():
    return Mine
"""


def tables(app: Flask) -> set[str]:
    """Return the names of the tables in the database."""
    with app.app_context():
        return {*sa.inspect(db.engine).get_table_names()}


def execute_in(app: Flask, statement: str) -> None:
    """Execute a statement in the database."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text(statement))


@pytest.fixture
def wheel(plugin_folder: PluginFolder, tmp_path: Path) -> Callable[[], Path]:
    """Put all plugins of the folder into a wheel, as they are, and uninstall them."""

    def build() -> Path:
        path = tmp_path / "notes.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for file in plugin_folder.path.rglob("*"):
                if "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(plugin_folder.path))
        for folder in [one for one in plugin_folder.path.iterdir() if one.is_dir()]:
            shutil.rmtree(folder)
        return path

    return build


@pytest.mark.slow
def test_the_revisions_in_a_wheel_are_undone(
    plugin_folder: PluginFolder,
    make_app: MakeApp,
    database_url: str,
    cli: RunCLI,
    wheel: Callable[[], Path],
) -> None:
    """Without a record of its tables, without its settings, and without installing it."""
    folder = plugin_folder.add_table("notes", upgrade='op.execute("CREATE VIEW shown AS SELECT 1")')
    revision = folder / "migrations/notes_0001.py"
    revision.write_text(f'{revision.read_text()}    op.execute("DROP VIEW shown")\n')
    make_app(plugins=["notes"], DATABASE_URL=database_url)
    (folder / "plugin.py").write_text((folder / "plugin.py").read_text() + SETTINGS)
    app = make_app(plugins=[], DATABASE_URL=database_url)
    execute_in(app, "UPDATE alembic_version_notes SET record = NULL")
    path = str(wheel())
    assert "or with --wheel and its wheel" in cli("plugins", "remove", "notes", app=app).stderr
    done = cli("plugins", "remove", "notes", "--wheel", path, app=app, input="n\n")
    assert 1 == done.exit_code
    assert "Drop all data of notes (notes) by the revisions of example-notes 1.0?" in done.stdout
    assert {"alembic_version_notes", "notes"} == tables(app)
    done = cli("plugins", "remove", "notes", "--wheel", path, "--yes", app=app)
    assert (0, "notes: notes_0001 (downgraded)\nThe data of notes is dropped: notes.\n") == (
        done.exit_code,
        done.output,
    )
    assert set() == tables(app)
    with app.app_context():
        assert [] == sa.inspect(db.engine).get_view_names()
    assert "notes" not in {one.name for one in installed_plugins()}
    done = cli("plugins", "remove", "notes", "--wheel", path, "--yes", app=app)
    assert "the database has no version table of notes: there is nothing to drop" in done.stderr


def no_zip(path: Path) -> None:
    """A download that ended early."""
    path.write_bytes(path.read_bytes()[:200])


def damaged(path: Path) -> None:
    """A compressed file of which some bytes are others."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("example_notes/data.txt", "0123456789" * 100)
        start = archive.getinfo("example_notes/data.txt").header_offset
    content = bytearray(path.read_bytes())
    begin = start + 30 + len("example_notes/data.txt")
    content[begin : begin + 4] = b"\xff" * 4
    path.write_bytes(content)


def no_module(path: Path) -> None:
    """A wheel without a file that its plugin imports."""
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("example_notes/plugin.py", "import stripe_of_nobody")


def no_version(path: Path) -> None:
    """Metadata that no installer would take."""
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("example_notes-1.0.dist-info/METADATA", "Name: example-notes\n")


REFUSED: dict[Callable[[Path], None], str] = {
    no_zip: "notes.whl is no wheel that can be read: File is not a zip file. Without --wheel",
    damaged: "notes.whl is no wheel that can be read: Error -3 while decompressing data",
    no_module: (
        "the plugin in notes.whl cannot be used: it cannot be imported: ModuleNotFoundError: No "
        "module named 'stripe_of_nobody', at example_notes/plugin.py:1. Without --wheel"
    ),
    no_version: "is broken: there is no version. Without --wheel",
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda one: one.__name__)
def test_a_broken_wheel_is_refused(
    plugin_folder: PluginFolder,
    make_app: MakeApp,
    sqlite_url: str,
    cli: RunCLI,
    wheel: Callable[[], Path],
    spoil: Callable[[Path], None],
) -> None:
    """Before anything is asked or dropped."""
    plugin_folder.add_table("notes")
    make_app(plugins=["notes"], DATABASE_URL=sqlite_url)
    app, path = make_app(plugins=[], DATABASE_URL=sqlite_url), wheel()
    spoil(path)
    done = cli("plugins", "remove", "notes", "--yes", "--wheel", str(path), app=app)
    assert (1, "") == (done.exit_code, done.stdout)
    assert REFUSED[spoil] in done.stderr
    assert {"alembic_version_notes", "notes"} == tables(app)


def test_a_wheel_that_does_not_fit_is_refused(
    plugin_folder: PluginFolder,
    make_app: MakeApp,
    sqlite_url: str,
    cli: RunCLI,
    wheel: Callable[[], Path],
) -> None:
    """One of another plugin or another release, or with a table that another plugin has by now."""
    plugin_folder.add_table("notes")
    plugin_folder.add_table("heir", table="legacy")
    make_app(plugins=["notes", "heir"], DATABASE_URL=sqlite_url)
    app = make_app(plugins=["heir"], DATABASE_URL=sqlite_url)
    path = str(wheel())

    def refused(name: str) -> str:
        done = cli("plugins", "remove", name, "--yes", "--wheel", path, app=app)
        assert (1, "") == (done.exit_code, done.stdout)
        return done.stderr

    assert "notes.whl has no plugin note; plugins that it has: heir, notes." in refused("note")
    assert "heir is active, and its own revisions are undone: leave out" in refused("heir")
    execute_in(app, "UPDATE alembic_version_notes SET version_num = 'notes_0009'")
    assert (
        "notes: the database is at notes_0009; example-notes 1.0 does not know that revision"
    ) in refused("notes")
    assert {"notes", "legacy"} < tables(app)


def test_a_table_that_another_plugin_has_taken_over_stays(
    plugin_folder: PluginFolder,
    make_app: MakeApp,
    sqlite_url: str,
    cli: RunCLI,
    wheel: Callable[[], Path],
) -> None:
    """Its rows are no longer those of the plugin that is gone."""
    plugin_folder.add_table("notes")
    make_app(plugins=["notes"], DATABASE_URL=sqlite_url)
    path = wheel()
    plugin_folder.add_table("heir", table="notes", revision=False)
    app = make_app(plugins=["heir"], upgrade=False, DATABASE_URL=sqlite_url)
    done = cli("plugins", "remove", "notes", "--yes", "--wheel", str(path), app=app)
    assert (1, "") == (done.exit_code, done.stdout)
    assert "notes: notes belongs to heir by now" in done.stderr
    assert {"alembic_version_notes", "notes"} == tables(app)

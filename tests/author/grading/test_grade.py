"""`pegboard plugins grade` on plugins that break each rule, and on ours."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pegboard.cli.grade import grade as command
from pegboard.grading import RULES, TIERS, Outcome, Report, grade
from pegboard.grading.subject import find_subject
from pegboard.grading.suite import run_suite
from pegboard.testing.distributions import PluginFolder, plugin_folder

WRONG = """
import contextlib
import logging
import os
import psycopg2
import shutil
import socket
import sqlite3
import tempfile
import threading
import click
import noisy_library
import pegboard.testing.groups
import sqlalchemy
from flask import Blueprint
from marshmallow import Schema, fields
from pathlib import Path
from pegboard.settings import CoreSettings
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

sqlite3.connect(":memory:").close()
folder = tempfile.mkdtemp()
noisy_library.keep(f"{folder}/kept")
shutil.rmtree(folder)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9))
os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
with contextlib.suppress(psycopg2.OperationalError):
    psycopg2.connect("host=/nowhere")
threading.Thread(target=threading.Event().wait, daemon=True, name="busy").start()

class Base(pegboard.Model, DeclarativeBase):
    pass

class Note(Base):
    __tablename__ = "notes"
    title: Mapped[str] = mapped_column(sqlalchemy.String(80))

class NoteSchema(Schema):
    id = fields.Integer(dump_only=True)
    title = fields.String(required=True)

resource = pegboard.Resource("notes", __name__, Note, NoteSchema, noun="note")
bare = pegboard.Blueprint("bare", __name__, url_prefix="/bare")
plain = Blueprint("plain", __name__)

@bare.get("/")
def undescribed():
    return {}

@plain.get("/plain")
def undocumented():
    return "{}"

@click.command()
@click.option("--loud")
def shout(loud):
    pass

class NotesSettings(pegboard.Settings):
    size: int = pegboard.setting(1, doc="")

class Hooks:
    @pegboard.hookspec
    def pegboard_wrong_read(self):
        pass

@pegboard.hookimpl
def pegboard_hookspecs():
    return Hooks

@pegboard.hookimpl
def pegboard_models():
    return Base

@pegboard.hookimpl
def pegboard_migrations():
    return Path(__file__).parent / "migrations"

@pegboard.hookimpl
def pegboard_settings():
    return NotesSettings

@pegboard.hookimpl
def pegboard_blueprints():
    return [resource.blueprint, bare, plain]

@pegboard.hookimpl
def pegboard_commands():
    return [shout]

@pegboard.hookimpl
def pegboard_cache_strategy(app):
    return None

@pegboard.hookimpl
def pegboard_client_identity(app):
    return None

@pegboard.hookimpl
def pegboard_stages(app):
    return []

@pegboard.hookimpl
def pegboard_setup(app):
    logging.getLogger(__name__).warning("mind the gap")
    noisy_library.warn()
    app.before_request(lambda: any(nothing() for _ in range(200)) or None)
    app.add_url_rule("/added", "added", lambda: "{}")

def nothing():
    return None

def mistaken() -> str:
    return "a" + 1
"""
LIBRARY = """
import logging
import sqlite3

sqlite3.connect("").close()

def keep(path):
    open(path, "w").close()

def warn():
    logging.getLogger("example_wrong").warning("no colours")
"""
REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "wrong_0001", None

def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))

def downgrade():
    pass
"""
PROJECT = """
[project]
name = "{name}"

[tool.pegboard.grade]
claim = "platinum"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginFolder]:
    """A folder of plugins on the import path."""
    with plugin_folder(tmp_path_factory.mktemp("plugins")) as found:
        yield found


@pytest.fixture(scope="module")
def wrong(folder: PluginFolder, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a plugin that starts, and breaks every other rule."""
    package = folder.add("wrong", WRONG)
    (package / "py.typed").touch()
    (folder.path / "noisy_library.py").write_text(LIBRARY, encoding="utf-8")
    (package / "migrations").mkdir()
    (package / "migrations" / "wrong_0001.py").write_text(REVISION, encoding="utf-8")
    source = tmp_path_factory.mktemp("source")
    (source / "pyproject.toml").write_text(PROJECT.format(name="example-wrong"), encoding="utf-8")
    (source / "tests").mkdir()
    tests = "def test_fine(): pass\n\ndef test_broken(): assert 0\n"
    (source / "tests" / "test_wrong.py").write_text(tests, encoding="utf-8")
    return grade("wrong", source)


@pytest.mark.parametrize("rule", [rule.id for rule in RULES if rule.id != "starts"])
def test_a_wrong_plugin_fails(wrong: Report, rule: str) -> None:
    """Each rule; what needs several environments is unknown after one run."""
    (verdict,) = [one for one in wrong.verdicts if one.rule.id == rule]
    oldest = Outcome.PASSED if (3, 11) == sys.version_info[:2] else Outcome.UNKNOWN
    expected = {"combinations": Outcome.UNKNOWN, "lowest-python": oldest}
    assert expected.get(rule, Outcome.FAILED) == verdict.outcome, verdict.details


@pytest.mark.parametrize(
    "rule,place",
    [
        ("quiet-start", "mind the gap"),
        ("quiet-start", "no colours, by noisy_library"),
        ("metadata", "the metadata has no Summary"),
        ("core-range", "pegboard has no lower and no upper bound"),
        ("settings-documented", "PEGBOARD_WRONG_SIZE of wrong does not say what it means"),
        ("commands-documented", "`shout --loud` has no help text"),
        ("routes-documented", "GET /bare/ is not described"),
        ("routes-documented", "GET /plain is not in the OpenAPI document"),
        ("own-tests", "tests/test_wrong.py::test_broken fails"),
        ("typed", 'Unsupported operand types for + ("str" and "int")'),
        ("strict-types", "Function is missing a"),
        ("openapi-lint", "GET /bare/ has an answer 200 without a schema"),
        ("quiet-import", "sqlite3.connect ':memory:' at example_wrong/plugin.py, line"),
        (
            "quiet-import",
            "/noisy_library.py, line 5, by noisy_library",
        ),
        ("quiet-import", "the thread 'busy' at example_wrong/plugin.py, line"),
        ("quiet-import", "a file, by os.mkdir"),
        ("quiet-import", "/noisy_library.py, line 8"),
        ("quiet-import", "socket.sendto ('127.0.0.1', 9)"),
        ("quiet-import", "a process, by os.posix_spawn"),
        ("quiet-import", "a connection of psycopg2"),
        ("public-imports", "imports pegboard.settings, which is no public module"),
        ("declared-imports", "imports click: add click to the dependencies"),
        ("no-test-imports", "pegboard.testing.groups is loaded when it starts"),
        ("performance-budget", "its budget (calls) is 100"),
    ],
)
def test_a_wrong_plugin_is_told_where(wrong: Report, rule: str, place: str) -> None:
    """With the place, or what to do."""
    (verdict,) = [one for one in wrong.verdicts if one.rule.id == rule]
    assert any(place in one for one in verdict.details), verdict.details


def test_a_false_claim_is_told_of_each_rule(wrong: Report) -> None:
    """It claims platinum, and has no grade."""
    assert "none" == wrong.grade.label
    left = [one for one in wrong.verdicts if not one.counts]
    assert [f"it claims platinum, and {one.rule.id} is {one.outcome}" for one in left] == [
        *wrong.contradictions
    ]


def test_a_plugin_that_does_not_start_has_no_grade(folder: PluginFolder) -> None:
    """What is wrong is told as the registry tells it; exit status 1 needs a claim."""
    folder.add("broken", "raise ValueError('no luck')")
    done = CliRunner().invoke(command, ["broken", "--json"])
    assert 0 == done.exit_code, done.output
    found = json.loads(done.stdout)
    assert "none" == found["grade"]
    (starts,) = [one for one in found["rules"] if one["id"] == "starts"]
    assert "failed" == starts["outcome"]
    assert "no luck" in starts["details"][0]
    assert "PB_PLUGIN_IMPORT_FAILED" in starts["details"][0]


def test_tests_that_cannot_be_collected_are_told(folder: PluginFolder, tmp_path: Path) -> None:
    """With the module and the reason: there are tests, and nothing else is said of them."""
    folder.add("unmarked")
    (tmp_path / "pyproject.toml").write_text(
        PROJECT.format(name="example-unmarked")
        + '[tool.pytest.ini_options]\naddopts = ["--strict-markers"]\n',
        encoding="utf-8",
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_all.py").write_text(
        "import pytest\n\n@pytest.mark.falts\ndef test_it(): pass\n", encoding="utf-8"
    )
    suite = run_suite(find_subject("unmarked", TIERS, tmp_path))
    assert suite.problem is not None
    assert suite.problem.startswith("the tests in tests.test_all cannot be collected: ")
    assert "'falts' not found in `markers` configuration option" in suite.problem


def test_a_warning_that_ends_pytest_is_told_once(folder: PluginFolder, tmp_path: Path) -> None:
    """With the filter that lets the plugin of pytest warn; other rules refer to this one."""
    folder.add("warned")
    (tmp_path / "pyproject.toml").write_text(
        PROJECT.format(name="example-warned")
        + '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n',
        encoding="utf-8",
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(
        "import warnings, pytest\n\ndef pytest_collection():\n"
        "    warnings.warn(pytest.PytestDeprecationWarning('the loop.'))\n",
        encoding="utf-8",
    )
    found = {one.rule.id: one.details for one in grade("warned", tmp_path).verdicts}
    (told,) = found["own-tests"]
    assert told.startswith("the tests cannot be run: pytest.PytestDeprecationWarning ends pytest")
    assert 'Add "default::pytest.PytestDeprecationWarning" to filterwarnings' in told
    assert ("its tests were not run: own-tests tells why",) == found["plugin-contract"]

"""`pegboard new`, where nothing is written; what it writes is tested in tests/author."""

import sys

import pytest
from click.testing import CliRunner

from pegboard.cli import main


@pytest.fixture
def new(monkeypatch, tmp_path):
    """Run the command in an empty folder; returns its status and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["new", *arguments])
        assert [] == [path.name for path in tmp_path.rglob("plugin.py")]
        return done.exit_code, done.output

    return run


def test_a_missing_extra_is_named(new, monkeypatch):
    """Whether a plugin is written or brought up to date."""
    monkeypatch.setitem(sys.modules, "copier", None)
    assert (1, "Error: pegboard new needs copier: pip install 'pegboard[author]'\n") == new("notes")


def test_a_name_that_cannot_be_used_is_refused(new):
    """With the reason."""
    status, told = new("my-notes")
    assert 1 == status
    assert told.startswith("Error: 'my-notes' cannot be the name of a plugin")


def test_a_plugin_needs_a_name(new):
    """Unless one is brought up to date."""
    status, told = new()
    assert 2 == status
    assert "name the plugin, as in: pegboard new notes" in told


@pytest.mark.parametrize(
    "arguments,what",
    [
        (("notes",), "NAME"),
        (("--noun", "memo"), "noun"),
        (("--no-table",), "table"),
        (("--resource", "memos"), "resource"),
        (("--no-resource",), "resource"),
    ],
)
def test_an_update_takes_nothing_else(new, arguments, what):
    """As the folder says what the plugin has."""
    status, told = new("--update", *arguments)
    assert 2 == status
    assert f"--update asks nothing, and takes no {what}." in told


@pytest.mark.parametrize(
    "options",
    [
        ("--no-table", "--resource", "memos"),
        ("--no-table", "--cache"),
        ("--resource", "memos", "--no-resource"),
    ],
)
def test_options_that_contradict_each_other_are_refused(new, options):
    """There is nothing to serve or to cache without a table."""
    status, told = new("notes", *options)
    one, other = (option for option in options if option.startswith("--"))
    assert 1 == status
    assert f"Error: {one} and {other} contradict each other" in told


def test_a_folder_with_something_in_it_is_refused(new, tmp_path):
    """The default one, and one that is given; a file as well."""
    (tmp_path / "pegboard-notes").mkdir()
    (tmp_path / "pegboard-notes/README.md").touch()
    status, told = new("notes")
    assert (
        1,
        "Error: the folder pegboard-notes has something in it: choose another by --into.\n",
    ) == (
        status,
        told,
    )
    status, told = new("notes", "--into", "pegboard-notes/README.md")
    assert 1 == status
    assert "exists, and is no folder" in told


def test_only_what_was_written_by_it_is_brought_up_to_date(new):
    """Another folder is left alone."""
    status, told = new("--update")
    assert 1 == status
    assert "has no .copier-answers.yml: only what pegboard new wrote" in told

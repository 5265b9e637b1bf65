"""`pegboard new --update` and git: its hooks, line ends, unmerged files, and the accepted core."""

import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from pegboard import scaffold
from pegboard.cli import main
from pegboard.scaffold import ConflictError, ScaffoldError, Template

MODELS = "src/pegboard_notes/models.py"
CORE = version("pegboard")
ACCEPT = f"Accept pegboard {CORE}"


def in_git(folder: Path, *arguments: str) -> str:
    """Run git."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def commit(folder: Path) -> None:
    """Commit all that has changed."""
    in_git(folder, "add", "--all")
    in_git(folder, "commit", "--quiet", "--message", "Ours")


def subjects(folder: Path) -> Sequence[str]:
    """The first line of each commit, the newest first."""
    return in_git(folder, "log", "--format=%s").splitlines()


def edit(path: Path, old: str, new: str) -> None:
    """Change a file, whatever its lines end with."""
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())


def pin(folder: Path, requirement: str, was: str) -> None:
    """Commit another requirement of Pegboard, and that the plugin was written by another."""
    text = (folder / "pyproject.toml").read_text("utf-8")
    (folder / "pyproject.toml").write_text(re.sub('"pegboard>=.*"', f'"{requirement}"', text))
    answers = (folder / ".copier-answers.yml").read_text("utf-8")
    changed = re.sub("(?m)^pegboard: .*$", f"pegboard: {was}", answers)
    (folder / ".copier-answers.yml").write_text(changed)
    commit(folder)


def step(template: Path) -> None:
    """Change a line of code and one of the project, and add a file."""
    models = template / "project/src/{{ package }}/models.py.jinja"
    edit(models, "TITLE_LENGTH = 100", "TITLE_LENGTH = 120")
    edit(template / "project/pyproject.toml.jinja", "marshmallow>=4.1.2", "marshmallow>=4.1.3")
    (template / "project/SECURITY.md.jinja").write_text("Tell us.\n")


def requirements(folder: Path) -> Sequence[str]:
    """What the plugin requires."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return [line for line in project["dependencies"] if line.startswith("pegboard")]


def test_a_core_that_is_too_new_is_accepted_in_a_commit_of_its_own(
    make_template: Callable[..., Template], plugin: Path
) -> None:
    """Before the steps of the template, which it does not disturb; or alone, if there are none."""
    fresh = (plugin / "pyproject.toml").read_text("utf-8")
    pin(plugin, "pegboard>=0.0.1,<0.1", "0.0.1")
    assert [(1, ACCEPT)] == [(done.version, done.title) for done in scaffold.update(plugin)]
    assert ACCEPT == subjects(plugin)[0]
    assert fresh == (plugin / "pyproject.toml").read_text("utf-8")
    assert f"\npegboard: {CORE}\n" in (plugin / ".copier-answers.yml").read_text("utf-8")
    assert [] == list(scaffold.update(plugin))

    in_git(plugin, "reset", "--quiet", "--hard", "HEAD~1")
    titles = [done.title for done in scaffold.update(plugin, template=make_template(step))]
    assert [ACCEPT, "Step 2"] == titles
    changed = in_git(plugin, "show", "--format=", "--name-only", "HEAD~1").split()
    assert [".copier-answers.yml", "pyproject.toml"] == changed


@pytest.mark.parametrize(
    "written,expected",
    [
        ("pegboard[author] ~= 0.0.1 ; python_version > '3'", "pegboard[author]>={},<{}; {}"),
        ("pegboard==0.0.*", "pegboard>={},<{}"),
        ("pegboard>=0.0.1", None),
        ("pegboard>=77,<78", None),
        (f"pegboard!={CORE}", None),
        (f"pegboard!={CORE},<0.0.2", None),
    ],
)
def test_what_an_author_requires_of_the_core_stays_but_for_the_versions(
    plugin: Path, written: str, expected: str | None
) -> None:
    """And where it is refused for another reason than being too new, all stays."""
    fresh = requirements(plugin)[0]
    bounds = re.findall(r"[\d.]+", fresh)
    pin(plugin, written, "0.0.1")
    steps = list(scaffold.update(plugin))
    assert len(steps) == (expected is not None)
    wanted = expected.format(*bounds, "python_version > '3'") if expected else written
    assert [wanted] == requirements(plugin)


def test_a_hook_that_refuses_a_step_leaves_nothing_of_it(
    make_template: Callable[..., Template], plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is staged elsewhere stays; the message says what to do, and that works."""
    whole = plugin.parent / "whole"
    whole.mkdir()
    (plugin / ".git").rename(whole / ".git")
    plugin = plugin.rename(whole / "plugin")
    commit(whole)
    (whole / "README.md").write_text("Ours.\n")
    in_git(whole, "add", "README.md")
    hook = whole / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho bad style\necho >> plugin/README.md\nexit 1\n")
    hook.chmod(0o755)
    monkeypatch.setattr(
        scaffold.update, "__kwdefaults__", {"template": make_template(step), "verify": True}
    )
    command = ["new", "--update", "--into", str(plugin)]
    done = CliRunner().invoke(main, command)
    assert 1 == done.exit_code
    assert (
        "Error: 'Step 2' cannot be committed, and nothing of it is left: git commit failed: "
        "bad style\nFix the cause, and run pegboard new --update again."
    ) in done.output
    assert "A  README.md\n" == in_git(whole, "status", "--porcelain")
    done = CliRunner().invoke(main, [*command, "--no-verify"])
    assert (0, "2: Step 2 (committed)\n") == (done.exit_code, done.output)
    assert "A  README.md\n" == in_git(whole, "status", "--porcelain")


def test_no_verify_belongs_to_update(tmp_path: Path) -> None:
    """Nothing is written."""
    done = CliRunner().invoke(main, ["new", "notes", "--no-verify", "--into", str(tmp_path / "p")])
    assert 2 == done.exit_code
    assert "--no-verify belongs to --update." in done.output
    assert not (tmp_path / "p").exists()


def test_both_changes_that_were_committed_as_they_stood_are_found(
    make_template: Callable[..., Template], plugin: Path
) -> None:
    """By the next run, whether or not there is another step."""
    edit(plugin / MODELS, "TITLE_LENGTH = 100", "TITLE_LENGTH = 80")
    commit(plugin)
    template = make_template(step)
    with pytest.raises(ConflictError):
        list(scaffold.update(plugin, template=template))
    commit(plugin)
    for _ in range(2):
        with pytest.raises(ScaffoldError, match=rf"still stand, .* run it again:\n  {MODELS}$"):
            list(scaffold.update(plugin, template=template))
    models = (plugin / MODELS).read_text()
    (plugin / MODELS).write_text(re.sub("(?s)<{7}.*?\n(.*?)={7}\n.*?>{7}.*?\n", r"\1", models))
    commit(plugin)
    assert [] == list(scaffold.update(plugin, template=template))


@pytest.mark.parametrize("made_by", ["the author", "attributes"])
def test_lines_end_as_they_did(
    make_template: Callable[..., Template], plugin: Path, made_by: str
) -> None:
    """A step changes its own lines only, and conflicts where both changed one; new files as well.

    An edit beside the change of a step has copier merge the whole file.
    """
    if made_by == "attributes":
        (plugin / ".gitattributes").write_text("* text eol=crlf\n")
        commit(plugin)
    edit(plugin / "pyproject.toml", '"click>=8.2"', '"click>=8.3"')
    edit(plugin / MODELS, "TITLE_LENGTH = 100", "TITLE_LENGTH = 80")
    for name in in_git(plugin, "ls-files").split():
        data = (plugin / name).read_bytes()
        (plugin / name).write_bytes(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    commit(plugin)
    with pytest.raises(ConflictError) as caught:
        list(scaffold.update(plugin, template=make_template(step)))
    assert ((MODELS,), ()) == (caught.value.changed, caught.value.removed)
    project = (plugin / "pyproject.toml").read_bytes()
    assert b'    "click>=8.3",\r\n    "Flask>=3.1",\r\n    "marshmallow>=4.1.3",\r\n' in project
    models = (plugin / MODELS).read_bytes()
    assert b"TITLE_LENGTH = 80\r\n=======\r\nTITLE_LENGTH = 120\r\n>>>>>>>" in models
    for data in (project, models, (plugin / "SECURITY.md").read_bytes()):
        assert 0 < data.count(b"\n") == data.count(b"\r\n")


class Alike(Template):
    """A template whose files are all of one time, long ago."""

    def _write_versions(self, scratch: Path) -> dict[int, Path]:
        versions = super()._write_versions(scratch)
        for path in scratch.rglob("*"):
            os.utime(path, (10**9, 10**9))
        return versions


def test_no_step_is_lost_that_only_its_content_tells(
    make_template: Callable[..., Template], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in 100 and 120: the files are as large, as old, and of one place on the disk."""
    for number, (key, value) in enumerate(
        [("core.trustctime", "false"), ("core.checkStat", "minimal")]
    ):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")

    def longer(template: Path) -> None:
        models = template / "project/src/{{ package }}/models.py.jinja"
        edit(models, "TITLE_LENGTH = 100", "TITLE_LENGTH = 120")

    made = make_template(longer)
    Alike(made.newest, made.steps).write_repository(tmp_path / "repository")
    assert "TITLE_LENGTH = 120" in in_git(tmp_path / "repository", "show", "2")

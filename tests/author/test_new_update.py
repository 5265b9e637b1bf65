"""`pegboard new --update`: a plugin follows the template, and its author's edits stay."""

import re
import runpy
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from pegboard import scaffold
from pegboard.cli import main
from pegboard.scaffold import ConflictError, ScaffoldError, Template, find_names, shipped_template

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools/template_step.py"))
GUIDE = Path(__file__).parents[2] / "docs/how-to/new-plugin.md"
MODELS = "src/pegboard_notes/models.py"
IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")

Step = Callable[[Path], None]


def edit(path: Path, old: str, new: str) -> None:
    """Change a file."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def in_git(folder: Path, *arguments: str) -> str:
    """Run git, as Ada."""
    return subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def second(template: Path) -> None:
    """What changes from version 1 to version 2: a line of two files, and a new file."""
    project = template / "project"
    edit(project / "README.md.jinja", "## Work on it", "## Develop it")
    edit(project / "src/{{ package }}/models.py.jinja", "TITLE_LENGTH = 100", "TITLE_LENGTH = 120")
    (project / "notes").mkdir()
    (project / "notes/SECURITY.md.jinja").write_text("Tell us of holes in {{ distribution }}.\n")


def third(template: Path) -> None:
    """What changes from version 2 to version 3: a question, and a file that goes."""
    edit(template / "copier.yml", "author:\n", "motto:\n  type: str\n  default: Onwards\nauthor:\n")
    edit(template / "project/notes/SECURITY.md.jinja", "Tell us", "{{ motto }}: tell us")
    (template / "project/CHANGELOG.md.jinja").unlink()


def commit(folder: Path, message: str) -> None:
    """Commit all that has changed."""
    in_git(folder, "add", "--all")
    in_git(folder, "commit", "--quiet", "--message", message)


def subjects(folder: Path) -> Sequence[str]:
    """The first line of each commit, the newest first."""
    return in_git(folder, "log", "--format=%s").splitlines()


def test_each_step_is_a_commit_and_edits_stay(
    make_template: Callable[..., Template], plugin: Path
) -> None:
    """Those of changed files in between, of files of the author's, and of what was removed."""
    edit(plugin / "README.md", "## Install and use", "## Install")
    edit(plugin / MODELS, "    title: Mapped", "    pinned: Mapped[bool]\n    title: Mapped")
    (plugin / "src/pegboard_notes/extra.py").write_text('"""Ours."""\n')
    (plugin / "tests/test_cache.py").unlink()
    commit(plugin, "Ours")
    template = make_template(second, third)

    steps = list(scaffold.update(plugin, template=template))

    assert [(2, "Step 2"), (3, "Step 3")] == [(step.version, step.title) for step in steps]
    assert ["Step 3", "Step 2", "Ours", "Begin"] == subjects(plugin)
    assert "" == in_git(plugin, "status", "--porcelain")
    readme, models = (plugin / "README.md").read_text(), (plugin / MODELS).read_text()
    assert ("## Install\n" in readme, "## Develop it" in readme) == (True, True)
    assert ("pinned: Mapped" in models, "TITLE_LENGTH = 120" in models) == (True, True)
    assert (plugin / "src/pegboard_notes/extra.py").exists()
    assert not (plugin / "tests/test_cache.py").exists()
    assert not (plugin / "CHANGELOG.md").exists()
    assert (
        "Onwards: tell us of holes in pegboard-notes.\n"
        == (plugin / "notes/SECURITY.md").read_text()
    )
    answers = (plugin / ".copier-answers.yml").read_text()
    assert "_commit: '3'\n_src_path: pegboard-template\n" in answers
    assert "motto: Onwards\n" in answers
    assert "Tell us" in in_git(plugin, "show", "HEAD~1:notes/SECURITY.md")  # each step by itself
    assert [] == list(scaffold.update(plugin, template=template))


def test_what_both_have_changed_is_a_conflict(
    make_template: Callable[..., Template], plugin: Path
) -> None:
    """The file and what to do are named; what is done is kept, and the next steps follow."""
    edit(plugin / MODELS, "TITLE_LENGTH = 100", "TITLE_LENGTH = 80")
    commit(plugin, "Ours")
    template = make_template(third_of_readme, second, third)

    updating = scaffold.update(plugin, template=template)
    assert "Step 2" == next(updating).title
    with pytest.raises(ConflictError) as caught:
        next(updating)

    assert ((MODELS,), ()) == (caught.value.changed, caught.value.removed)
    told = str(caught.value)
    assert told.startswith("'Step 3' meets changes of yours.\nBoth stand in these")
    assert f"\n  {MODELS}\n" in told
    assert "git add --all . && git commit --message 'Step 3'\n    pegboard new --update\n" in told
    models = (plugin / MODELS).read_text()
    assert "TITLE_LENGTH = 80\n" in models
    assert "TITLE_LENGTH = 120\n" in models
    with pytest.raises(ScaffoldError, match="commit or stash your changes first"):
        list(scaffold.update(plugin, template=template))
    marks = re.compile(r"<{7}.*?\n(.*?)={7}\n.*?>{7}.*?\n", re.DOTALL)
    (plugin / MODELS).write_text(marks.sub(r"\1", models))
    assert "TITLE_LENGTH = 80\n" in (plugin / MODELS).read_text()
    commit(plugin, "Step 3")
    assert ["Step 4"] == [step.title for step in scaffold.update(plugin, template=template)]
    assert "TITLE_LENGTH = 80\n" in (plugin / MODELS).read_text()


def third_of_readme(template: Path) -> None:
    """A step that meets no edit."""
    edit(template / "project/.gitignore.jinja", ".tox/\n", ".tox/\n.nox/\n")


def test_a_step_that_is_given_up_leaves_nothing(
    make_template: Callable[..., Template], plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command that the message names."""
    edit(plugin / MODELS, "TITLE_LENGTH = 100", "TITLE_LENGTH = 80")
    commit(plugin, "Ours")
    monkeypatch.setattr(scaffold.update, "__kwdefaults__", {"template": make_template(second)})
    done = CliRunner().invoke(main, ["new", "--update", "--into", str(plugin)])
    assert 1 == done.exit_code
    (shown,) = re.findall(
        r"^```text\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert shown == done.output
    assert (plugin / "notes/SECURITY.md").exists()
    (command,) = re.findall(r"or give the step up: (.*)", done.output)
    subprocess.run(command, shell=True, cwd=plugin, check=True, stdout=subprocess.DEVNULL)  # noqa: S602 - it is ours
    assert "" == in_git(plugin, "status", "--porcelain")
    assert "TITLE_LENGTH = 80" in (plugin / MODELS).read_text()
    assert not (plugin / "notes").exists()


def test_an_edited_file_that_a_step_removes_is_a_conflict(
    make_template: Callable[..., Template], plugin: Path
) -> None:
    """It stays until its author removes it; one without edits goes."""
    edit(plugin / "CHANGELOG.md", "### Added", "### Fixed\n\n- All.\n\n### Added")
    commit(plugin, "Ours")
    with pytest.raises(ConflictError, match="It removes these") as caught:
        list(scaffold.update(plugin, template=make_template(removal)))
    assert ((), ("CHANGELOG.md",)) == (caught.value.changed, caught.value.removed)
    assert "- All." in (plugin / "CHANGELOG.md").read_text()
    assert not (plugin / "LICENSE").exists()


def removal(template: Path) -> None:
    """A step that removes two files."""
    (template / "project/CHANGELOG.md.jinja").unlink()
    (template / "project/LICENSE.jinja").unlink()


def test_a_plugin_in_a_folder_of_a_repository_is_brought_up_to_date(
    make_template: Callable[..., Template], plugin: Path, tmp_path: Path
) -> None:
    """Only its files are committed, and changes elsewhere are no obstacle."""
    shutil.rmtree(plugin / ".git")
    whole = tmp_path / "whole"
    (whole / "plugins").mkdir(parents=True)
    plugin = plugin.rename(whole / "plugins/notes")
    (whole / "README.md").write_text("One.\n")
    in_git(whole, "init", "--quiet")
    commit(whole, "Begin")
    (whole / "README.md").write_text("Two.\n")
    in_git(whole, "add", "README.md")
    list(scaffold.update(plugin, template=make_template(second)))
    assert ["Step 2", "Begin"] == subjects(whole)
    assert "M  README.md\n" == in_git(whole, "status", "--porcelain")
    assert "TITLE_LENGTH = 120" in (plugin / MODELS).read_text()


@pytest.mark.parametrize("what", ["changed", "new"])
def test_changes_that_are_not_committed_are_refused(
    make_template: Callable[..., Template], plugin: Path, what: str
) -> None:
    """They are listed, and nothing is touched."""
    path = plugin / ("README.md" if what == "changed" else "todo.txt")
    path.write_text("Ours.\n")
    with pytest.raises(ScaffoldError, match=rf"first:\n.* {path.name}$"):
        list(scaffold.update(plugin, template=make_template(second)))
    assert "Ours.\n" == path.read_text()
    assert "TITLE_LENGTH = 100" in (plugin / MODELS).read_text()


def test_a_plugin_that_is_not_in_git_is_refused(
    make_template: Callable[..., Template], plugin: Path
) -> None:
    """The message says how to put it there."""
    shutil.rmtree(plugin / ".git")
    with pytest.raises(ScaffoldError, match=r"is in no repository of git.* Run git init"):
        list(scaffold.update(plugin, template=make_template(second)))


def test_a_missing_identity_is_told_before_anything_is_written(
    make_template: Callable[..., Template], plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In git's own words."""
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_AUTHOR_NAME", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    in_git(plugin, "config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with pytest.raises(ScaffoldError, match="git config --global user"):
        list(scaffold.update(plugin, template=make_template(second)))
    assert "" == in_git(plugin, "status", "--porcelain")


@pytest.mark.parametrize(
    "answers,reason",
    [
        ("_commit: '9'\n", "was written by a newer Pegboard .version 9 of the template"),
        ("_commit: v1.0\n", "does not say at which version of the template"),
        ("_commit: '0'\n", "does not say at which version of the template"),
        ("[]\n", "does not say at which version of the template"),
        ("{\n", "cannot be read"),
    ],
)
def test_answers_that_lead_nowhere_are_refused(
    make_template: Callable[..., Template], plugin: Path, answers: str, reason: str
) -> None:
    """With what is wrong with them."""
    (plugin / ".copier-answers.yml").write_text(answers)
    commit(plugin, "Ours")
    with pytest.raises(ScaffoldError, match=reason):
        list(scaffold.update(plugin, template=make_template(second)))


def test_a_plugin_without_edits_becomes_what_the_newest_template_writes(
    make_template: Callable[..., Template],
    plugin: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The command says each step, and nothing is left to do afterwards."""
    template = make_template(second, third)
    monkeypatch.setattr(scaffold.update, "__kwdefaults__", {"template": template})
    monkeypatch.chdir(plugin)
    done = CliRunner().invoke(main, ["new", "--update"])
    expected = "2: Step 2 (committed)\n3: Step 3 (committed)\n"
    assert (0, expected) == (done.exit_code, done.output)
    done = CliRunner().invoke(main, ["new", "--update"])
    assert (0, "The plugin is up to date.\n") == (done.exit_code, done.output)
    scaffold.create(find_names("notes"), tmp_path / "fresh", {}, template=template)
    shutil.rmtree(plugin / ".git")
    difference = ["git", "diff", "--no-index", str(tmp_path / "fresh"), str(plugin)]
    compared = subprocess.run(difference, stdout=subprocess.PIPE, text=True, check=False)
    assert "" == compared.stdout


def test_the_shipped_steps_lead_to_the_shipped_template(tmp_path: Path) -> None:
    """Each can be undone, has a title, and the version that its template says it has."""
    shipped_template.write_repository(tmp_path / "repository")
    tags = in_git(tmp_path / "repository", "tag").split()
    assert sorted(map(str, range(1, shipped_template.version + 1))) == sorted(tags)
    for tag in tags:
        in_git(tmp_path / "repository", "checkout", "--quiet", tag)
        assert int(tag) == TOOL["version_of"](tmp_path / "repository")
    assert all(shipped_template.title_of(version) for version in shipped_template.patches)


def test_a_released_template_does_not_change() -> None:
    """Else what an author changed could not be told from what the template changed.

    If this fails, restore the template and write the change as a step: CONTRIBUTING.md says how.
    """
    assert TOOL["is_as_released"]()

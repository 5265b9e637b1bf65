"""Fixtures of the tests of the plugin authors' kit, which run in an environment of their own."""

import os
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pegboard import scaffold
from pegboard.scaffold import Template, find_names, shipped_template

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools/template_step.py"))

Step = Callable[[Path], None]


@pytest.fixture(autouse=True)
def own_tox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the tox that runs these tests from the one that a test runs.

    `TOX_WORK_DIR` would have it make its environments in place of those of this project.
    """
    for name in [name for name in os.environ if name.startswith("TOX_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def make_template(tmp_path: Path) -> Callable[..., Template]:
    """Make a template of the shipped one by steps, which the tool of this repository writes."""

    def make(*steps: Step) -> Template:
        newest, patches = tmp_path / "template", tmp_path / "steps"
        shutil.copytree(shipped_template.newest, newest)
        for number, step in enumerate(steps, shipped_template.version + 1):
            old = tmp_path / str(number)
            shutil.copytree(newest, old)
            step(newest)
            TOOL["write_step"](old, newest, patches, f"Step {number}")
        return Template(newest, patches)

    return make


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plugin that was written by the shipped template, all of it committed."""
    folder = tmp_path_factory.mktemp("written") / "plugin"
    scaffold.create(find_names("notes"), folder, {})
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all"],
        [*identity, "commit", "--quiet", "--message", "Begin"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def plugin(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such a folder, to be changed by one test."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    folder = tmp_path / "plugin"
    shutil.copytree(committed, folder)
    return folder

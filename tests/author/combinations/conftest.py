"""Projects whose combinations are made."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from pegboard.cli import main

PLUGIN = """
[project]
name = "pegboard-{name}"
version = "1.0"
requires-python = ">=3.11"
dependencies = [{dependencies}]

[project.entry-points."pegboard.plugins"]
{name} = "pegboard_{name}"
"""


class Project(Protocol):
    """Writes a project; see the fixture `project`."""

    def __call__(self, matrix: str, own: str | None = None, **plugins: str) -> Path:
        """Write it, and a folder for each plugin; a value lists distributions it requires."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Writes a pyproject.toml with a matrix; `own` is the name of the project's own plugin."""

    def write(matrix: str, own: str | None = None, **plugins: str) -> Path:
        for name, required in plugins.items():
            dependencies = ", ".join(f'"{one}"' for one in ["pegboard>=0.1", *required.split()])
            folder = tmp_path if name == own else tmp_path / name
            folder.mkdir(exist_ok=True)
            text = PLUGIN.format(name=name, dependencies=dependencies)
            (folder / "pyproject.toml").write_text(text)
        path = tmp_path / "pyproject.toml"
        before = path.read_text() if path.exists() else ""
        path.write_text(f"{before}\n[tool.pegboard.matrix]\n{matrix}\n")
        return tmp_path

    return write


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tox(tmp_path: Path) -> Run:
    """Runs tox in the project's folder."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tox", *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def pegboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `pegboard` in the project's folder, in this process."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        monkeypatch.chdir(tmp_path)
        found = CliRunner().invoke(main, arguments)
        return subprocess.CompletedProcess(arguments, found.exit_code, found.stdout, found.stderr)

    return run

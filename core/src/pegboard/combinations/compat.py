"""Run the tests that are in the sdist of a plugin's distribution, against a given core."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET  # the reports are those of a pytest that is run here

from packaging.utils import canonicalize_name

from pegboard.combinations.used_core import PYTEST, UsedCore

GROUPS = ("test", "tests", "testing", "dev")
"""The extras and dependency groups that bring what tests need; the first that there is."""

NO_TESTS = 5
"""The exit status of pytest where it has found none."""


class CompatError(Exception):
    """The tests could not be run, and the message says why."""


@dataclass(frozen=True)
class Outcome:
    """How the tests of a distribution ended."""

    passed: int
    failed: tuple[str, ...] = ()
    """The ids of the tests that failed."""
    skipped: int = 0
    core: str = ""
    """The version of pegboard that the tests have run with."""


def _find_uv() -> str | None:
    """Return uv beside this interpreter, where tox-uv installs it, or on the PATH."""
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    return beside or shutil.which("uv")


@dataclass(frozen=True)
class Compat:
    """Runs tests from sdists, each in an environment of its own below a folder."""

    folder: Path
    against: tuple[str, ...]
    """Requirements, wheels or folders that are installed with each distribution."""
    sdists: Path | None = None
    """A folder with the sdists; without it pip downloads them."""
    arguments: tuple[str, ...] = ()
    """What pytest is told besides."""
    uv: str | None = field(default_factory=_find_uv)
    """The program that makes environments; without it they are made by venv and pip."""

    def run(self, name: str, version: str) -> Outcome:
        """Run the tests of a distribution.

        Raises `CompatError` if they cannot be run, or have run with another core than was asked.
        """
        place = self.folder / name
        place.mkdir(parents=True)
        source = _unpack(self._sdist(name, version, place), place / "source")
        if not any(source.rglob("test_*.py")) and not any(source.rglob("*_test.py")):
            message = f"the sdist of {name} {version} has no tests"
            raise CompatError(message)
        python = self._environment(source, place / "environment")
        _require_core(python)
        found = self._test(python, source, place / "report.xml")
        core = UsedCore.read(place / "core.json")
        if difference := core.difference(self.against):
            message = f"the tests of {name} {version} say nothing: {difference}"
            raise CompatError(message)
        if not found.passed and not found.failed:
            message = f"all {found.skipped} tests of {name} {version} were skipped"
            raise CompatError(message)
        return replace(found, core=core.version)

    def _sdist(self, name: str, version: str, place: Path) -> Path:
        if self.sdists is None:
            wanted = f"{name}=={version}"
            options = ["--quiet", "--no-deps", "--no-binary", name, "--dest", str(place)]
            command = [sys.executable, "-m", "pip", "download", *options, wanted]
            _run(command, f"there is no sdist of {wanted}")
        folder = self.sdists or place
        stem = f"{canonicalize_name(name).replace('-', '_')}-{version}"
        for path in sorted(folder.glob("*.tar.gz")):
            if path.name.removesuffix(".tar.gz").replace("-", "_") == stem.replace("-", "_"):
                return path
        message = f"there is no sdist {stem}.tar.gz in {folder}"
        raise CompatError(message)

    def _environment(self, source: Path, target: Path) -> Path:
        """Make an environment with the distribution and what it is tested against."""
        python = target / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        # The folder of the sdist, and not a file: so its extras can be named.
        project, group = _test_requirements(source)
        wanted = [project, *group, *self.against, "pytest"]
        failure = f"{source.name} cannot be installed with {', '.join(self.against)}"
        if self.uv is not None:
            _run([self.uv, "venv", "--quiet", "--python", sys.executable, str(target)], failure)
            _run([self.uv, "pip", "install", "--quiet", "--python", str(python), *wanted], failure)
        else:
            _run([sys.executable, "-m", "venv", str(target)], failure)
            options = ["--quiet", "--disable-pip-version-check"]
            _run([str(python), "-m", "pip", "install", *options, *wanted], failure)
        return python

    def _test(self, python: Path, source: Path, report: Path) -> Outcome:
        core = report.with_name("core.json")
        options = ["-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junit-xml={report}"]
        # A failure that is excluded must not hide those behind it, whatever -x says.
        words = ["-q", *options, *self.arguments, "--maxfail=0"]
        command = [str(python), "-c", PYTEST, str(core), *words]
        done = _complete(command, source)
        (report.parent / "output.txt").write_text(done.stdout, encoding="utf-8")
        if done.returncode == NO_TESTS:
            message = f"pytest finds no tests in {source.name}"
            raise CompatError(message)
        if not report.exists() or not core.exists():
            message = f"pytest cannot run in {source.name}: {_last_line(done.stdout)}"
            raise CompatError(message)
        found = _read_report(report)
        if done.returncode and not found.failed:
            message = f"pytest ends with {done.returncode}: {_last_line(done.stdout)}"
            raise CompatError(message)
        return found


def _unpack(sdist: Path, target: Path) -> Path:
    try:
        with tarfile.open(sdist) as archive:
            archive.extractall(target, filter="data")
    except (OSError, tarfile.TarError) as error:
        message = f"{sdist.name} cannot be unpacked: {error}"
        raise CompatError(message) from error
    (source,) = (path for path in target.iterdir() if path.is_dir())
    return source


def _test_requirements(source: Path) -> tuple[str, list[str]]:
    """Return the project with the extra for tests, and options for its dependency group."""
    path = source / "pyproject.toml"
    project: dict[str, Any] = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    extras = project.get("project", {}).get("optional-dependencies", {})
    groups = project.get("dependency-groups", {})
    extra = next((f"[{name}]" for name in GROUPS if name in extras), "")
    group = next((["--group", f"{path}:{name}"] for name in GROUPS if name in groups), [])
    return f"{source}{extra}", group


def _environment_variables() -> dict[str, str]:
    """Return those of this process, without the folders of modules that hide what is installed."""
    hiding = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "__PYVENV_LAUNCHER__")
    kept = {key: value for key, value in os.environ.items() if key not in hiding}
    return {**kept, "PYTHONNOUSERSITE": "1"}


def _require_core(python: Path) -> None:
    """Raise `CompatError` if no pegboard is installed in an environment."""
    program = "from importlib.metadata import version; version('pegboard')"
    _run([str(python), "-I", "-c", program], "no pegboard is installed for the tests")


def _run(command: Sequence[str], failure: str) -> str:
    """Run a command, and return what it prints. Raises `CompatError`."""
    done = _complete(command)
    if done.returncode:
        lines = " ".join(done.stdout.split())
        message = f"{failure}: {lines}"
        raise CompatError(message)
    return done.stdout


def _complete(
    command: Sequence[str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, by default the current one, and wait for its end."""
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=_environment_variables(),
    )


def _read_report(report: Path) -> Outcome:
    passed, skipped, failed = 0, 0, []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - as above
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            failed.append(_test_id(case))
        elif "skipped" in outcomes:
            skipped += 1
        else:
            passed += 1
    return Outcome(passed, tuple(dict.fromkeys(failed)), skipped)


def _test_id(case: ET.Element) -> str:
    """Return the id as pytest prints it; of a file that cannot be imported its path."""
    name, classes, file = (case.get(key, "") for key in ("name", "classname", "file"))
    if not file:
        return f"{name.replace('.', '/')}.py" if not classes else f"{classes}::{name}"
    inside = classes.removeprefix(file.removesuffix(".py").replace("/", ".")).strip(".")
    return "::".join(filter(None, (file, inside.replace(".", "::"), name)))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it prints nothing"

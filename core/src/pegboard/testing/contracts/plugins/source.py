"""The folder that a plugin's distribution is built from, its documents, and its wheel."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from email import message_from_string
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from pegboard.plugins import ENTRY_POINT_GROUP
from pegboard.testing.contracts.named import fail
from pegboard.testing.processes import AT_START, Inherited

BUILD_TIMEOUT = 300

_LINK = re.compile(r"\]\(([^)#\s]+\.(?:md|rst|txt))(?:#[^)]*)?\)")
_BUILD = """
import importlib, sys
module, _, name = sys.argv[1].partition(":")
backend = importlib.import_module(module)
(getattr(backend, name) if name else backend).build_wheel(sys.argv[2])
"""


@dataclass(frozen=True)
class Source:
    """The folder with the `pyproject.toml` of a plugin's distribution."""

    folder: Path

    @classmethod
    def find(cls, test: Path, plugin: str) -> "Source | None":
        """Return the nearest folder above a test whose distribution has the plugin, if any."""
        for folder in test.parents:
            if plugin in cls(folder).project.get("entry-points", {}).get(ENTRY_POINT_GROUP, {}):
                return cls(folder)
        return None

    @property
    def project(self) -> dict[str, Any]:
        """The table `project` of its `pyproject.toml`."""
        found: dict[str, Any] = self._read().get("project", {})
        return found

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def documents(self) -> str:
        """Return the text of its README, and of the pages that it links to."""
        texts = []
        for readme in sorted(self.folder.glob("README*")):
            text = readme.read_text(encoding="utf-8")
            texts.append(text)
            pages = {(self.folder / link).resolve() for link in _LINK.findall(text)}
            texts += [page.read_text(encoding="utf-8") for page in sorted(pages) if page.is_file()]
        return "\n".join(texts)

    def files(self, package: str) -> set[str]:
        """Return the files of the import package, by their paths in a wheel."""
        path_of_package = package.replace(".", "/")
        for root in (self.folder / "src", self.folder):
            if (root / path_of_package).is_dir():
                return {
                    path.relative_to(root).as_posix()
                    for path in (root / path_of_package).rglob("*")
                    if path.is_file()
                    and "__pycache__" not in path.parts
                    and not path.name.startswith(".")
                }
        return set()

    def build(self, target: Path) -> Path:
        """Build the wheel into a folder, and return it.

        The build backend of this environment is used if it is installed, else uv or pip, which
        download it. The test fails if none of them can.
        """
        system = self._read().get("build-system", {})
        backend = system.get("build-backend", "setuptools.build_meta")
        said = []
        for command in _commands(backend, target):
            done = subprocess.run(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=BUILD_TIMEOUT,
                check=False,
            )
            said.append(done.stdout.strip()[-2000:])
            if not done.returncode and (wheels := sorted(target.glob("*.whl"))):
                break
        else:
            fail(
                f"the wheel of {self.folder.name} cannot be built. Correct its pyproject.toml, or "
                f"install its build backend here (pip install {backend.partition('.')[0]}):\n"
                + ("\n".join(said) or "the backend is not installed, nor is uv or pip")
            )
        return wheels[-1]


def _commands(backend: str, target: Path) -> Iterator[list[str]]:
    """Yield the commands that can build a wheel here."""
    if find_spec(backend.partition(":")[0].partition(".")[0]):
        yield [sys.executable, "-c", _BUILD, backend, str(target)]
    if uv := shutil.which("uv"):
        yield [uv, "build", "--quiet", "--wheel", "--out-dir", str(target), "."]
    if find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
        yield [*pip, str(target), "."]


class Wheel:
    """The contents of a wheel, unpacked into a folder as an installer does it."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        with zipfile.ZipFile(path) as archive:
            self.files = set(archive.namelist())
            archive.extractall(folder)
        (self._metadata,) = folder.glob("*.dist-info")

    def mistakes(self, plugin: str, package: str, source: Source) -> Iterator[str]:
        """Yield what keeps the wheel from being installed, or the plugin from being found."""
        _, _, _, tags = parse_wheel_filename(self.path.name)
        if tags.isdisjoint(sys_tags()):
            yield f"it is for other machines than this one: {', '.join(map(str, tags))}"
        metadata = message_from_string((self._metadata / "METADATA").read_text(encoding="utf-8"))
        python = ".".join(map(str, sys.version_info[:3]))
        if not SpecifierSet(metadata.get("Requires-Python", "")).contains(python):
            yield f"it requires Python {metadata['Requires-Python']}, and the tests run on {python}"
        if not any(
            re.match(r"pegboard\b(?![-_.])", line, re.IGNORECASE)
            for line in metadata.get_all("Requires-Dist", [])
        ):
            yield "it does not require pegboard: add it to the dependencies, with a range"
        entries = ConfigParser(delimiters="=", interpolation=None)
        entries.read(self._metadata / "entry_points.txt", encoding="utf-8")
        if not entries.has_option(ENTRY_POINT_GROUP, plugin):
            yield f"it has no entry point {plugin} in the group {ENTRY_POINT_GROUP}"
        if missing := sorted(source.files(package) - self.files):
            yield f"it lacks {', '.join(missing)}: include them in the configuration of the build"


def build_once(source: Source, plugin: str, shared: Path) -> Wheel:
    """Build the wheel once for all processes of a test session, and unpack it."""
    target = shared / f"wheel-{plugin}"
    target.mkdir(exist_ok=True)
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = next(target.glob("*.whl"), None)
        return Wheel(found or source.build(target), target / "unpacked")


def run_probe(
    task: dict[str, Any], folder: Path | None, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Run `pegboard.testing.probe` where the plugin comes from that folder; return its report.

    What the plugin has changed in this process is not passed on: the probe would not see that it
    changes. It gets what this process has begun with, and the variables of `environment`. Plugins
    that are installed for one test alone are found as well.
    """
    installed = [str(one.locate_file("")) for one in distributions() if _has_plugins(one)]
    path = dict.fromkeys([*([str(folder)] if folder else []), *installed, *AT_START.path])
    # A copy of the plugin is not measured: `coverage report` would miss its source.
    left_out = ("PEGBOARD_", "COVERAGE_PROCESS_") if folder else ("PEGBOARD_",)
    inherited = {
        name: value for name, value in AT_START.environment.items() if not name.startswith(left_out)
    }
    now = Inherited.now()
    task = {
        **task,
        "restored": sorted(now.ignored - AT_START.ignored),
        "limits": [
            (number, limits)
            for number, limits in AT_START.limits.items()
            if now.limits[number] != limits
        ],
    }
    done = subprocess.run(
        [sys.executable, "-m", "pegboard.testing.probe", json.dumps(task, default=str)],
        env={
            **inherited,
            **environment,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONWARNINGS": "ignore",
        },
        cwd=AT_START.folder,
        umask=AT_START.mask,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    if not done.stdout.startswith("{"):
        fail(f"the plugin {task['plugin']} ends its process: {done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _has_plugins(distribution: Distribution) -> bool:
    return bool(distribution.entry_points.select(group=ENTRY_POINT_GROUP))

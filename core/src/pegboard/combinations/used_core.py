"""Which core a plugin's tests have run with, and whether it is the one that was asked for."""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

CORE = "pegboard"

PYTEST = """
import json, pathlib, sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import pytest


class Watcher:
    def pytest_sessionfinish(self):
        try:
            found = {"version": version("pegboard")}
        except PackageNotFoundError:
            found = {"version": ""}
        module = sys.modules.get("pegboard") or find_spec("pegboard")
        found["file"] = getattr(module, "__file__", None) or getattr(module, "origin", None)
        found["prefix"] = sys.prefix
        pathlib.Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")


sys.exit(pytest.main(sys.argv[2:], plugins=[Watcher()]))
"""
"""Runs pytest as `python -m pytest` does, and writes which core it had in the end.

Its first argument is the file, the others are pytest's. A conftest, or a setting of pytest, may
have put another core before the one that is installed, or have installed another.
"""


@dataclass(frozen=True)
class UsedCore:
    """The core that a run of pytest had when it ended."""

    version: str
    file: Path | None
    """Where it was imported from; None if there is no module of it."""
    prefix: Path
    """The environment of the run."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what the run has written."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(found["version"], found["file"] and Path(found["file"]), Path(found["prefix"]))

    def difference(self, against: Iterable[str]) -> str | None:
        """Return which core has run, if another was asked for or it is not the installed one."""
        wanted = _wanted(against)
        if wanted is not None and not wanted[1].contains(self.version, prereleases=True):
            return f"they ran with {self}, and {wanted[0]} was asked for"
        if self.file and not self.file.resolve().is_relative_to(self.prefix.resolve()):
            return f"they ran with {self}, and not with the one that was installed for them"
        return None

    def __str__(self) -> str:
        return f"{CORE} {self.version or 'of no version'}" + (
            f" of {self.file}" if self.file else ""
        )


def _wanted(against: Iterable[str]) -> tuple[str, SpecifierSet] | None:
    """Return what is asked for of the core, and its versions; None if nothing is."""
    for one in against:
        path = Path(one)
        found = _version_of(path) if path.exists() else _versions_of(one)
        if found is not None and canonicalize_name(found[0]) == CORE:
            return one, found[1]
    return None


def _version_of(path: Path) -> tuple[str, SpecifierSet] | None:
    """Return the project of a folder or file, and its version as far as that is written there."""
    if path.is_file():
        return _version_in_name(path.name)
    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        exact = f"=={project['version']}" if "version" in project else ""
        return project["name"], SpecifierSet(exact)
    except (OSError, ValueError, LookupError):
        return None


def _versions_of(requirement: str) -> tuple[str, SpecifierSet] | None:
    try:
        found = Requirement(requirement)
    except InvalidRequirement:  # as one that is only a URL
        return _version_in_name(unquote(urlsplit(requirement).path).rpartition("/")[2])
    if found.url is None:
        return found.name, found.specifier
    named = _versions_of(found.url) or (found.name, SpecifierSet())
    return found.name, named[1]


def _version_in_name(file: str) -> tuple[str, SpecifierSet] | None:
    """Return the project and version that the name of a wheel or sdist has."""
    try:
        name, version = (
            parse_wheel_filename(file)[:2] if file.endswith(".whl") else parse_sdist_filename(file)
        )
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return name, SpecifierSet(f"=={version}")

"""Reading what plugins require from packaging metadata, without importing any of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tox_pegboard.combinations.settings import read_pyproject
from tox_pegboard.combinations.values import MatrixError

if TYPE_CHECKING:
    from email.message import Message

GROUP = "pegboard.plugins"
CORE = "pegboard"


@dataclass(frozen=True)
class Described:
    """A distribution with plugins."""

    name: str
    """The name of its plugin; of several, the distribution's without `pegboard-`."""
    distribution: str
    """Its canonical name."""
    requirement: str
    """What installs it: its name, or a folder."""
    requirements: tuple[Requirement, ...] = ()
    """What it requires; a marker says where, and with which extra."""
    requires_python: str = ""
    version: str = ""
    """The only one that can be installed, as that of a folder is; empty if an installer chooses."""

    def requires(self, python: str, extras: Iterable[str] = ()) -> list[Requirement]:
        """Return what it requires on a version of Python, as 3.12, installed with some extras."""
        environment = {"python_version": python, "python_full_version": f"{python}.0"}
        wanted = ["", *extras]
        return [
            requirement
            for requirement in self.requirements
            if requirement.marker is None
            or any(requirement.marker.evaluate({**environment, "extra": extra}) for extra in wanted)
        ]


def describe_folder(folder: Path, requirement: str) -> Described | None:
    """Return the distribution of a folder's pyproject.toml; None if it has no plugin."""
    project = read_pyproject(folder).get("project", {})
    entries = project.get("entry-points", {}).get(GROUP, {})
    if not entries or "name" not in project:
        return None
    if {"dependencies", "requires-python"} & {*project.get("dynamic", ())}:
        message = (
            f"what {folder / 'pyproject.toml'} requires is dynamic, and can only be read when it "
            "is installed: name the distribution in plugins of [tool.pegboard.matrix]"
        )
        raise MatrixError(message)
    return _described(
        project["name"],
        [*entries],
        [
            *project.get("dependencies", []),
            *_optional(project.get("optional-dependencies", {})),
        ],
        str(project.get("requires-python", "")),
        requirement,
        _version(folder, project.get("version")),
    )


def _version(folder: Path, version: object) -> str:
    """Return the version of a project; empty if it is dynamic, and thus known to a build only."""
    if version is None:
        return ""
    try:
        return str(Version(str(version)))
    except InvalidVersion as error:
        message = f"{folder / 'pyproject.toml'} has the version {version!r}, which is none"
        raise MatrixError(message) from error


def describe_installed(name: str) -> Described | None:
    """Return an installed distribution; None if there is none of this name."""
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        return None
    try:
        entries = [entry.name for entry in found.entry_points if entry.group == GROUP]
        # The type that it declares lacks `get`, and a subscript warns of what is not there.
        metadata = cast("Message", found.metadata)
        requires, python = found.requires or [], str(metadata.get("Requires-Python", ""))
    except Exception as error:
        message = f"the metadata of {name} is broken: {type(error).__name__}: {error}"
        raise MatrixError(message) from error
    if not entries:
        message = f"the distribution {name} has no plugin (no entry point of the group {GROUP})"
        raise MatrixError(message)
    return _described(name, entries, requires, python, name)


def installed_names() -> list[str]:
    """Return the names of the installed distributions that have plugins, sorted.

    One whose metadata is broken is left out: `pegboard plugins list` names it.
    """
    return sorted({*_names_with_plugins()})


def _names_with_plugins() -> Iterator[str]:
    for found in distributions():
        try:
            name = cast("Message", found.metadata).get("Name")
            if name and any(entry.group == GROUP for entry in found.entry_points):
                yield canonicalize_name(name)
        except Exception:  # noqa: BLE001, S112 - what a broken file leads to differs
            continue


def _optional(extras: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield what extras require, as the metadata of what is installed have it."""
    for extra, lines in extras.items():
        for line in lines:
            requirement, _, marker = line.partition(";")
            condition = f"({marker}) and " if marker.strip() else ""
            yield f'{requirement} ; {condition}extra == "{canonicalize_name(extra)}"'


def _described(
    name: str,
    entries: list[str],
    lines: list[str],
    python: str,
    requirement: str,
    version: str = "",
) -> Described:
    canonical = canonicalize_name(name)
    requirements = []
    for line in lines:
        try:
            requirements.append(Requirement(line))
        except InvalidRequirement as error:
            message = f"{name} requires {line!r}, which is no requirement: {error}"
            raise MatrixError(message) from error
    short = entries[0] if len(entries) == 1 else canonical.removeprefix("pegboard-")
    return Described(short, canonical, requirement, tuple(requirements), python, version)

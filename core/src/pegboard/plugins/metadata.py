"""Reading what the metadata of installed distributions says of plugins; some may be broken.

What `importlib.metadata.entry_points` makes of one broken file is an error for all distributions.
Here a distribution without plugins is left alone, and a broken one with plugins is told apart.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution as MetadataDistribution
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import TYPE_CHECKING, cast

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from email.message import Message

ENTRY_POINT_GROUP = "pegboard.plugins"
"""The group of the entry points that are plugins."""

_VERSION = re.compile(r"^Version:[ \t]*(\S+)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_FOLDER = re.compile(r"(?P<name>.*?)(?:-(?P<version>[^-]+)(?:-.*)?)?\.(?:dist|egg)-info")


@dataclass(frozen=True)
class Distribution:
    """What packaging metadata says of the distribution that a plugin belongs to."""

    name: str
    """The name as its metadata spells it."""
    version: str
    """The version as its metadata has it."""
    requires: Mapping[NormalizedName, Requirement] = field(default_factory=dict)
    """What it requires in this environment, by canonical name, without extras."""

    @property
    def canonical_name(self) -> NormalizedName:
        """The name as requirements are compared by."""
        return canonicalize_name(self.name)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class InstalledPlugin:
    """An entry point of a distribution."""

    name: str
    """The name of the entry point; that of the distribution if it has none."""
    distribution: Distribution
    entry_point: EntryPoint | None
    """None if its metadata is broken."""
    fault: str | None
    """What is wrong with the metadata, with the path; None if nothing is."""


def read_plugins(folder: Path | None = None) -> Iterator[InstalledPlugin]:
    """Yield the plugins of all installed distributions; of one name the first distribution counts.

    With a folder they are those in it. Reads the entry points of every distribution, which costs
    milliseconds.
    """
    seen: set[str] = set()
    found = distributions() if folder is None else distributions(path=[str(folder)])
    for distribution in found:
        name, _ = _folder_name(distribution)
        if name not in seen:
            seen.add(name)
            yield from _plugins_of(distribution)


def plugin_names(distribution: MetadataDistribution) -> list[str]:
    """Return the names of a distribution's plugins."""
    return sorted(plugin.name for plugin in _plugins_of(distribution))


def find_version(distribution: MetadataDistribution) -> Version | None:
    """Return the version of a distribution; None if its metadata has no valid one."""
    try:
        # `distribution.version` parses the whole file, with a description that may be long: for
        # what four plugins require that was an eighth of the time in which an app is built.
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        found = _VERSION.search(text.partition("\n\n")[0])
        return Version(found[1] if found else distribution.version)
    except Exception:  # noqa: BLE001 - what a broken file leads to differs between releases of Python
        return None


def path_of(distribution: MetadataDistribution) -> str:
    """Return the folder of a distribution's metadata."""
    return str(getattr(distribution, "_path", "") or distribution)


def _folder_name(distribution: MetadataDistribution) -> tuple[str, str]:
    """Return name and version of a distribution by the name of its folder, which needs no file."""
    path = getattr(distribution, "_path", None)
    found = _FOLDER.fullmatch(path.name) if path is not None else None
    if found is None:
        return path_of(distribution), "?"
    return canonicalize_name(found["name"]), found["version"] or "?"


def _plugins_of(distribution: MetadataDistribution) -> Iterator[InstalledPlugin]:
    try:
        lines = (distribution.read_text("entry_points.txt") or "").splitlines()
    except (OSError, UnicodeDecodeError):
        return  # it cannot be known whether it is a plugin's
    entries = [*_entries(lines)]
    if not entries:
        return
    described, fault = _describe(distribution)
    for name, value in entries:
        entry_point = EntryPoint(name, value, ENTRY_POINT_GROUP)
        wrong = fault
        if not name or EntryPoint.pattern.match(value) is None:
            wrong = f"the entry point {f'{name} = {value}'.strip()!r} names no module"
        yield InstalledPlugin(
            name or described.name,
            described,
            None if wrong else entry_point,
            wrong and f"its metadata in {path_of(distribution)} is broken: {wrong}",
        )


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names and values of the group in a file `entry_points.txt`."""
    group = ""
    for line in map(str.strip, lines):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif group == ENTRY_POINT_GROUP and line and not line.startswith(("#", ";")):
            name, _, value = map(str.strip, line.partition("="))
            yield name, value


def _describe(distribution: MetadataDistribution) -> tuple[Distribution, str | None]:
    """Return a distribution as its metadata describes it, and what is wrong there."""
    try:
        # The type that it declares lacks `get`, and a subscript warns of what is not there.
        metadata = cast("Message", distribution.metadata)
        name, version = metadata.get("Name", ""), metadata.get("Version", "")
        if not name:
            fault = "there is no METADATA with a name"
        elif not version or find_version(distribution) is None:
            fault = f"{version!r} is no version" if version else "there is no version"
        else:
            return Distribution(name, version, requires_of(distribution)), None
    except Exception as error:  # noqa: BLE001 - what a broken file leads to differs between releases
        fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Distribution(*_folder_name(distribution)), fault


def requires_of(distribution: MetadataDistribution) -> dict[NormalizedName, Requirement]:
    """Return what a distribution requires in this environment, by canonical name."""
    requires: dict[NormalizedName, Requirement] = {}
    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = canonicalize_name(requirement.name)
            if (known := requires.get(name)) is not None:  # both hold
                requirement.specifier &= known.specifier
                requirement.extras |= known.extras
            requires[name] = requirement
    return requires

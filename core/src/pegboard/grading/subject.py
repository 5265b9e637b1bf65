"""The plugin that is graded: where its code, its source and its table of the grade are."""

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from pegboard.grading.errors import GradeError, Unavailable
from pegboard.grading.options import Options, read_options
from pegboard.plugins import Candidate, installed_plugins, plugin_name

if TYPE_CHECKING:
    from email.message import Message

SHIPPED = "extra_metadata/pyproject.toml"
"""Where a wheel may carry the pyproject.toml, in the folder of its metadata (as hatchling does)."""


@dataclass(frozen=True)
class Subject:
    """An installed plugin."""

    name: str
    """The name of its entry point."""
    package: str
    """Its import package."""
    folder: Path
    """The folder of that package, as it is installed."""
    metadata: Distribution
    """The metadata of its distribution."""
    needs: tuple[str, ...]
    """The names of the plugins that its distribution requires, directly or by others."""
    source_folder: Path | None
    """The folder of its pyproject.toml; None for a wheel without its source."""
    pyproject: Mapping[str, Any]
    """What its pyproject.toml has; empty if that is not at hand."""
    options: Options
    """Its table of the grade."""

    @property
    def source(self) -> Path:
        """The folder of its pyproject.toml; raises `Unavailable` without it."""
        if self.source_folder is None:
            message = (
                "needs the source: install it with pip install -e, run this in its folder, or "
                "name the folder by --source"
            )
            raise Unavailable(message)
        return self.source_folder

    @property
    def distribution(self) -> str:
        """The name of its distribution."""
        return self.metadata.metadata["Name"]

    @property
    def version(self) -> str:
        """The version of its distribution."""
        return self.metadata.version

    def field(self, name: str) -> str:
        """Return a field of the metadata; empty if it is not there."""
        # It is an `email.message.Message`, which the declared type does not say.
        found: str = cast("Message", self.metadata.metadata).get(name, "")
        return found

    @property
    def description(self) -> str:
        """The readme, as the metadata of its distribution has it."""
        metadata = cast("Message", self.metadata.metadata)
        text = metadata.get_payload() or self.field("Description")
        return text if isinstance(text, str) else ""

    @cached_property
    def modules(self) -> tuple[Path, ...]:
        """Its Python files, as they are installed."""
        return tuple(sorted(self.folder.rglob("*.py")))


def find_subject(name: str, tiers: Collection[str], source: Path | None = None) -> Subject:
    """Find an installed plugin without importing it; `source` is the folder of its pyproject.toml.

    Without `source` it is that of an editable installation, else the current folder if it is that
    of the plugin. Raises `GradeError` for a plugin that is not installed, a source that is
    another's, or a table of the grade with mistakes.
    """
    installed = installed_plugins()
    try:
        name = plugin_name(name, installed)
    except ValueError as error:
        raise GradeError(str(error)) from error
    candidate = next((one for one in installed if one.name == name), None)
    if candidate is None:
        names = ", ".join(one.name for one in installed) or "none"
        message = f"{name} is not installed; the installed plugins are: {names}"
        raise GradeError(message)
    if candidate.fault or candidate.distribution is None:
        message = f"{name} cannot be graded: {candidate.fault}"
        raise GradeError(message)
    metadata = distribution(candidate.distribution.name)
    spec = find_spec(candidate.package)
    if spec is None:
        message = f"{name}: there is no package {candidate.package}; install it again"
        raise GradeError(message)
    if not spec.submodule_search_locations:
        message = (
            f"{name} is the one module {candidate.package}, and only a package can be graded: make "
            f"it {candidate.package}/__init__.py"
        )
        raise GradeError(message)
    found = _find_source(metadata, source)
    pyproject = _read(found / "pyproject.toml") if found else _shipped(metadata)
    return Subject(
        name,
        candidate.package,
        Path(spec.submodule_search_locations[0]),
        metadata,
        _needs_of(candidate, installed),
        found,
        pyproject,
        read_options(pyproject, tiers),
    )


def find_claims(tiers: Collection[str]) -> dict[str, str]:
    """Return the tiers that installed plugins claim, without checking them, by plugin.

    One without a claim is left out, as is one whose table has mistakes, and a wheel that does not
    carry its pyproject.toml.
    """
    found = {}
    for candidate in installed_plugins():
        if candidate.fault or candidate.distribution is None:
            continue
        metadata = distribution(candidate.distribution.name)
        try:
            source = _find_source(metadata, None)
            pyproject = _read(source / "pyproject.toml") if source else _shipped(metadata)
            claim = read_options(pyproject, tiers).claim
        except (GradeError, OSError):
            continue
        if claim is not None:
            found[candidate.name] = claim
    return found


def _find_source(metadata: Distribution, source: Path | None) -> Path | None:
    name = canonicalize_name(metadata.metadata["Name"])
    if source is not None:
        found = _project(source)
        if found is None or canonicalize_name(found.get("name", "")) != name:
            message = f"{source} is not the source of {name}: no pyproject.toml there is its own"
            raise GradeError(message)
        version = found.get("version", metadata.version)
        if version != metadata.version:
            message = (
                f"{source} is the source of {name} {version}, and {metadata.version} is installed; "
                "install what is to be graded"
            )
            raise GradeError(message)
        return source.resolve()
    for folder in (_editable(metadata), Path.cwd()):
        project = folder and _project(folder)
        if folder and project and canonicalize_name(project.get("name", "")) == name:
            return folder.resolve()
    return None


def _project(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    found: Mapping[str, Any] = _read(path).get("project", {})
    return found


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {error}"
        raise GradeError(message) from error


def _editable(metadata: Distribution) -> Path | None:
    """Return the folder that an editable installation was made from."""
    try:
        url = json.loads(metadata.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not url.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(url["url"]).path))


def _shipped(metadata: Distribution) -> Mapping[str, Any]:
    """Return the pyproject.toml that a wheel carries."""
    try:
        return tomllib.loads(metadata.read_text(SHIPPED) or "")
    except tomllib.TOMLDecodeError as error:
        message = f"{SHIPPED} of {metadata.metadata['Name']}: {error}"
        raise GradeError(message) from error


def _needs_of(candidate: Candidate, installed: Collection[Candidate]) -> tuple[str, ...]:
    """Return the plugins whose distributions a plugin's requires, in the order of their names."""
    by_distribution: dict[str, list[Candidate]] = {}
    for one in installed:
        if one.distribution:
            by_distribution.setdefault(one.distribution.canonical_name, []).append(one)
    found: dict[str, Candidate] = {}
    waiting = [candidate]
    while waiting:
        one = waiting.pop()
        for required in one.distribution.requires if one.distribution else ():
            for plugin in by_distribution.get(required, ()):
                if plugin.name not in found and plugin.name != candidate.name:
                    found[plugin.name] = plugin
                    waiting.append(plugin)
    return tuple(sorted(found))

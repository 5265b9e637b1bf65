"""The versions of Pegboard that a plugin accepts, which a newer one is added to."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name
from packaging.version import Version

from pegboard.scaffold.errors import ScaffoldError

_UPPER = {"<", "<=", "==", "~="}
"""Operators by which a requirement may refuse a version because it is too new."""
_HEAD = re.compile(r"\s*[A-Za-z0-9._-]+\s*(\[[^]]*\])?")


def accept_core(folder: Path, core: str) -> bool:
    """Let the plugin in a folder accept this version of Pegboard; returns whether it did not.

    Changed is each requirement of its `pyproject.toml` for which the version is too new: as in a
    plugin that is written today, it then accepts this one and those until the next that may be
    incompatible. Raises `ScaffoldError` for a file that cannot be read or changed.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        return False
    try:
        text = path.read_bytes().decode("utf-8")
        project = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path} cannot be read: {error}"
        raise ScaffoldError(message) from error
    outdated = {line for line in _requirements(project) if _is_older(line, Version(core))}
    for line in sorted(outdated):
        text = _replaced(text, line, _accepting(line, core), path)
    if outdated:
        path.write_bytes(text.encode("utf-8"))
    return bool(outdated)


def _requirements(project: dict[str, Any]) -> Iterator[str]:
    table = project.get("project", {})
    yield from table.get("dependencies", [])
    for group in table.get("optional-dependencies", {}).values():
        yield from group
    for group in project.get("dependency-groups", {}).values():
        yield from (line for line in group if isinstance(line, str))


def _is_older(line: str, core: Version) -> bool:
    """Return whether a requirement is one of Pegboard for which this version is too new only."""
    try:
        found = Requirement(line)
    except InvalidRequirement:
        return False  # the installer says so
    refusing = [one for one in found.specifier if not one.contains(core, prereleases=True)]
    return (
        canonicalize_name(found.name) == "pegboard"
        and bool(refusing)
        and all(_is_upper(one, core) for one in refusing)
    )


def _is_upper(one: Specifier, core: Version) -> bool:
    return one.operator in _UPPER and Version(one.version.removesuffix(".*")) <= core


def _accepting(line: str, core: str) -> str:
    head = _HEAD.match(line)
    assert head is not None  # the requirement is valid
    _, semicolon, marker = line.partition(";")
    return f"{head[0].strip()}>={core},<{_next_incompatible(Version(core))}{semicolon}{marker}"


def _next_incompatible(core: Version) -> str:
    return str(core.major + 1) if core.major else f"0.{core.minor + 1}"


def _replaced(text: str, old: str, new: str, path: Path) -> str:
    for quote in "\"'":
        if f"{quote}{old}{quote}" in text:
            return text.replace(f"{quote}{old}{quote}", f"{quote}{new}{quote}")
    message = f"{path} requires {old}: write {new} instead, and commit that."
    raise ScaffoldError(message)

"""The distributions of this repository, and what they declare."""

import configparser
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def folders() -> list[Path]:
    """Return the folder of each distribution that is released."""
    return [ROOT / "core", *_below("plugins")]


def kit() -> list[Path]:
    """Return the folder of each distribution that is released for authors of plugins alone."""
    return [ROOT / "tox_pegboard"]


def examples() -> list[Path]:
    """Return the folder of each distribution that only teaches."""
    return _below("examples")


def _below(folder: str) -> list[Path]:
    return sorted(path.parent for path in ROOT.glob(f"{folder}/*/pyproject.toml"))


def tables() -> Iterator[dict[str, Any]]:
    """Yield the `project` table of each distribution."""
    for folder in (*folders(), *kit()):
        yield table(folder)


def table(folder: Path) -> dict[str, Any]:
    """Return the `project` table of a distribution."""
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def requirements() -> list[str]:
    """Return every requirement of every distribution on others, extras included."""
    found = set()
    for table in tables():
        found.update(table["dependencies"])
        for extra in table.get("optional-dependencies", {}).values():
            found.update(extra)
    return sorted(line for line in found if not line.startswith(("pegboard", "tox-pegboard")))


def tools() -> list[str]:
    """Return what the environments of tox.ini install besides."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    lines = {
        line.rpartition(": ")[2]  # behind what says in which of them
        for section in parser.sections()
        for line in parser.get(section, "deps", fallback="").splitlines()
    }
    return [
        "cyclonedx-bom",
        "editables",
        "tox",
        "tox-uv",
        *sorted(line for line in lines if line[:1].isalpha()),
    ]

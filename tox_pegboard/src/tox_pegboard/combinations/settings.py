"""The table `[tool.pegboard.matrix]` of a pyproject.toml: what is combined, and how."""

import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from tox_pegboard.combinations.values import AXES, MatrixError

TABLE = "[tool.pegboard.matrix]"

CORES = ("lowest", "released", "newest")


@dataclass(frozen=True)
class Settings:
    """What the table says; each key is a field."""

    plugins: tuple[str, ...] | None = None
    """Distributions, by name or by folder; None means all installed ones that have plugins."""
    pythons: tuple[str, ...] | None = None
    """Versions as `3.12`; without it those of the project's classifiers."""
    databases: tuple[str, ...] = ("sqlite",)
    """Of `sqlite` and `postgresql`."""
    redis: tuple[str, ...] = ("none",)
    """Of `none`, `valkey` and `redis`."""
    core: tuple[str, ...] = ("released",)
    """Of `lowest`, `released` and `newest`."""
    newest: str = "pegboard"
    """The requirement that brings the newest core; `pegboard` means its newest pre-release."""
    subsets: int = 16
    """All sets of plugins are combined while there are at most so many."""
    strength: int = 2
    """Every group of so many plugins and values occurs in some combination."""
    max_jobs: int | None = None
    """No more combinations than these."""
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What plugins require, by name; of a distribution instead of its metadata."""
    exclude: tuple[Mapping[str, str | tuple[str, ...]], ...] = ()
    """Tables of `plugins` and values of axes which are not combined."""
    deps: tuple[str, ...] = ("pegboard[testing]",)
    """What each environment has besides."""
    commands: tuple[str, ...] = ("pytest {posargs}",)
    """What each environment runs."""
    install: bool = True
    """Whether tox installs core and plugins; else a command of its own environments does."""


ALLOWED = {
    "databases": ("sqlite", "postgresql"),
    "redis": ("none", "valkey", "redis"),
    "core": CORES,
}

FACTORS = {"none": "noredis"}
"""What the names of environments say instead of a value."""

STRONGEST = 6
"""Beyond this hardly anything fails that a smaller group does not, and the groups are legion."""

NUMBER: tuple[type, str] = (int, "a whole number above 0")
SINGLE: dict[str, tuple[type, str]] = {
    "subsets": NUMBER,
    "strength": (int, f"a whole number above 0, and at most {STRONGEST}"),
    "max_jobs": NUMBER,
    "install": (bool, "true or false"),
    "newest": (str, "a requirement, as in 'pegboard>=1.0rc1'"),
}
"""The keys that have one value: its type, and the words for it."""


def installs(line: str) -> bool:
    """Return whether a line can be one of requirements: of a version, a place or an option."""
    if line.startswith(("-", ".")) or "/" in line or "{" in line:
        return True  # a folder, an address, an option of pip, or what tox replaces
    try:
        Requirement(line)
    except InvalidRequirement:
        return False
    return True


def runs(line: str) -> bool:
    """Return whether a line can be a command."""
    try:
        return bool(shlex.split(line))
    except ValueError:  # a quote has no end
        return False


LINES: dict[str, tuple[Callable[[str], bool], str]] = {
    "deps": (installs, "requirement, as 'pytest>=8' or '-r requirements.txt' are"),
    "commands": (runs, "command, as 'pytest {posargs}' is"),
}
"""The keys whose texts are lines: what tells whether one can be such, and the words for it."""


def read_pyproject(root: Path) -> dict[str, Any]:
    """Return what a folder's pyproject.toml says; nothing if there is none."""
    path = root / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}"
        raise MatrixError(message) from error


def has_matrix(pyproject: Mapping[str, Any]) -> bool:
    """Return whether a pyproject.toml has the table."""
    tool = pyproject.get("tool")
    kit = tool.get("pegboard") if isinstance(tool, dict) else None
    return isinstance(kit, dict) and "matrix" in kit


def read_settings(pyproject: Mapping[str, Any]) -> Settings:
    """Return the settings. Raises `MatrixError` that names what is unknown or of another type."""
    table = pyproject["tool"]["pegboard"]["matrix"] if has_matrix(pyproject) else {}
    if not isinstance(table, dict):
        message = f"{TABLE} is {table!r}, and must be a table"
        raise MatrixError(message)
    known = [key.name for key in fields(Settings)]
    for key in table:
        if key not in known:
            raise MatrixError(unknown(f"the key {key!r} of {TABLE}", key, known))
    return Settings(**{key: _convert(key, value) for key, value in table.items()})


def _convert(key: str, value: Any) -> Any:
    if key == "needs":
        if not isinstance(value, dict):
            raise MatrixError(
                _wrong(key, value, "a table of lists: needs = { plugin = ['other'] }")
            )
        return {name: _texts(f"needs.{name}", others) for name, others in value.items()}
    if key == "exclude":
        if not isinstance(value, list):
            raise MatrixError(_wrong(key, value, "a list of tables"))
        return tuple(_exclusion(table) for table in value)
    return _single(key, value) if key in SINGLE else _several(key, value)


def _single(key: str, value: Any) -> Any:
    kind, wanted = SINGLE[key]
    is_wrong = type(value) is not kind or (type(value) is int and value < 1)
    if is_wrong or (key == "strength" and value > STRONGEST):
        raise MatrixError(_wrong(key, value, wanted))
    if key == "newest" and not installs(value):
        raise MatrixError(_wrong(key, value, wanted))
    return value


def _several(key: str, value: Any) -> tuple[str, ...]:
    texts = _texts(key, value)
    for text in texts:
        if text not in ALLOWED.get(key, texts):
            raise MatrixError(unknown(f"{text!r} in {key} of {TABLE}", text, ALLOWED[key]))
        if key in LINES and not LINES[key][0](text):
            message = f"{text!r} in {key} of {TABLE} is no {LINES[key][1]}"
            raise MatrixError(message)
    if not texts and key in (*ALLOWED, "pythons", "commands"):
        raise MatrixError(_wrong(key, value, "a list with a value at least"))
    return texts


def _exclusion(value: Any) -> dict[str, str | tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        message = "a table, as in { plugins = ['a', 'b'] } or { plugins = ['a'], redis = 'none' }"
        raise MatrixError(_wrong("exclude", value, message))
    known = ("plugins", *AXES)
    for key, wanted in value.items():
        if key not in known:
            raise MatrixError(unknown(f"the key {key!r} in exclude of {TABLE}", key, known))
        if key != "plugins" and not isinstance(wanted, str):
            raise MatrixError(_wrong(f"exclude.{key}", wanted, "a text"))
    return {
        key: _texts("exclude.plugins", wanted) if key == "plugins" else wanted
        for key, wanted in value.items()
    }


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise MatrixError(_wrong(key, value, "a list of texts"))
    if twice := sorted({text for text in value if value.count(text) > 1}):
        message = f"{key} of {TABLE} has {', '.join(twice)} twice"
        raise MatrixError(message)
    return tuple(value)


def _wrong(key: str, value: Any, wanted: str) -> str:
    return f"{key} of {TABLE} is {value!r}, and must be {wanted}"


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """Return the message for a name that is not known, with the nearest that is."""
    near = get_close_matches(name, known, n=1)
    # In quotes: 'none' is a value.
    hint = f"Did you mean {near[0]}?" if near else f"There is {', '.join(map(repr, known))}."
    return f"{what} is not known. {hint}"

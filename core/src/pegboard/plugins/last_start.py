"""Which plugins a service had when it was started last, to tell what has changed since."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pegboard.plugins.contributions import Plugin
from pegboard.plugins.discovery import Candidate

FILE = "last-start.json"
"""The file in the instance folder of the service."""

_LEFT_OUT = {"__pycache__"}


@dataclass(frozen=True)
class Started:
    """What was started: a plugin, or the core."""

    version: str | None
    """The version of its distribution; None without one."""
    files: str
    """A digest of the files of its package."""


def record_start(folder: Path, plugins: Iterable[Plugin]) -> None:
    """Write which plugins are started; does nothing where the folder cannot be written."""
    content = {name: asdict(one) for name, one in _current(plugins).items()}
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / f"{FILE}.{os.getpid()}"
        written.write_text(json.dumps(content, indent=2), encoding="utf-8")
        written.replace(folder / FILE)


def changes_since_start(folder: Path, plugins: Iterable[Plugin]) -> Iterator[tuple[str, str]]:
    """Yield what differs from the last start: the name of a plugin or `pegboard`, and how.

    Nothing if no start is recorded in the folder.
    """
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        before = {str(name): Started(**one) for name, one in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return
    now = _current(plugins)
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old is None:
            yield name, "is active, and was not at the last start"
        elif new is None:
            yield name, "was active at the last start, and is not"
        elif old.version != new.version:
            yield name, f"has version {new.version}, and had {old.version} at the last start"
        elif old.files != new.files:
            yield name, f"has other files than at the last start, and still version {new.version}"


def _current(plugins: Iterable[Plugin]) -> dict[str, Started]:
    found = {"pegboard": Started(version("pegboard"), code_digest("pegboard"))}
    for plugin in plugins:
        label = plugin.distribution.version if plugin.distribution else None
        found[plugin.name] = Started(label, code_digest(plugin.package))
    return found


def files_of(plugin: Candidate) -> Iterator[Path]:
    """Yield the files of a plugin's import package, without importing it."""
    yield from _files(plugin.package).values()


def code_digest(package: str) -> str:
    """Return a digest of the files of an import package, without importing it."""
    digest = hashlib.blake2b(digest_size=16)
    for name, path in _files(package).items():
        with suppress(OSError):
            content = path.read_bytes()
            digest.update(f"{name}:{len(content)}:".encode())
            digest.update(content)
    return digest.hexdigest()


def _files(package: str) -> dict[str, Path]:
    """Return the files of a package by their path in it."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return {}
    found = {
        path.relative_to(folder).as_posix(): path
        for folder in (spec and spec.submodule_search_locations) or ()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and _LEFT_OUT.isdisjoint(path.parts)
    }
    if spec and spec.origin and not spec.submodule_search_locations:
        origin = Path(spec.origin)
        found[origin.name] = origin
    return found

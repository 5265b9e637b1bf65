"""What is left over, doubled, unused or changed around a service."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Literal

from packaging.utils import canonicalize_name
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pegboard.database import availability_hint
from pegboard.inspection.diagnosis import Diagnosis
from pegboard.migrations import MigrationError, Orphan, check_revisions, find_orphans
from pegboard.plugins import Plugin, changes_since_start, files_of
from pegboard.problems import Problem
from pegboard.settings import declarations_of

_BY_NAME = {"asdict", "fields", "getattr", "vars"}
"""Functions that read settings whose names the source does not have."""


@dataclass(frozen=True)
class Finding:
    """Something that an operator or an author should look at."""

    kind: Literal["setting", "distribution", "change", "database"]
    name: str
    """The setting, the distribution or the plugin."""
    text: str
    is_problem: bool = True
    """Whether something is to be done; a change may be all right."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.text}"


def find_leftovers(found: Diagnosis) -> tuple[tuple[Orphan, ...], Finding | None]:
    """Return tables and histories of the database that no known plugin has.

    In place of those that cannot be known there is a finding.
    """
    partial = found.partial
    if partial is None or not partial.has_settings:
        return (), Finding("database", "not looked at", "the settings cannot be used")
    known = [*found.registry.plugins]
    names = {plugin.name for plugin in known}
    tables = {name for plugin in known if plugin.metadata for name in plugin.metadata.tables}
    try:
        orphans = find_orphans(partial.app)
    except (SQLAlchemyError, MigrationError) as error:
        cause = " ".join(str(getattr(error, "orig", error)).split())
        if isinstance(error, DBAPIError):
            cause = f"{cause.rstrip('.?')}. {availability_hint(error)}"
        return (), Finding("database", "not looked at", cause)
    of_known = {"history": names, "table": tables}
    return tuple(one for one in orphans if one.name not in of_known[one.kind]), None


def find_revision_problems(found: Diagnosis) -> Iterator[Problem]:
    """Yield what is wrong with the revision files, as far as an app can be built."""
    partial = found.partial
    by_name = {plugin.name: plugin for plugin in found.registry.plugins}
    for problem in check_revisions(partial.app) if partial is not None else ():
        plugin = by_name.get(problem.plugin or "")
        yield plugin.adopt(problem) if plugin is not None else problem


def find_unread(found: Diagnosis) -> Iterator[Finding]:
    """Yield settings that nobody reads: variables without a setting, and settings without a use."""
    for unused in found.registry.unused:
        near = f" Did you mean {unused.near}?" if unused.near else ""
        yield Finding("setting", unused.name, f"nobody reads it: {unused.reason}.{near}")
    words: dict[str, set[str] | None] = {}
    for plugin in found.registry.plugins:
        words[plugin.name] = _words_of(plugin)
    if None in words.values():
        return  # it cannot be known
    used = set().union(*filter(None, words.values()))
    for plugin in found.registry.plugins:
        if plugin.settings is None:
            continue
        for one in declarations_of(plugin.settings, plugin.name):
            if used.isdisjoint({one.field, one.key, one.variable}):
                text = f"{plugin.name} declares it, and no module of a plugin reads it"
                yield Finding("setting", one.variable, text)


def _words_of(plugin: Plugin) -> set[str] | None:
    """Return attributes and texts of a plugin's modules; None if it may read settings by name."""
    found: set[str] = set()
    for path in files_of(plugin):
        if path.suffix != ".py":
            continue
        try:
            module = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(module):
            match node:
                case ast.Attribute(attr=name):
                    found.add(name)
                case ast.Constant(value=str(text)):
                    found.add(text)
                case ast.Call(func=ast.Name(id=name)) if name in _BY_NAME:
                    if plugin.settings is not None and _may_be_settings(node):
                        return None
    return found


def _may_be_settings(call: ast.Call) -> bool:
    """Return whether the first argument of a call is called settings."""
    match call.args[:1]:
        case [ast.Name(id=name)] | [ast.Attribute(attr=name)]:
            return "settings" in name.lower()
        case [ast.Call()]:
            return True
    return False


def find_doubled() -> Iterator[Finding]:
    """Yield distributions of the platform that are installed twice, as in two folders.

    They are Pegboard, those of plugins, and what either requires.
    """
    places: dict[str, dict[Path, str]] = {}
    names: set[str] = set()
    for one in distributions():
        path = getattr(one, "_path", None)
        try:
            name: str = canonicalize_name(one.name, validate=True)
            version, requires = str(one.version), one.requires or ()
            groups = {entry.group for entry in one.entry_points}
        except Exception:  # noqa: BLE001, S112 - what a broken file leads to differs between releases of Python
            continue
        if path is None:
            continue
        places.setdefault(name, {}).setdefault(Path(path).resolve(), version)
        if name == "pegboard" or "pegboard.plugins" in groups:
            names |= {name, *map(_required, requires)}
    for name in sorted(names & places.keys()):
        if len(places[name]) > 1:
            (first, used), *others = places[name].items()
            rest = ", ".join(f"{version} in {path.parent}" for path, version in others)
            text = f"{used} in {first.parent} is used, and there is {rest}; uninstall one"
            yield Finding("distribution", name, text)


def _required(requirement: str) -> str:
    return canonicalize_name(re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0])


def find_changes(found: Diagnosis, folder: Path) -> Iterator[Finding]:
    """Yield what of the plugins has changed since the service was started from this folder."""
    for name, text in changes_since_start(folder, found.registry.plugins):
        yield Finding("change", name, text, is_problem=False)

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
from pegboard.plugins import ENTRY_POINT_GROUP, Plugin, changes_since_start, files_of
from pegboard.problems import Problem
from pegboard.redaction import reason_of
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
        cause = reason_of(error)
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
    used = set().union(*filter(None, words.values()))
    for plugin in found.registry.plugins:
        if plugin.settings is None or words[plugin.name] is None:
            continue  # none, or it cannot be known
        for one in declarations_of(plugin.settings, plugin.name):
            if used.isdisjoint({one.field, one.key, one.variable}):
                text = f"{plugin.name} declares it, and no module or template of a plugin reads it"
                yield Finding("setting", one.variable, text)


def _words_of(plugin: Plugin) -> set[str] | None:
    """Return attributes and texts of a plugin's modules, and words of its other files.

    Returns None if it may read settings by name.
    """
    found: set[str] = set()
    for path in files_of(plugin):
        try:
            content = path.read_bytes()
            if path.suffix != ".py":  # it may be a template, which has whatever name
                found.update(re.findall(r"\w+", content.decode(errors="replace")))
                continue
            module = ast.parse(content)
        except (OSError, SyntaxError, ValueError):
            continue
        settings = {*_names_of_settings(module)}
        for node in ast.walk(module):
            match node:
                case ast.Attribute(attr="__dict__", value=owner) if _is_settings(owner, settings):
                    return None
                case ast.Attribute(attr=name):
                    found.add(name)
                case ast.Constant(value=str(text)):
                    found.add(text)
                case ast.Call(func=function, args=[owner, *rest]) if _is_settings(owner, settings):
                    if _last(function) in _BY_NAME and not _is_of_constant(function, rest):
                        return None
    return found


def _names_of_settings(module: ast.Module) -> Iterator[str]:
    """Yield the names and attributes that are given what `get_settings` returns."""
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=targets, value=ast.Call(func=function)):
                given = targets
            case (
                ast.NamedExpr(target=target, value=ast.Call(func=function))
                | ast.AnnAssign(target=target, value=ast.Call(func=function))
            ):
                given = [target]
            case _:
                continue
        if _last(function) == "get_settings":
            yield from filter(None, map(_last, given))


def _is_settings(owner: ast.expr, names: set[str]) -> bool:
    """Return whether an expression is an object with settings, or their class."""
    if isinstance(owner, ast.Call):
        return _last(owner.func) == "get_settings"
    name = _last(owner)
    # What a function is given is known by its name alone.
    return name is not None and (name in names or name.lower().endswith("settings"))


def _is_of_constant(function: ast.expr, rest: list[ast.expr]) -> bool:
    """Return whether it is `getattr` with a name that the source has."""
    return _last(function) == "getattr" and bool(rest) and isinstance(rest[0], ast.Constant)


def _last(node: ast.expr) -> str | None:
    """Return a name, or that of the last attribute."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


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
        if name == "pegboard" or ENTRY_POINT_GROUP in groups:
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

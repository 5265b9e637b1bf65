"""From settings and metadata to what can be combined."""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tox_pegboard.combinations.metadata import (
    CORE,
    Described,
    describe_folder,
    describe_installed,
    installed_names,
)
from tox_pegboard.combinations.settings import TABLE, Settings, has_matrix, unknown
from tox_pegboard.combinations.values import AXES, Exclusion, MatrixError, Plugin, Space

VERSION = "Programming Language :: Python :: "


def build_space(root: Path, pyproject: Mapping[str, Any], settings: Settings) -> Space:
    """Return what a project combines: its own plugin with all others, or others alone."""
    own = describe_folder(root, ".") if "project" in pyproject else None
    others = [_describe(one, root, settings) for one in _wanted(pyproject, settings)]
    others = [one for one in others if own is None or one.distribution != own.distribution]
    found = [*([own] if own else []), *others]
    _check_names(found, settings)
    plugins = {one.distribution: _plugin(one, found, settings) for one in found}
    for one in found:
        _check_needs(one, plugins, settings)
    axes = {
        "python": settings.pythons or _pythons(pyproject),
        "core": settings.core,
        "database": settings.databases,
        "redis": settings.redis,
    }
    for text in axes["python"]:
        if not re.fullmatch(r"3\.\d+", text):
            message = f"pythons of {TABLE} has {text!r}: write a version as 3.12"
            raise MatrixError(message)
    always = (plugins[own.distribution],) if own else ()
    return Space(
        tuple(plugins[one.distribution] for one in others),
        always,
        axes,
        (
            *_unsupported(plugins.values(), axes["python"]),
            *(_exclusion(one, plugins.values()) for one in settings.exclude),
        ),
    )


def _wanted(pyproject: Mapping[str, Any], settings: Settings) -> Iterable[str]:
    """Return what is combined. What is installed decides only where a project says nothing.

    Else its matrix would be another one beside tox, in CI and on the machine of a colleague.
    """
    if settings.plugins is None and has_matrix(pyproject):
        message = (
            f"{TABLE} names no plugins: say which are combined, as in "
            "plugins = ['pegboard-items', './plugins/audit']"
        )
        raise MatrixError(message)
    return installed_names() if settings.plugins is None else settings.plugins


def _describe(text: str, root: Path, settings: Settings) -> Described:
    if _is_folder(text):
        described = describe_folder(root / text, text)
        if described is None:
            message = f"plugins of {TABLE} names {text!r}, where no pyproject.toml has a plugin"
            raise MatrixError(message)
        return described
    canonical = canonicalize_name(text)
    short = canonical.removeprefix("pegboard-").replace("-", "_")
    if short in settings.needs:
        # Not its metadata, so that the matrix is the same where it is not installed.
        return Described(short, canonical, text)
    installed = describe_installed(text)
    if installed is None:
        message = (
            f"what {text} requires is not known, as it is not installed here: say it in {TABLE}, "
            f"as in needs = {{ {short} = [] }}, or install it (beside tox it is installed where "
            "requires of tox names it)"
        )
        raise MatrixError(message)
    return installed


def _is_folder(requirement: str) -> bool:
    return "/" in requirement or requirement.startswith(".")


def _check_needs(one: Described, by_distribution: Mapping[str, Plugin], settings: Settings) -> None:
    """Refuse a table that contradicts the metadata, where these are here."""
    installed = describe_installed(one.distribution) if one.name in settings.needs else None
    if installed is None or _is_folder(one.requirement):
        return
    if installed.name != one.name:
        message = (
            f"needs of {TABLE} names {one.name}, but the plugin of {one.distribution} is "
            f"{installed.name}: leave it out of needs, and install it beside tox"
        )
        raise MatrixError(message)
    required = {
        by_distribution[name].name for name in installed.requires if name in by_distribution
    }
    if missing := required - by_distribution[one.distribution].needs - {one.name}:
        message = (
            f"needs of {TABLE} does not say that {one.name} requires "
            f"{', '.join(sorted(missing))}, which its metadata says"
        )
        raise MatrixError(message)


def _check_names(found: Iterable[Described], settings: Settings) -> None:
    names: dict[str, str] = {}
    for one in found:
        if "-" in one.name or one.name in RESERVED:
            message = f"the plugin {one.name} of {one.distribution} has no name for an environment"
            raise MatrixError(message)
        if other := names.get(one.name):
            message = f"{other} and {one.distribution} both have a plugin {one.name}"
            raise MatrixError(message)
        names[one.name] = one.distribution
    for name in (*settings.needs, *(one for needs in settings.needs.values() for one in needs)):
        if name not in names:
            raise MatrixError(unknown(f"the plugin {name} in needs of {TABLE}", name, [*names]))


RESERVED = {"core", "all", "sqlite", "postgresql", "noredis", "valkey", "redis"} | {
    "lowest",
    "released",
    "newest",
}
"""What names of environments say otherwise."""


def _plugin(one: Described, found: list[Described], settings: Settings) -> Plugin:
    by_distribution = {other.distribution: other for other in found}
    by_name = {other.name: other for other in found}
    reached: dict[str, Described | None] = {}

    def reach(described: Described) -> None:
        direct = [*described.requires]
        direct += [by_name[name].distribution for name in settings.needs.get(described.name, ())]
        for name in direct:
            if name == CORE or name in reached:
                continue
            other = by_distribution.get(name)
            if other is None:
                # It is no plugin of the matrix, but what it requires may be one.
                other = _installed_or_none(name)
            reached[name] = other
            if other is not None:
                reach(other)

    reach(one)
    needs = {by_distribution[name].name for name in reached if name in by_distribution}
    return Plugin(
        one.name,
        one.requirement,
        frozenset(needs - {one.name}),
        one.requires_python,
        one.requires.get(CORE, ""),
    )


def _installed_or_none(name: str) -> Described | None:
    try:
        return describe_installed(name)
    except MatrixError:
        return None


def _pythons(pyproject: Mapping[str, Any]) -> tuple[str, ...]:
    classifiers = pyproject.get("project", {}).get("classifiers", ())
    versions = (one.removeprefix(VERSION) for one in classifiers if one.startswith(VERSION))
    found = [one for one in versions if re.fullmatch(r"3\.\d+", one)]
    return tuple(sorted(found, key=Version)) or (f"3.{sys.version_info.minor}",)


def _unsupported(plugins: Iterable[Plugin], pythons: Iterable[str]) -> Iterable[Exclusion]:
    for plugin in plugins:
        # A release of the version that is newer than any: requires-python may say >=3.12.4.
        supported = SpecifierSet(plugin.requires_python)
        for python in pythons:
            if not supported.contains(f"{python}.999"):
                yield Exclusion(frozenset([plugin.name]), {"python": python})


def _exclusion(table: Mapping[str, str | tuple[str, ...]], plugins: Iterable[Plugin]) -> Exclusion:
    names = [one.name for one in plugins]
    wanted = table.get("plugins", ())
    for name in wanted:
        if name not in names:
            raise MatrixError(unknown(f"the plugin {name} in exclude of {TABLE}", name, names))
    values = {axis: str(table[axis]) for axis in AXES if axis in table}
    return Exclusion(frozenset(wanted), values)

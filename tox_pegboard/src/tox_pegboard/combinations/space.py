"""From settings and metadata to what can be combined."""

import re
import sys
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tox_pegboard.combinations.cores import incompatible
from tox_pegboard.combinations.metadata import (
    Described,
    describe_folder,
    describe_installed,
    installed_names,
)
from tox_pegboard.combinations.requirements import read_plugins
from tox_pegboard.combinations.settings import (
    ALLOWED,
    FACTORS,
    TABLE,
    Settings,
    has_matrix,
    unknown,
)
from tox_pegboard.combinations.values import (
    AXES,
    Exclusion,
    MatrixError,
    Plugin,
    Space,
    is_folder,
)
from tox_pegboard.combinations.versions import contradicting

VERSION = "Programming Language :: Python :: "


def build_space(root: Path, pyproject: Mapping[str, Any], settings: Settings) -> Space:
    """Return what a project combines: its own plugin with all others, or others alone."""
    own = describe_folder(root, ".") if "project" in pyproject else None
    others = [_describe(text, root, settings) for text in _wanted(pyproject, settings)]
    others = [other for other in others if own is None or other.distribution != own.distribution]
    found = [*([own] if own else []), *others]
    _check_names(found, settings)
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
    plugins = read_plugins(found, settings, axes["python"])
    for described in found:
        _check_needs(described, plugins, settings, axes["python"])
    return Space(
        tuple(plugins[described.distribution] for described in others),
        (plugins[own.distribution],) if own else (),
        axes,
        (
            *_unsupported(plugins.values(), axes["python"]),
            *incompatible(plugins.values(), axes, settings.newest),
            *contradicting(plugins.values(), axes["python"]),
            *(_exclusion(table, plugins.values(), axes) for table in settings.exclude),
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
    if is_folder(text):
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


def _check_needs(
    described: Described, plugins: Mapping[str, Plugin], settings: Settings, pythons: Iterable[str]
) -> None:
    """Refuse a table that contradicts the metadata, where these are here."""
    if described.name not in settings.needs or is_folder(described.requirement):
        return
    installed = describe_installed(described.distribution)
    if installed is None:
        return
    if installed.name != described.name:
        message = (
            f"needs of {TABLE} names {described.name}, but the plugin of {described.distribution} "
            f"is {installed.name}: leave it out of needs, and install it beside tox"
        )
        raise MatrixError(message)
    required = {
        plugins[name].name
        for python in pythons
        for requirement in installed.requires(python)
        if (name := canonicalize_name(requirement.name)) in plugins
    }
    if missing := required - plugins[described.distribution].needs - {described.name}:
        message = (
            f"needs of {TABLE} does not say that {described.name} requires "
            f"{', '.join(sorted(missing))}, which its metadata says"
        )
        raise MatrixError(message)


def _check_names(found: Iterable[Described], settings: Settings) -> None:
    names: dict[str, str] = {}
    for described in found:
        if not _is_factor(described.name):
            message = (
                f"the plugin {described.name} of {described.distribution} has no name for an "
                "environment, where it means something else: leave it out of the plugins of "
                f"{TABLE}, or have its authors choose another name"
            )
            raise MatrixError(message)
        if other := names.get(described.name):
            message = f"{other} and {described.distribution} both have a plugin {described.name}"
            raise MatrixError(message)
        names[described.name] = described.distribution
    for name in (*settings.needs, *chain.from_iterable(settings.needs.values())):
        if name not in names:
            raise MatrixError(unknown(f"the plugin {name} in needs of {TABLE}", name, [*names]))


RESERVED = {"core", "all"} | {
    FACTORS.get(value, value) for values in ALLOWED.values() for value in values
}
"""What names of environments say otherwise."""

INTERPRETERS = ("py", "pypy", "cpython", "jython", "graalpy", "rustpython", "ironpython")
"""What tox reads as a Python, also with a version behind it."""


def _is_factor(name: str) -> bool:
    """Return whether a plugin can be called so in the names of environments."""
    is_python = re.fullmatch(rf"(?:{'|'.join(INTERPRETERS)})[0-9]*t?d?", name)
    return "-" not in name and name not in RESERVED and not is_python


def _pythons(pyproject: Mapping[str, Any]) -> tuple[str, ...]:
    classifiers = pyproject.get("project", {}).get("classifiers", ())
    versions = (text.removeprefix(VERSION) for text in classifiers if text.startswith(VERSION))
    found = [version for version in versions if re.fullmatch(r"3\.\d+", version)]
    if not found and has_matrix(pyproject):
        message = (
            f"{TABLE} names no pythons, and the project has no classifiers of any: say which, as "
            "in pythons = ['3.11', '3.12']"
        )
        raise MatrixError(message)
    return tuple(sorted(found, key=Version)) or (f"3.{sys.version_info.minor}",)


def _unsupported(plugins: Iterable[Plugin], pythons: Iterable[str]) -> Iterable[Exclusion]:
    for plugin in plugins:
        # A release of the version that is newer than any: requires-python may say >=3.12.4.
        supported = SpecifierSet(plugin.requires_python)
        for python in pythons:
            if not supported.contains(f"{python}.999"):
                reason = f"{plugin.name} requires Python {plugin.requires_python}"
                yield Exclusion(
                    frozenset([plugin.name]), {"python": python}, reason, is_unsupported=True
                )


def _exclusion(
    table: Mapping[str, str | tuple[str, ...]],
    plugins: Iterable[Plugin],
    axes: Mapping[str, tuple[str, ...]],
) -> Exclusion:
    names = [plugin.name for plugin in plugins]
    wanted = table.get("plugins", ())
    for name in wanted:
        if name not in names:
            raise MatrixError(unknown(f"the plugin {name} in exclude of {TABLE}", name, names))
    values = {axis: str(table[axis]) for axis in AXES if axis in table}
    for axis, value in values.items():
        if value not in axes[axis]:
            what = f"the {axis} {value!r} in exclude of {TABLE}"
            raise MatrixError(unknown(what, value, axes[axis]))
    return Exclusion(frozenset(wanted), values)

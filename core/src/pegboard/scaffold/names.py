"""The names of a new plugin, and why some cannot be used."""

import builtins
import keyword
import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from packaging.utils import canonicalize_name

from pegboard.plugins import (
    FIRST_PARTY,
    LONGEST_NAME,
    RESERVED_NAMES,
    installed_plugins,
    is_plugin_name,
)
from pegboard.scaffold import taken
from pegboard.scaffold.errors import ScaffoldError
from pegboard.scaffold.plurals import singular
from pegboard.settings import CoreSettings, declarations_of

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_PACKAGE = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 64
"""Characters of the name of a distribution or package: lines of code have it beside others."""
_FOLDERS = ("conftest", "src", "tests")
"""Folders and modules beside the package."""


@dataclass(frozen=True)
class Names:
    """What a plugin and its parts are called."""

    name: str
    """The plugin: the name of its entry point, and the prefix of its settings and hooks."""
    distribution: str
    """What is installed."""
    package: str
    """What is imported."""
    rows: str
    """What its rows are called, as in `work_orders`: the table, the resource and its commands."""
    noun: str
    """What one row is called, as in `work_order`."""


def find_names(
    name: str,
    *,
    distribution: str | None = None,
    package: str | None = None,
    rows: str | None = None,
    noun: str | None = None,
) -> Names:
    """Return the names of a new plugin; raises `ScaffoldError` if one cannot be used.

    By default the distribution of `work_orders` is `pegboard-work-orders`, its package
    `pegboard_work_orders`, its rows are `work_orders`, and one row is a `work_order`.
    """
    distribution = distribution or _distribution_of(name)
    package = package or f"pegboard_{name}"
    rows = name if rows is None else rows
    found = Names(name, distribution, package, rows, singular(rows) if noun is None else noun)
    if faults := list(_faults(found)):
        raise ScaffoldError("\n".join(faults))
    return found


def _faults(names: Names) -> Iterator[str]:
    """Yield a sentence for each name that cannot be used; of the plugin's name the first only."""
    plugin = next(_plugin_faults(names.name), None)
    if plugin is not None:
        yield plugin
        return  # the others are made from it
    yield from _distribution_faults(names.distribution)
    yield from _package_faults(names.package)
    if names.rows != names.name and (fault := next(rows_faults(names.rows), None)):
        yield fault
        return
    yield from noun_faults(names.name, names.noun)


def rows_faults(rows: str) -> Iterator[str]:
    """Yield a sentence for each reason why the rows of a plugin cannot be called so."""
    another = "Choose another by --resource."
    if not is_plugin_name(rows):
        yield (
            f"{rows!r} cannot be the name of a resource: it is made of lower-case letters, digits "
            f"and underscores, begins with a letter, and has at most {LONGEST_NAME} characters. "
            f"{another}"
        )
        return
    for fault in (*taken.of_word(rows), *taken.of_part(rows)):
        yield f"{fault}. {another}"
    if _distribution_of(rows) in FIRST_PARTY:
        yield f"{rows} is a plugin of Pegboard itself. {another}"
    for plugin in installed_plugins():
        if plugin.name == rows:
            yield f"{rows} is the name of an installed plugin, {plugin.label}. {another}"


def _plugin_faults(name: str) -> Iterator[str]:
    if not is_plugin_name(name):
        near = _name_like(name)
        meant = f" Did you mean {near}?" if near != name and is_plugin_name(near) else ""
        yield (
            f"{name!r} cannot be the name of a plugin: it is made of lower-case letters, digits "
            f"and underscores, begins with a letter, and has at most {LONGEST_NAME} characters."
            f"{meant}"
        )
    another = "choose another name."
    for fault in taken.of_word(name):
        yield f"{fault}: {another}"
    if name in RESERVED_NAMES:
        yield f"{name} means something else in the commands that take a plugin's name: {another}"
    for fault in (*taken.of_part(name), *taken.of_environment(name)):
        yield f"{fault}: {another}"
    yield from _taken_faults(name)


def _name_like(name: str) -> str:
    """Return a name of letters that plugins may have; empty where a letter has none like it."""
    letters = unicodedata.normalize("NFKD", name.casefold().removeprefix("pegboard-"))
    plain = "".join(one for one in letters if not unicodedata.combining(one))
    if any(one.isalnum() and not one.isascii() for one in plain):
        return ""
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _taken_faults(name: str) -> Iterator[str]:
    if _distribution_of(name) in FIRST_PARTY:
        yield f"{name} is a plugin of Pegboard itself: pip install {_distribution_of(name)}."
    for plugin in installed_plugins():
        if plugin.name == name:
            yield f"{name} is installed already, as {plugin.label}: choose another name."
    prefix = f"{name.upper()}_"
    for declaration in declarations_of(CoreSettings, None):
        if declaration.key.startswith(prefix):
            yield (
                f"the settings of a plugin {name} would begin with {prefix}, as "
                f"{declaration.key} of the core does: choose another name."
            )


def _distribution_faults(name: str) -> Iterator[str]:
    if not _DISTRIBUTION.fullmatch(name):
        yield (
            f"{name!r} cannot be the name of a distribution: it is made of letters, digits, and "
            "between them dots, dashes and underscores. Choose one by --distribution."
        )
        return
    yield from _length_faults(name, "distribution")
    if canonicalize_name(name) in FIRST_PARTY:
        yield f"{name} is a plugin of Pegboard itself. Choose another by --distribution."
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    yield (
        f"a distribution {canonicalize_name(name)} is installed already ({found.version}). "
        "Choose another by --distribution."
    )


def _package_faults(name: str) -> Iterator[str]:
    another = "Choose another by --package."
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        yield f"{name!r} cannot be imported: it is no name of Python, or a keyword. {another}"
        return
    if not _PACKAGE.fullmatch(name):
        yield (
            f"{name!r} cannot be the name of the package: it is made of lower-case letters, digits "
            f"and underscores, and begins with a letter. {another}"
        )
    yield from _length_faults(name, "package")
    if name in _FOLDERS:
        yield f"{name} is something else in the folder of the plugin. {another}"
    elif canonicalize_name(name) in FIRST_PARTY:
        yield f"{name} is the package of a plugin of Pegboard itself. {another}"
    elif name in sys.stdlib_module_names:
        yield f"{name} is a module of Python's standard library. {another}"
    elif find_spec(name) is not None:
        yield f"a package {name} is installed already. {another}"


def _length_faults(name: str, option: str) -> Iterator[str]:
    if len(name) > _LONGEST:
        yield (
            f"{name} has more than the {_LONGEST} characters that the name of a {option} can have. "
            f"Choose another by --{option}."
        )


def noun_faults(name: str, noun: str) -> Iterator[str]:
    """Yield a sentence for each reason why one row of a plugin cannot be called so."""
    another = "Say by --noun what one row is called, as in --noun work_order."
    if not is_plugin_name(noun) or keyword.iskeyword(noun):
        yield f"{noun!r} cannot be what one row is called. {another}"
        return
    if noun in taken.FIRST_PARTY_NOUNS:
        yield f"{noun} is what operations of Pegboard itself are called by. {another}"
    model = _camel(noun)
    called = f"the class of one {noun} would be called {model}"
    if (
        model in {*taken.written_names(), f"{_camel(name)}Settings"}
        or hasattr(builtins, model)
        or keyword.iskeyword(model)
    ):
        yield f"{called}, which is taken. {another}"
    elif model in {"I", "O"}:
        yield f"{called}, which looks like a digit. {another}"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _distribution_of(plugin: str) -> str:
    """Return what the distribution of a plugin is called where nobody chooses another name."""
    return f"pegboard-{plugin.replace('_', '-')}"

"""Writes into the JUnit report of pytest what `pegboard plugins grade` reads of each test.

That are its distribution with version and code, the contracts that its class inherits and which of
their tests were left out, its databases and fixtures, the environment that it ran in, and what it
has shown there. The fixtures of the testing kit load it; without them it is
`pytest -p pegboard.testing.evidence`.
"""

import json
import platform
import tomllib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import pytest
from packaging.utils import canonicalize_name

from pegboard.plugins import ENTRY_POINT_GROUP
from pegboard.testing import proofs

PROPERTY = "pegboard"
RUN_PROPERTY = "pegboard.run"
DATABASES = ("sqlite", "postgresql")

_PROVES = "pegboard_proves"

_SOME_TEXT = "pegboard: a text that only a filter for all texts matches"
_CATEGORIES = (
    DeprecationWarning,
    FutureWarning,
    PendingDeprecationWarning,
    ResourceWarning,
    RuntimeWarning,
    SyntaxWarning,
    UserWarning,
)

F = TypeVar("F", bound=Callable[..., object])


def proves(rule: str) -> Callable[[F], F]:
    """Mark a test of a contract as the one that a rule of the grade asks for, by the rule's id."""

    def mark(test: F) -> F:
        setattr(test, _PROVES, rule)
        return test

    return mark


_COLLECTED = pytest.StashKey[dict[str, pytest.Item]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Remember a test of a contract, of which `-k`, `-m` and `--deselect` may leave some out."""
    if _is_reported(item.config) and _contracts(item)["contracts"]:
        item.session.stash.setdefault(_COLLECTED, {})[item.nodeid] = item


def pytest_collection_finish(session: pytest.Session) -> None:
    """Give each test that is going to run the property, if a report is written."""
    if not _is_reported(session.config):
        return
    environment = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "plugins": sorted(one.name for one in entry_points(group=ENTRY_POINT_GROUP)),
    }
    left_out = _left_out(session)
    for item in session.items:
        is_written = any(name == PROPERTY for name, _ in item.user_properties)
        project = None if is_written else _project_of(item.path.parent)
        if project is not None:
            folder = Path(project["folder"])
            evidence = {
                "distribution": project["distribution"],
                "code": _code_of(project["distribution"]),
                **_evidence(item, folder),
                "left_out": [_name(item.path, one, folder) for one in left_out[_class_of(item)]],
                **environment,
            }
            item.user_properties.append((PROPERTY, json.dumps(evidence, sort_keys=True)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget what the test before, or the removal of its fixtures, has shown."""
    proofs.take()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Write down what a test has shown, and which plugin or resource it was about.

    Whether a warning fails it is tried where its fixtures are in place, by the filters that there
    are then: whatever option, configuration, mark or fixture made them.
    """
    raises_warnings = _raises_warnings(item)
    try:
        return (yield)
    finally:
        names = {name for name, _ in item.user_properties}
        if PROPERTY in names and RUN_PROPERTY not in names:
            found = {
                "proofs": proofs.take(),
                "raises_warnings": raises_warnings,
                **_object_of(getattr(item, "funcargs", {})),
            }
            item.user_properties.append((RUN_PROPERTY, json.dumps(found, sort_keys=True)))


def _raises_warnings(item: pytest.Item) -> bool:
    """Return whether a warning of each category raises, in the test and in the plugin's modules."""
    project = _project_of(item.path.parent)
    modules = _modules_of(project["distribution"]) if project else ()
    return _all_raise(tuple(warnings.filters), ("__main__", *modules))


@cache
def _all_raise(_filters: tuple[object, ...], modules: tuple[str, ...]) -> bool:
    """Try it by the filters that are in force, which are given for the cache alone."""
    with warnings.catch_warnings(record=True):
        for module in modules:
            for category in _CATEGORIES:
                try:
                    warnings.warn_explicit(_SOME_TEXT, category, f"{module}.py", 1, module, {})
                except category:
                    continue
                return False
    return True


@cache
def _modules_of(distribution: str) -> tuple[str, ...]:
    """Return the names of the modules of a distribution's plugins, as warnings have them."""
    from pegboard.plugins import files_of, installed_plugins  # noqa: PLC0415 - not at the start

    own = canonicalize_name(distribution)
    found = []
    for one in installed_plugins():
        if one.distribution is None or one.distribution.canonical_name != own:
            continue
        top = one.package.partition(".")[0]
        for path in files_of(one):
            if path.suffix == ".py" and top in path.parts:
                parts = path.with_suffix("").parts
                start = len(parts) - 1 - parts[::-1].index(top)
                found.append(".".join(parts[start:]).removesuffix(".__init__"))
    return tuple(found)


def _is_reported(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "xmlpath", None))


def _object_of(fixtures: dict[str, Any]) -> dict[str, str | None]:
    """Return what a contract is about, by the fixtures that its class overrides."""
    plugin, resource = fixtures.get("plugin_name"), fixtures.get("resource")
    blueprint = getattr(resource, "blueprint", None)
    return {
        "plugin": plugin if isinstance(plugin, str) else None,
        "resource": getattr(blueprint, "name", None),
        "resource_package": getattr(blueprint, "import_name", "").partition(".")[0] or None,
    }


def _class_of(item: pytest.Item) -> tuple[Path, type | None]:
    return item.path, getattr(item, "cls", None)


def _left_out(session: pytest.Session) -> dict[tuple[Path, type | None], list[str]]:
    """Return by class the node ids of the tests of its contracts that are not going to run."""
    found = defaultdict[tuple[Path, type | None], list[str]](list)
    running = {item.nodeid for item in session.items}
    by_class = defaultdict[tuple[Path, type | None], list[pytest.Item]](list)
    for item in session.items:
        if getattr(item, "cls", None) is not None:
            by_class[_class_of(item)].append(item)
    for nodeid, item in session.stash.get(_COLLECTED, {}).items():
        if nodeid not in running:
            found[_class_of(item)].append(nodeid)
            by_class[_class_of(item)].append(item)
    for place, items in by_class.items():
        there = {getattr(one, "originalname", one.name) for one in items}
        prefix = items[0].nodeid.rpartition("::")[0]
        found[place] += [f"{prefix}::{name}" for name in _names_of_tests(place[1]) - there]
    return found


def _names_of_tests(owner: type | None) -> set[str]:
    """Return the names of the tests that a class has of its contracts."""
    contracts = [one for one in (owner.__mro__ if owner else ()) if _is_contract(one)]
    bases = {base for one in contracts for base in one.__mro__}
    return {name for base in bases for name in vars(base) if name.startswith("test_")}


@cache
def _code_of(distribution: str) -> dict[str, dict[str, str]]:
    """Return version and digest of the code of the plugins of a distribution, as installed."""
    from pegboard.plugins import code_digest, installed_plugins  # noqa: PLC0415 - not at the start

    own = canonicalize_name(distribution)
    return {
        one.name: {"version": one.distribution.version, "digest": code_digest(one.package)}
        for one in installed_plugins()
        if one.distribution is not None and one.distribution.canonical_name == own
    }


def _name(path: Path, nodeid: str, folder: Path) -> str:
    return f"{path.relative_to(folder)}::{nodeid.partition('::')[2]}"


@cache
def _project_of(folder: Path) -> dict[str, str] | None:
    """Return name and folder of the distribution whose pyproject.toml is nearest above."""
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        if path.is_file():
            try:
                found = tomllib.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                return None
            if name := found.get("project", {}).get("name"):
                return {"distribution": name, "folder": str(parent)}
    return None


def _evidence(item: pytest.Item, folder: Path) -> dict[str, Any]:
    owner: type | None = getattr(item, "cls", None)
    names = {*getattr(item, "fixturenames", ())}
    databases = {*_databases_of_the_kit(item)}
    databases |= {"postgresql"} if names & {"postgres_url", "own_postgres"} else set()
    if "sqlite_url" in names or (not databases and names & {"make_app", "make_shared_app"}):
        databases.add("sqlite")
    return {
        "name": _name(item.path, item.nodeid, folder),
        "class": owner.__qualname__ if owner else "",
        **_contracts(item),
        "proves": getattr(getattr(item, "function", None), _PROVES, None),
        "databases": sorted(databases),
        "fixtures": sorted({*_of_the_kit(item)}),
        "marks": sorted({mark.name for mark in item.iter_markers()}),
    }


def _contracts(item: pytest.Item) -> dict[str, Any]:
    """Return the contracts that have a test, and those of which it replaces one."""
    owner: type | None = getattr(item, "cls", None)
    name = getattr(item, "originalname", item.name)
    bases = [one for one in (owner.__mro__ if owner else ()) if _is_contract(one)]
    definer = next((one for one in (owner.__mro__ if owner else ()) if name in vars(one)), None)
    kept = [one for one in bases if definer in one.__mro__]
    replaced = [one for one in bases if one not in kept and hasattr(one, name)]
    return {
        "contracts": sorted(one.__name__ for one in kept),
        "replaces": sorted(one.__name__ for one in replaced),
    }


def _is_contract(base: type) -> bool:
    return base.__name__.endswith("Contract") and _is_of_the_kit(base)


def _databases_of_the_kit(item: pytest.Item) -> Iterator[str]:
    """Yield the databases for which the kit runs a test again: by its fixtures and contracts.

    A parameter of the plugin's own, or a fixture that replaces the kit's, may use any database.
    """
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    is_of_contract = _is_of_the_kit(getattr(item, "function", None))
    for name, value in getattr(getattr(item, "callspec", None), "params", {}).items():
        found = definitions.get(name, ())
        if not (is_of_contract or (found and _is_of_the_kit(found[-1].func))):
            continue
        if isinstance(value, str) and value in DATABASES:
            yield value


def _is_of_the_kit(function: object) -> bool:
    return str(getattr(function, "__module__", "")).startswith("pegboard.testing.")


def _of_the_kit(item: pytest.Item) -> Iterator[str]:
    """Yield the fixtures of the testing kit that a test asks for, also by other fixtures."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name, found in definitions.items():
        if any(_is_of_the_kit(one.func) for one in found):
            yield name

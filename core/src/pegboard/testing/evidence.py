"""Writes into the JUnit report of pytest what `pegboard plugins grade` reads of each test.

That are its distribution, the contracts that its class inherits, its databases and fixtures, and
the environment that it ran in. The fixtures of the testing kit load it; without them it is
`pytest -p pegboard.testing.evidence`.
"""

import json
import platform
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import pytest

PROPERTY = "pegboard"
DATABASES = ("sqlite", "postgresql")

_PROVES = "pegboard_proves"

F = TypeVar("F", bound=Callable[..., object])


def proves(rule: str) -> Callable[[F], F]:
    """Mark a test of a contract as the one that a rule of the grade asks for, by the rule's id."""

    def mark(test: F) -> F:
        setattr(test, _PROVES, rule)
        return test

    return mark


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Give each test the property, if a report is written."""
    if not getattr(config.option, "xmlpath", None):
        return
    environment = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "plugins": sorted(one.name for one in entry_points(group="pegboard.plugins")),
        "raises_warnings": "error" in config.getini("filterwarnings"),
    }
    for item in items:
        is_written = any(name == PROPERTY for name, _ in item.user_properties)
        project = None if is_written else _project_of(item.path.parent)
        if project is not None:
            evidence = {**project, **_evidence(item, Path(project["folder"])), **environment}
            del evidence["folder"]
            item.user_properties.append((PROPERTY, json.dumps(evidence, sort_keys=True)))


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
    arguments = getattr(getattr(item, "callspec", None), "params", {})
    names = {*getattr(item, "fixturenames", ())}
    databases = {
        value for value in arguments.values() if isinstance(value, str) and value in DATABASES
    }
    databases |= {"postgresql"} if names & {"postgres_url", "own_postgres"} else set()
    if "sqlite_url" in names or (not databases and names & {"make_app", "make_shared_app"}):
        databases.add("sqlite")
    return {
        "name": f"{item.path.relative_to(folder)}::{item.nodeid.partition('::')[2]}",
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
    return base.__name__.endswith("Contract") and base.__module__.startswith("pegboard.testing.")


def _of_the_kit(item: pytest.Item) -> Iterator[str]:
    """Yield the fixtures of the testing kit that a test asks for, also by other fixtures."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name, found in definitions.items():
        if any(one.func.__module__.startswith("pegboard.testing.") for one in found):
            yield name

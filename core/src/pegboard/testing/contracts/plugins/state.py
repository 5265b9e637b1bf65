"""What a plugin's modules keep, compared before and after an app is built."""

import sys
from collections.abc import Iterator
from types import ModuleType

from pegboard.grading import is_within
from pegboard.testing.host_values import Contents, contents, is_same


def module_state(package: str) -> dict[str, Contents]:
    """Return the values of the modules of a package, and of their classes, by their names."""
    return dict(_state(package))


def _state(package: str) -> Iterator[tuple[str, Contents]]:
    for name, module in [*sys.modules.items()]:
        if not is_within(name, package):
            continue
        for key, value in [*vars(module).items()]:
            # A module that is imported late is no state, and pytest adds names of its own.
            if isinstance(value, ModuleType) or key.startswith(("__", "@")):
                continue
            yield f"{name}.{key}", contents(value)
            if isinstance(value, type) and value.__module__ == name:
                for member, one in [*vars(value).items()]:
                    if not member.startswith("_") and isinstance(one, dict | list | set):
                        yield f"{name}.{key}.{member}", contents(one)


def changed(before: dict[str, Contents], after: dict[str, Contents]) -> list[str]:
    """Return the names whose values have changed, which have come or which have gone."""
    return sorted(
        name
        for name in before.keys() | after.keys()
        if not _is_same(before.get(name), after.get(name))
    )


def _is_same(before: Contents | None, after: Contents | None) -> bool:
    return before is not None and after is not None and is_same(before, after)

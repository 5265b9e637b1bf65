"""The names of combinations: those of their tox environments.

`py312-notes-items-postgresql` is Python 3.12, the project's own plugin `notes`, beside it `items`,
and PostgreSQL. An axis that has one value only is left out. Without a plugin of its own, `core`
stands for it.

A long list of plugins is written as a number: in `py312-notes-3plugins_b`, the bits of the
hexadecimal b say that the first, the second and the fourth plugin of the matrix are there. So each
name can be read, also that of a combination which is not in the matrix.
"""

import re
from collections.abc import Iterable

from tox_pegboard.combinations.values import Combination, MatrixError, Space

LONGEST = 60
"""The plugins that a name lists take up so many characters at most; a path has to hold it."""

_FACTORS = {"none": "noredis"}


def name_of(combination: Combination, space: Space) -> str:
    """Return the name; longer lists of plugins become `all`, or a number."""
    axes = (
        _FACTORS.get(value, value)
        for axis, value in combination.values.items()
        if axis != "python" and len(space.axes[axis]) > 1
    )
    python = f"py{combination.python.replace('.', '')}"
    plugins = _listed(combination.plugins, space)
    return "-".join([python, first_factor(space), *filter(None, [plugins]), *axes])


def _listed(plugins: tuple[str, ...], space: Space) -> str:
    text = "-".join(plugins)
    if len(text) <= LONGEST:
        return text
    if len(plugins) == len(space.plugins):
        return "all"
    bits = sum(1 << place for place, one in enumerate(space.plugins) if one.name in plugins)
    return f"{len(plugins)}plugins_{bits:x}"


def _parse_listed(factors: list[str], space: Space) -> list[str] | None:
    """Return the names of the plugins; None if the factors name something else."""
    known = [one.name for one in space.plugins]
    if factors == ["all"]:
        return known
    if len(factors) == 1 and (number := re.fullmatch(r"(\d+)plugins_([0-9a-f]+)", factors[0])):
        bits = int(number[2], 16)
        found = [name for place, name in enumerate(known) if bits >> place & 1]
        is_whole = bits < 1 << len(known) and len(found) == int(number[1])
        return found if is_whole else None
    return factors if {*factors} <= {*known} else None


def first_factor(space: Space) -> str:
    """Return what stands behind the interpreter: the project's plugin, or `core`."""
    return space.always[0].name if space.always else "core"


def parse_name(name: str, space: Space) -> Combination | None:
    """Return the combination of a name; None for that of another environment.

    Raises `MatrixError` for plugins or values that do not go together.
    """
    interpreter, *factors = name.split("-")
    version = re.fullmatch(r"py3(\d+)", interpreter)
    if version is None or not factors or factors.pop(0) != first_factor(space):
        return None
    values = {axis: allowed[0] for axis, allowed in space.axes.items()}
    values["python"] = f"3.{version[1]}"
    for axis in ("redis", "database", "core"):
        words = {_FACTORS.get(one, one): one for one in space.axes[axis]}
        if len(words) > 1 and factors and factors[-1] in words:
            values[axis] = words[factors.pop()]
    plugins = _parse_listed(factors, space)
    if plugins is None or values["python"] not in space.axes["python"]:
        return None
    return checked(plugins, values, space)


def checked(plugins: Iterable[str], values: dict[str, str], space: Space) -> Combination:
    """Return the combination. Raises `MatrixError` if it cannot be."""
    wanted = frozenset(plugins)
    if missing := space.with_needs(wanted) - wanted:
        message = f"{', '.join(sorted(wanted))} without {', '.join(sorted(missing))} cannot be"
        raise MatrixError(message)
    if not space.allows(wanted, values):
        message = f"{', '.join([*sorted(wanted), *values.values()])} is excluded"
        raise MatrixError(message)
    names = tuple(one.name for one in space.plugins if one.name in wanted)
    return Combination(names, **values)

"""The names of combinations: those of their tox environments.

`py312-notes-items-postgresql` is Python 3.12, the project's own plugin `notes`, beside it `items`,
and PostgreSQL. An axis that has one value only is left out. Without a plugin of its own, `core`
stands for it.
"""

import hashlib
import re
from collections.abc import Iterable

from tox_pegboard.combinations.values import Combination, MatrixError, Space

LONGEST = 60
"""The plugins that a name lists take up so many characters at most; a path has to hold it."""

_FACTORS = {"none": "noredis"}


def name_of(combination: Combination, space: Space, longest: int = LONGEST) -> str:
    """Return the name; longer lists of plugins become `all`, or a hash."""
    plugins = "-".join(combination.plugins)
    if len(plugins) > longest:
        if len(combination.plugins) == len(space.plugins):
            plugins = "all"
        else:
            digest = hashlib.sha256(plugins.encode()).hexdigest()
            plugins = f"{len(combination.plugins)}plugins_{digest[:8]}"
    axes = (
        _FACTORS.get(value, value)
        for axis, value in combination.values.items()
        if axis != "python" and len(space.axes[axis]) > 1
    )
    python = f"py{combination.python.replace('.', '')}"
    return "-".join([python, first_factor(space), *filter(None, [plugins]), *axes])


def first_factor(space: Space) -> str:
    """Return what stands behind the interpreter: the project's plugin, or `core`."""
    return space.always[0].name if space.always else "core"


def parse_name(name: str, space: Space) -> Combination | None:
    """Return the combination of a name that lists its plugins; None for another environment's.

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
    known = [one.name for one in space.plugins]
    if factors == ["all"]:
        factors = known
    if not {*factors} <= {*known} or values["python"] not in space.axes["python"]:
        return None
    return checked(factors, values, space)


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

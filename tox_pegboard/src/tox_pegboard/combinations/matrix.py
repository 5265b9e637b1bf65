"""Choosing the combinations."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tox_pegboard.combinations.cores import lowest_core
from tox_pegboard.combinations.cover import Tuple, choose, cover, uncovered
from tox_pegboard.combinations.names import name_of
from tox_pegboard.combinations.problem import Problem, Row, describe
from tox_pegboard.combinations.settings import Settings, read_pyproject, read_settings
from tox_pegboard.combinations.space import build_space
from tox_pegboard.combinations.values import Combination, MatrixError, Space


@dataclass(frozen=True)
class Matrix:
    """The combinations, and what they leave out."""

    space: Space
    settings: Settings
    combinations: tuple[Combination, ...] = ()
    has_all_subsets: bool = False
    """Whether every set of plugins is there that can be installed, as far as none is left out."""
    strength: int = 2
    """How many plugins and values a group has; every group is in some combination, or left out."""
    touching: str | None = None
    """The plugin that every combination has, if only such were wanted."""
    left_out: tuple[Combination, ...] = ()
    """The combinations that are not there, as there may be no more."""
    uncovered: tuple[str, ...] = ()
    """The groups of plugins and values that are only in combinations which are left out."""
    infeasible: tuple[str, ...] = ()
    """Plugins that no combination can have, as everything with them is excluded."""
    reasons: tuple[str, ...] = ()
    """Sentences: which plugins no combination can have, at least on some Python, and why."""

    @cached_property
    def by_name(self) -> dict[str, Combination]:
        """The combinations by the names of their environments."""
        return {name_of(combination, self.space): combination for combination in self.combinations}


def read_matrix(
    root: Path,
    *,
    strength: int | None = None,
    max_jobs: int | None = None,
    touching: str | None = None,
) -> Matrix:
    """Return the matrix of the project in a folder.

    `strength` and `max_jobs` replace what the project says; `touching` leaves only combinations
    with that plugin. Raises `MatrixError`.
    """
    space, settings = read_space(root)
    matrix = make_matrix(
        space,
        settings,
        strength=strength or settings.strength,
        max_jobs=max_jobs or settings.max_jobs,
        touching=touching,
    )
    for combination in matrix.combinations:
        if combination.core == "lowest" and settings.install:
            lowest_core(combination, matrix.space)  # so that it is known in every format
    return matrix


def read_space(root: Path) -> tuple[Space, Settings]:
    """Return what the project in a folder combines, of which choosing takes the longest.

    It is enough to know a combination by its name. Raises `MatrixError`.
    """
    pyproject = read_pyproject(root)
    settings = read_settings(pyproject)
    return build_space(root, pyproject, settings), settings


def make_matrix(
    space: Space,
    settings: Settings,
    *,
    strength: int = 2,
    max_jobs: int | None = None,
    touching: str | None = None,
) -> Matrix:
    """Return the matrix of what can be combined. The same input has the same result."""
    problem = describe(space, settings.subsets)
    touching = _plugin(touching, space)
    possible = sorted(cover(problem, strength), key=_smallest_first(problem, space))
    if not possible:
        raise _impossible(space)
    present_on: dict[str, frozenset[str]] = {}
    for row in possible:
        earlier = present_on.get(row["python"], frozenset())
        present_on[row["python"]] = earlier | problem.plugins_of(row)
    present = frozenset[str]().union(*present_on.values())
    wanted = [row for row in possible if touching in {None, *problem.plugins_of(row)}]
    chosen = wanted if max_jobs is None else choose(wanted, strength, max_jobs)
    lost = uncovered(wanted, chosen, strength)
    return Matrix(
        space,
        settings,
        tuple(_combination(row, problem, space) for row in chosen),
        problem.has_all_subsets,
        strength,
        touching,
        left_out=tuple(_combination(row, problem, space) for row in wanted if row not in chosen),
        uncovered=tuple(dict.fromkeys(_text(group, problem, space) for group in lost)),
        infeasible=tuple(one.name for one in space.plugins if one.name not in present),
        reasons=(*_left_out(present_on, space), *_reasons(space, present_on)),
    )


def _smallest_first(problem: Problem, space: Space) -> Callable[[Row], tuple[Any, ...]]:
    """Return the sort key of combinations: how many plugins, which, and then the other values."""
    order = {plugin.name: place for place, plugin in enumerate(space.plugins)}

    def key(row: Row) -> tuple[Any, ...]:
        plugins = problem.plugins_of(row)
        places = sorted(order[name] for name in plugins)
        axes = [space.axes[axis].index(row[axis]) for axis in space.axes]
        return len(plugins), places, axes

    return key


def _impossible(space: Space) -> MatrixError:
    """Return what tells that there is no combination, and why."""
    own = space.with_needs(()) | {plugin.name for plugin in space.own}
    certain = {one.reason for one in space.exclusions if one.plugins <= own}
    why = "; ".join(sorted(certain - {""})) or "everything is excluded"
    return MatrixError(f"no combination is possible: {why}")


def _left_out(pythons: Collection[str], space: Space) -> Iterator[str]:
    """Yield why there is no combination on a Python, given those on which there is one."""
    own = {plugin.name for plugin in space.own}
    for python in space.axes["python"]:
        if python not in pythons:
            where = {"python": python}
            found = [one for one in space.exclusions if one.values in ({}, where)]
            reasons = {one.reason for one in found if one.plugins <= own} - {""}
            why = "; ".join(sorted(reasons)) or "everything is excluded"
            yield f"there is no combination on Python {python}: {why}"


def _reasons(space: Space, present_on: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield why plugins are missing, given which there are on each Python that has any.

    That a plugin does not support some Python of several is no news, and not told.
    """
    own = frozenset(plugin.name for plugin in space.own)
    pythons = [python for python in space.axes["python"] if python in present_on]
    for plugin in space.plugins:
        found: dict[str, list[str]] = {}
        missing = [python for python in pythons if plugin.name not in present_on[python]]
        for python in missing:
            needed = {plugin.name} | space.with_needs([plugin.name], python) | own
            for one in space.exclusions:
                is_certain = one.plugins <= needed and one.values == {"python": python}
                is_news = len(missing) == len(pythons) or not (
                    one.is_unsupported and plugin.name in one.plugins
                )
                if one.reason and is_certain and is_news:
                    found.setdefault(one.reason, []).append(python)
        for reason, where in found.items():
            place = "" if len(where) == len(pythons) else f" on Python {', '.join(where)}"
            yield f"{plugin.name} is in no combination{place}: {reason}"


def _plugin(touching: str | None, space: Space) -> str | None:
    """Return the name of a plugin that is named so, or as its distribution or folder is.

    Returns None for the project's own, which every combination has.
    """
    if touching is None:
        return None
    for plugin in (*space.plugins, *space.own):
        named = {plugin.name, plugin.requirement, plugin.distribution}
        if touching in named or canonicalize_name(touching) == plugin.distribution:
            return None if plugin in space.own else plugin.name
    names = ", ".join(plugin.name for plugin in space.plugins)
    message = f"{touching} is no plugin of the matrix: {names or 'it has none'}"
    raise MatrixError(message)


def _combination(row: Mapping[str, str], problem: Problem, space: Space) -> Combination:
    plugins = problem.plugins_of(row)
    names = tuple(plugin.name for plugin in space.plugins if plugin.name in plugins)
    return Combination(names, **{axis: row[axis] for axis in space.axes})


def _text(group: Tuple, problem: Problem, space: Space) -> str:
    """Return a tuple in words, as `items with postgresql`; without axes that do not vary."""
    parts = [
        f"{key} {value}" if key in space.axes else problem.words(key, value)
        for key, value in sorted(group)
        if len(space.axes.get(key, "plugins")) > 1
    ]
    return " with ".join(parts)

"""A matrix as factors with values, and which of them go together.

There are two ways to describe the same plugins: while there are few sets of plugins that can be
installed, one factor has all of them as values; else each plugin is a factor that is on or off.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Protocol

from tox_pegboard.combinations.values import Exclusion, Space

ON, OFF = "on", "off"

Row = Mapping[str, str]
"""A value for each factor, or for some."""


class Problem(Protocol):
    """What is to be covered."""

    factors: dict[str, list[str]]
    constraints: list[dict[str, Any]]
    """As covertable has them."""
    has_all_subsets: bool
    """Whether every set of plugins that can be installed is wanted in any case."""

    def completions(self, partial: Row) -> Iterator[dict[str, str]]:
        """Yield whole rows with these values; none if the values do not go together."""

    def plugins_of(self, row: Row) -> frozenset[str]:
        """Return the plugins of a whole row."""

    def seeds(self) -> list[dict[str, str]]:
        """Return the rows that are wanted in any case, without values of the axes."""

    def words(self, key: str, value: str) -> str:
        """Return a factor that stands for plugins, with its value, in words."""


class Sets:
    """Every set of plugins that can be installed, as values of one factor."""

    has_all_subsets = True

    def __init__(self, space: Space, sets: list[frozenset[str]]) -> None:
        self._space = space
        self._sets = {str(number): plugins for number, plugins in enumerate(sets)}
        self.factors = {"plugins": list(self._sets), **{k: [*v] for k, v in space.axes.items()}}
        self.constraints = [
            *(self._not_complete(python) for python in space.axes["python"]),
            *(self._not_excluded(exclusion) for exclusion in space.exclusions),
        ]

    def _not_complete(self, python: str) -> dict[str, Any]:
        """Return that no set is on a Python where one of its plugins needs another."""
        with_needs = self._space.with_needs
        keys = [key for key, names in self._sets.items() if with_needs(names, python) != names]
        return _not_all([_among("plugins", keys), _equals("python", python)])

    def _not_excluded(self, exclusion: Exclusion) -> dict[str, Any]:
        own = {plugin.name for plugin in self._space.own}
        keys = [key for key, names in self._sets.items() if exclusion.plugins <= names | own]
        values = (_equals(axis, value) for axis, value in exclusion.values.items())
        return _not_all([_among("plugins", keys), *values])

    def completions(self, partial: Row) -> Iterator[dict[str, str]]:
        """Yield whole rows with these values."""
        choices = [[partial[key]] if key in partial else self.factors[key] for key in self.factors]
        for values in product(*choices):
            row = dict(zip(self.factors, values, strict=True))
            if self._space.allows(self.plugins_of(row), _axes(row, self._space)):
                yield row

    def plugins_of(self, row: Row) -> frozenset[str]:
        """Return the plugins of a whole row."""
        return self._sets[row["plugins"]]

    def seeds(self) -> list[dict[str, str]]:
        """Return every set."""
        return [{"plugins": key} for key in self._sets]

    def words(self, key: str, value: str) -> str:
        """Return the plugins of a set, as `items+audit`."""
        del key
        return "+".join(sorted(self._sets[value])) or "no plugin"


class Switches:
    """Each plugin as a factor that is on or off."""

    has_all_subsets = False

    def __init__(self, space: Space) -> None:
        self._space = space
        self._keys = {plugin.name: f"p{number}" for number, plugin in enumerate(space.plugins)}
        self._names = {key: name for name, key in self._keys.items()}
        self.factors = {
            **{key: [OFF, ON] for key in self._names},
            **{axis: [*values] for axis, values in space.axes.items()},
        }
        self.constraints = [
            *self._needs(),
            *(self._not_excluded(exclusion) for exclusion in space.exclusions),
        ]

    def _needs(self) -> Iterator[dict[str, Any]]:
        """Yield that no plugin is on without what it needs, on each Python."""
        pythons, with_needs = self._space.axes["python"], self._space.with_needs
        needed: dict[tuple[str, ...], list[str]] = {}
        for python in pythons:
            forced = with_needs((), python)
            for name in sorted(forced):
                needed.setdefault((name,), []).append(python)
            for name in self._keys:
                for other in sorted(with_needs([name], python) - forced - {name}):
                    needed.setdefault((other, name), []).append(python)
        for (other, *wanting), found in needed.items():
            present = (_equals(self._keys[one], ON) for one in wanting)
            terms = [_equals(self._keys[other], OFF), *present]
            # Each constraint is looked at very often, so what holds everywhere is one.
            everywhere = len(found) == len(pythons)
            for where in [[]] if everywhere else [[_equals("python", one)] for one in found]:
                yield _not_all([*terms, *where])

    def _not_excluded(self, exclusion: Exclusion) -> dict[str, Any]:
        present = sorted(exclusion.plugins & {*self._keys})
        values = (_equals(axis, value) for axis, value in exclusion.values.items())
        return _not_all([*(_equals(self._keys[name], ON) for name in present), *values])

    def completions(self, partial: Row) -> Iterator[dict[str, str]]:
        """Yield whole rows with these values, on each Python with as few plugins as can be.

        As nothing is excluded for a plugin that is absent, no row with more plugins is possible
        where none with the fewest is.
        """
        wanted = [self._names[key] for key, value in partial.items() if value == ON]
        axes = self._space.axes
        choices = [[partial[axis]] if axis in partial else axes[axis] for axis in axes]
        present = {python: self._space.with_needs(wanted, python) for python in axes["python"]}
        for values in product(*choices):
            row = dict(zip(axes, values, strict=True))
            plugins = present[row["python"]]
            is_off = any(partial.get(self._keys[name]) == OFF for name in plugins)
            if not is_off and self._space.allows(plugins, row):
                yield {**self._row(plugins), **row}

    def plugins_of(self, row: Row) -> frozenset[str]:
        """Return the plugins of a whole row."""
        return frozenset(name for name, key in self._keys.items() if row[key] == ON)

    def seeds(self) -> list[dict[str, str]]:
        """Return no plugin, each alone with its needs, and all, or as many as go together."""
        pythons, with_needs = self._space.axes["python"], self._space.with_needs
        wanted = [
            with_needs(names, python)
            for names in ((), *([name] for name in self._keys))
            for python in pythons
        ]
        most = frozenset[str]()
        for name in ("", *self._keys):
            candidates = (with_needs(most | {*filter(None, [name])}, python) for python in pythons)
            most = next(filter(self._is_possible, candidates), most)
        rows = dict.fromkeys((*wanted, most))
        return [self._row(plugins) for plugins in rows if self._is_possible(plugins)]

    def words(self, key: str, value: str) -> str:
        """Return a plugin that is on, as `items`, or off."""
        return self._names[key] if value == ON else f"no {self._names[key]}"

    def _is_possible(self, plugins: frozenset[str]) -> bool:
        return next(self.completions(self._row(plugins)), None) is not None

    def _row(self, plugins: frozenset[str]) -> dict[str, str]:
        return {key: ON if name in plugins else OFF for name, key in self._keys.items()}


def describe(space: Space, subsets: int) -> Problem:
    """Return the plugins as sets while there are at most `subsets` of these, else as switches."""
    found: list[frozenset[str]] = []
    for plugins in _sets(space):
        found.append(plugins)
        if len(found) > subsets:
            return Switches(space)
    return Sets(space, found)


def _sets(space: Space) -> Iterator[frozenset[str]]:
    """Yield the sets of plugins with all their needs that have a combination, the smallest first.

    A set is made of a smaller one and a plugin with its needs on the same Python, so that no set is
    tried in vain.
    """
    level = [(space.with_needs((), python), python) for python in space.axes["python"]]
    known, yielded = {*level}, set()
    others = [space.axes[axis] for axis in space.axes if axis != "python"]
    names = [axis for axis in space.axes if axis != "python"]
    while level:
        level.sort(key=lambda found: len(found[0]))
        plugins, python = level.pop(0)
        if not any(
            space.allows(plugins, {**dict(zip(names, values, strict=True)), "python": python})
            for values in product(*others)
        ):
            continue  # nor is one with more plugins
        if plugins not in yielded:
            yielded.add(plugins)
            yield plugins
        for plugin in space.plugins:
            more = plugins | space.with_needs([plugin.name], python), python
            if more not in known:
                known.add(more)
                level.append(more)


def _axes(row: Row, space: Space) -> dict[str, str]:
    return {axis: row[axis] for axis in space.axes}


def _equals(key: str, value: str) -> dict[str, Any]:
    return {"operator": "eq", "left": key, "value": value}


def _among(key: str, values: list[str]) -> dict[str, Any]:
    return {"operator": "in", "left": key, "values": values}


def _not_all(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"operator": "not", "condition": {"operator": "and", "conditions": conditions}}

"""A matrix as factors with values, and which of them go together.

There are two ways to describe the same plugins: while there are few sets of plugins that can be
installed, one factor has all of them as values; else each plugin is a factor that is on or off.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Protocol

from tox_pegboard.combinations.values import Space

ON, OFF = "on", "off"

Row = Mapping[str, str]
"""A value for each factor, or for some."""


class Problem(Protocol):
    """What is to be covered."""

    factors: dict[str, list[str]]
    constraints: list[dict[str, Any]]
    """As covertable has them."""

    def completions(self, partial: Row) -> Iterator[dict[str, str]]:
        """Yield whole rows with these values; none if the values do not go together."""

    def plugins_of(self, row: Row) -> frozenset[str]:
        """Return the plugins of a whole row."""

    def seeds(self) -> list[dict[str, str]]:
        """Return the rows that are wanted in any case, without values of the axes."""


class Sets:
    """Every set of plugins that can be installed, as values of one factor."""

    def __init__(self, space: Space, sets: list[frozenset[str]]) -> None:
        self._space = space
        self._sets = {str(number): plugins for number, plugins in enumerate(sets)}
        self.factors = {"plugins": list(self._sets), **{k: [*v] for k, v in space.axes.items()}}
        self.constraints = [
            _not_all(
                [
                    {
                        "operator": "in",
                        "left": "plugins",
                        "values": [
                            key
                            for key, plugins in self._sets.items()
                            if one.plugins <= plugins | {own.name for own in space.always}
                        ],
                    },
                    *(_equals(axis, value) for axis, value in one.values.items()),
                ]
            )
            for one in space.exclusions
        ]

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


class Switches:
    """Each plugin as a factor that is on or off."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._keys = {one.name: f"p{number}" for number, one in enumerate(space.plugins)}
        self._names = {key: name for name, key in self._keys.items()}
        self.factors = {
            **{key: [OFF, ON] for key in self._names},
            **{axis: [*values] for axis, values in space.axes.items()},
        }
        forced = space.with_needs(())
        needs = {one.name: space.with_needs([one.name]) - {one.name} for one in space.plugins}
        self.constraints = [
            *(_equals(self._keys[name], ON) for name in sorted(forced)),
            *(
                {
                    "operator": "or",
                    "conditions": [
                        _equals(self._keys[name], OFF),
                        _equals(self._keys[other], ON),
                    ],
                }
                for name in self._keys
                for other in sorted(needs[name])
            ),
            *(
                _not_all(
                    [
                        *(_equals(self._keys[n], ON) for n in sorted(one.plugins & {*self._keys})),
                        *(_equals(axis, value) for axis, value in one.values.items()),
                    ]
                )
                for one in space.exclusions
            ),
        ]

    def completions(self, partial: Row) -> Iterator[dict[str, str]]:
        """Yield whole rows with these values, with as few plugins as can be.

        As nothing is excluded for a plugin that is absent, no row with more plugins is possible
        where none with the fewest is.
        """
        wanted = [self._names[key] for key, one in partial.items() if one == ON]
        present = self._space.with_needs(wanted)
        if any(partial.get(self._keys[name]) == OFF for name in present):
            return
        switches = {key: ON if name in present else OFF for key, name in self._names.items()}
        axes = self._space.axes
        for values in product(*([partial[k]] if k in partial else axes[k] for k in axes)):
            row = {**switches, **dict(zip(axes, values, strict=True))}
            if self._space.allows(present, _axes(row, self._space)):
                yield row

    def plugins_of(self, row: Row) -> frozenset[str]:
        """Return the plugins of a whole row."""
        return frozenset(name for name, key in self._keys.items() if row[key] == ON)

    def seeds(self) -> list[dict[str, str]]:
        """Return no plugin, each alone with its needs, and all, or as many as go together."""
        wanted = [self._space.with_needs(names) for names in ((), *([n] for n in self._keys))]
        most = self._space.with_needs(())
        for name in self._keys:
            more = most | self._space.with_needs([name])
            if next(self.completions(self._row(more)), None):
                most = more
        found = dict.fromkeys((*wanted, most))
        rows = [self._row(plugins) for plugins in found]
        return [row for row in rows if next(self.completions(row), None)]

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

    A set is made of a smaller one and a plugin with its needs, so that no set is tried in vain.
    """
    start = space.with_needs(())
    known, level = {start}, [start]
    while level:
        level.sort(key=len)
        plugins = level.pop(0)
        if not any(
            space.allows(plugins, dict(zip(space.axes, values, strict=True)))
            for values in product(*space.axes.values())
        ):
            continue  # nor is one with more plugins
        yield plugins
        for one in space.plugins:
            more = plugins | space.with_needs([one.name])
            if more not in known:
                known.add(more)
                level.append(more)


def _axes(row: Row, space: Space) -> dict[str, str]:
    return {axis: row[axis] for axis in space.axes}


def _equals(key: str, value: str) -> dict[str, Any]:
    return {"operator": "eq", "left": key, "value": value}


def _not_all(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"operator": "not", "condition": {"operator": "and", "conditions": conditions}}

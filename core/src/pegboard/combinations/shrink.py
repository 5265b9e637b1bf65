"""Find the smallest set of plugins with which a command still fails.

First by delta debugging (Zeller and Hildebrandt, 2002), which needs few runs and ends where no
plugin can be left out; then by trying all smaller sets, as far as the number of runs allows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

Plugins = frozenset[str]


@dataclass(frozen=True)
class Shrunk:
    """What was found."""

    plugins: Plugins | None
    """The smallest set that fails; None if the first one did not."""
    is_smallest: bool
    """Whether every smaller set was tried, and passed."""
    is_minimal: bool = True
    """Whether every set without one of these plugins was tried, and passed."""
    runs: Mapping[Plugins, tuple[int, ...]] = field(default_factory=dict)
    """The exit statuses of each set that was tried, in the order of the first runs."""
    status: int = 0
    """The exit status that counts as the failure: that of the first run which failed."""

    @property
    def flaky(self) -> tuple[Plugins, ...]:
        """The sets that both passed and failed."""
        return tuple(one for one, statuses in self.runs.items() if len({*statuses}) > 1)

    @property
    def failing_otherwise(self) -> tuple[Plugins, ...]:
        """The sets that failed with another status, which does not count."""
        return tuple(one for one, statuses in self.runs.items() if {*statuses} - {0, self.status})


class Shrinker:
    """Runs sets of plugins, each as often as is asked for, and remembers how they ended."""

    def __init__(
        self,
        run: Callable[[Plugins], int],
        needs: Mapping[str, frozenset[str]],
        *,
        repeat: int = 1,
        max_runs: int = 100,
    ) -> None:
        """Prepare it; `run` returns an exit status, `needs` is what each plugin requires."""
        self._run = run
        self._needs = needs
        self._repeat = repeat
        self._left = max_runs
        self._is_minimal = True
        self._runs: dict[Plugins, tuple[int, ...]] = {}
        self._status = 0

    def shrink(self, plugins: Plugins) -> Shrunk:
        """Return the smallest set that fails as this one does.

        A set fails if any of its runs does. What is found is run twice more, so that a failure
        that comes and goes shows.
        """
        if not self._fails(plugins):
            return self._shrunk(None, is_smallest=False)
        found = self._reduce(plugins)
        is_smallest = True
        for smaller in self._smaller(plugins, len(found)):
            if smaller not in self._runs and self._left < self._repeat:
                is_smallest = False
                break
            if self._fails(smaller):
                found = smaller
                break
        self._again(found, 2)
        return self._shrunk(found, is_smallest=is_smallest)

    def _shrunk(self, plugins: Plugins | None, *, is_smallest: bool) -> Shrunk:
        return Shrunk(plugins, is_smallest, self._is_minimal, {**self._runs}, self._status)

    def _reduce(self, plugins: Plugins) -> Plugins:
        """Leave out parts while the rest fails: first large ones, at last single plugins."""
        parts = 2
        if plugins and self._tries(frozenset()):
            return frozenset()
        while len(plugins) > 1:
            ordered = sorted(plugins)
            size = -(-len(ordered) // parts)
            chunks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
            # A part alone, with what it requires; then all but a part, and but what requires it.
            candidates = [self._with_needs(chunk) for chunk in chunks]
            candidates += [self._without(plugins, chunk) for chunk in chunks]
            smaller = next((one for one in candidates if one < plugins and self._tries(one)), None)
            if smaller is not None:
                plugins, parts = smaller, 2
            elif parts >= len(ordered):
                break
            else:
                parts = min(len(ordered), parts * 2)
        return plugins

    def _smaller(self, plugins: Plugins, size: int) -> Iterator[Plugins]:
        """Yield the sets that have fewer plugins than these, the smallest first."""
        for number in range(size):
            for names in combinations(sorted(plugins), number):
                if self._with_needs(names) == frozenset(names):
                    yield frozenset(names)

    def _with_needs(self, names: Iterable[str]) -> Plugins:
        wanted = frozenset(names)
        return wanted.union(*(self._needs[name] for name in wanted))

    def _without(self, plugins: Plugins, names: Iterable[str]) -> Plugins:
        gone = frozenset(names)
        return frozenset(one for one in plugins - gone if not self._needs[one] & gone)

    def _tries(self, plugins: Plugins) -> bool:
        if plugins not in self._runs and self._left < self._repeat:
            self._is_minimal = False
            return False
        return self._fails(plugins)

    def _fails(self, plugins: Plugins) -> bool:
        if plugins not in self._runs:
            self._again(plugins, self._repeat)
        return self._status != 0 and self._status in self._runs[plugins]

    def _again(self, plugins: Plugins, count: int) -> None:
        for _ in range(count):
            status = self._run(plugins)
            self._left -= 1
            self._status = self._status or status
            self._runs[plugins] = (*self._runs.get(plugins, ()), status)

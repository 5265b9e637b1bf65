"""The smallest set of plugins that fails."""

from collections.abc import Callable, Iterable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard.combinations import Shrinker, Shrunk

NAMES = "abcdefgh"
Plugins = frozenset[str]


def shrink(
    is_bad: Callable[[Plugins], object],
    names: Iterable[str] = NAMES,
    needs: dict[str, str] | None = None,
    **options: int,
) -> Shrunk:
    """Shrink a set whose runs fail where `is_bad` says so."""
    required = {name: frozenset((needs or {}).get(name, "")) for name in names}
    return Shrinker(lambda one: int(bool(is_bad(one))), required, **options).shrink(
        frozenset(names)
    )


@given(culprits=st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=3))
def test_no_smaller_set_fails(culprits: list[set[str]]) -> None:
    """Whatever fails: each of several sets of plugins, and all that contain one of them."""

    def is_bad(plugins: Plugins) -> bool:
        return any(one <= plugins for one in culprits)

    found = shrink(is_bad, max_runs=1000)

    assert found.plugins is not None
    assert is_bad(found.plugins)
    assert found.is_smallest
    assert min(map(len, culprits)) == len(found.plugins)


@pytest.mark.slow
@given(
    needs=st.dictionaries(st.sampled_from("bcdef"), st.sampled_from("abc")),
    culprit=st.sets(st.sampled_from("abcdef"), min_size=1, max_size=2),
)
def test_each_set_that_is_run_has_what_its_plugins_require(
    needs: dict[str, str], culprit: set[str]
) -> None:
    """A plugin goes with those that require it, and comes with those that it requires."""
    closed = {name: _closure(name, needs) - {name} for name in "abcdef"}
    ran: list[Plugins] = []

    def is_bad(plugins: Plugins) -> bool:
        ran.append(plugins)
        return culprit <= plugins

    found = shrink(is_bad, "abcdef", {name: "".join(sorted(one)) for name, one in closed.items()})

    assert all(closed[name] <= plugins for plugins in ran for name in plugins)
    assert culprit.union(*(closed[name] for name in culprit)) == {*(found.plugins or ())}


def _closure(name: str, needs: dict[str, str]) -> set[str]:
    reached = {name}
    while (name := needs.get(name, "")) and name not in reached:
        reached.add(name)
    return reached


def test_what_passes_is_not_shrunk() -> None:
    """One run tells."""
    found = shrink(lambda _: False)
    assert (None, 1) == (found.plugins, sum(map(len, found.runs.values())))


def test_a_failure_without_plugins_is_found_at_once() -> None:
    """It is none of theirs."""
    found = shrink(lambda _: True)
    assert frozenset() == found.plugins
    assert [frozenset(NAMES), frozenset()] == [*found.runs]


def test_two_of_thirty_take_few_runs() -> None:
    """Far fewer than there are pairs, of which there are 435."""
    names = [f"p{number}" for number in range(30)]
    found = shrink(lambda plugins: {"p3", "p21"} <= plugins, names)
    assert frozenset(["p3", "p21"]) == found.plugins
    assert found.is_smallest
    assert sum(map(len, found.runs.values())) < 80


def test_a_bound_of_runs_is_kept_and_told() -> None:
    """Whether no plugin can be left out, and whether nothing smaller fails, are not the same."""
    names = [f"p{number}" for number in range(30)]
    three = frozenset(["p3", "p21", "p22"])
    found = shrink(lambda plugins: three <= plugins, names, max_runs=100)
    assert (three, False, True) == (found.plugins, found.is_smallest, found.is_minimal)
    assert sum(map(len, found.runs.values())) <= 102

    few = shrink(lambda plugins: three <= plugins, names, max_runs=5)
    assert few.plugins is not None
    assert three < few.plugins
    assert (False, False) == (few.is_smallest, few.is_minimal)


def test_a_failure_that_comes_and_goes_is_told() -> None:
    """What is found is run again; with more runs of each set it is found all the same."""
    counts: dict[Plugins, int] = {}

    def is_bad(plugins: Plugins) -> bool:
        counts[plugins] = counts.get(plugins, 0) + 1
        return {"a", "b"} <= plugins and counts[plugins] % 2 == 1

    found = shrink(is_bad, "abcd")
    assert frozenset("ab") == found.plugins
    assert (frozenset("ab"),) == found.flaky
    assert (1, 0, 1) == found.runs[frozenset("ab")]

    def is_late(plugins: Plugins) -> bool:
        counts[plugins] = counts.get(plugins, 0) + 1
        return {"a", "b"} <= plugins and counts[plugins] % 2 == 0

    counts.clear()
    assert None is shrink(is_late, "abcd").plugins
    counts.clear()
    assert frozenset("ab") == shrink(is_late, "abcd", repeat=2).plugins


def test_another_exit_status_is_another_failure() -> None:
    """As that of an environment that cannot be made; it is named."""

    def run(plugins: Plugins) -> int:
        return 1 if {"a", "b"} <= plugins else 7

    found = Shrinker(run, dict.fromkeys("abc", frozenset())).shrink(frozenset("abc"))
    assert frozenset("ab") == found.plugins
    assert frozenset("a") in found.failing_otherwise


@pytest.mark.parametrize("size", range(1, 5))
def test_every_culprit_is_found(size: int) -> None:
    """Each set of so many of six plugins."""
    for culprit in combinations("abcdef", size):
        assert frozenset(culprit) == shrink(lambda one, c=culprit: {*c} <= one, "abcdef").plugins  # type: ignore[misc]

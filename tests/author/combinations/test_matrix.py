"""Which combinations are chosen."""

import os
import subprocess
import sys
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tox_pegboard.combinations import (
    AXES,
    Combination,
    Exclusion,
    MatrixError,
    Plugin,
    Settings,
    Space,
    make_matrix,
    name_of,
    parse_name,
)

ONE = {"python": ("3.11",), "core": ("released",), "database": ("sqlite",), "redis": ("none",)}
"""Nothing varies but the plugins."""


def plugins(count: int) -> tuple[Plugin, ...]:
    """Return plugins a, b, c, ... that need nothing."""
    return tuple(Plugin(chr(97 + number), f"pegboard-{number}") for number in range(count))


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Few plugins that require each other, also in circles, few values, and exclusions."""
    names = "abcdefg"[: draw(st.integers(0, 7))]
    direct = {
        name: draw(st.sets(st.sampled_from(names), max_size=2)) - {name} if names else set()
        for name in names
    }
    axes = {
        "python": ("3.11", "3.12", "3.13")[: draw(st.integers(1, 3))],
        "core": ("lowest", "released")[: draw(st.integers(1, 2))],
        "database": ("sqlite", "postgresql")[: draw(st.integers(1, 2))],
        "redis": ("none", "valkey", "redis")[: draw(st.integers(1, 3))],
    }
    exclusions = [
        Exclusion(
            frozenset(draw(st.sets(st.sampled_from(names), max_size=3)) if names else ()),
            {
                axis: draw(st.sampled_from(axes[axis]))
                for axis in draw(st.sets(st.sampled_from(sorted(axes)), max_size=2))
            },
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    kept = tuple(one for one in exclusions if one.plugins or one.values)
    needs = {name: frozenset(_closure(name, direct)) for name in names}
    # What some require besides on one Python, as a marker says.
    python = draw(st.sampled_from(axes["python"]))
    more = {
        name: direct[name] | draw(st.sets(st.sampled_from(names), max_size=1)) for name in names
    }
    on = {name: {python: frozenset(_closure(name, more)) - needs[name]} for name in names}
    found = tuple(Plugin(name, f"pegboard-{name}", needs[name], on[name]) for name in names)
    own = found[: draw(st.integers(0, 1))]
    return Space(found[len(own) :], own, axes, kept)


def _closure(name: str, direct: dict[str, set[str]]) -> set[str]:
    reached, left = set(), [*direct[name]]
    while left:
        one = left.pop()
        if one not in reached:
            reached.add(one)
            left.extend(direct[one])
    return reached - {name}


def every_combination(space: Space) -> list[Combination]:
    """Return all that are possible, by trying each."""
    names = [one.name for one in space.plugins]
    found = []
    for chosen in product((False, True), repeat=len(names)):
        present = [name for name, is_on in zip(names, chosen, strict=True) if is_on]
        everything = {*present, *(plugin.name for plugin in space.own)}
        for values in product(*space.axes.values()):
            row = dict(zip(space.axes, values, strict=True))
            needs = (
                plugin.needs | plugin.needs_on.get(row["python"], frozenset())
                for plugin in (*space.plugins, *space.own)
                if plugin.name in everything
            )
            if not all(need <= everything for need in needs):
                continue
            if not any(
                one.plugins <= everything and one.values.items() <= row.items()
                for one in space.exclusions
            ):
                found.append(Combination(tuple(present), **row))
    return found


def pairs(space: Space, found: list[Combination]) -> set[frozenset[object]]:
    """Return the pairs of states of plugins and values of axes that the combinations have."""
    return {
        frozenset(pair)
        for one in found
        for pair in combinations(
            [
                *((plugin.name, plugin.name in one.plugins) for plugin in space.plugins),
                *one.values.items(),
            ],
            2,
        )
    }


# An example takes seconds where coverage is measured; other runs try others.
@settings(max_examples=20, deadline=None)
@given(space=spaces(), subsets=st.sampled_from([1, 4, 16]), strength=st.integers(1, 3))
def test_every_pair_that_is_possible_is_covered(space: Space, subsets: int, strength: int) -> None:
    """Whatever plugins require and what is excluded; and nothing impossible is chosen."""
    possible = every_combination(space)
    if not possible:
        with pytest.raises(MatrixError, match="everything is excluded"):
            make_matrix(space, Settings(subsets=subsets), strength=strength)
        return

    found = make_matrix(space, Settings(subsets=subsets), strength=strength)

    assert {*found.combinations} <= {*possible}
    assert len({*found.combinations}) == len(found.combinations)
    if strength > 1:
        assert pairs(space, possible) == pairs(space, [*found.combinations])
    present = {name for one in possible for name in one.plugins}
    assert present == {name for one in found.combinations for name in one.plugins}
    assert {*found.infeasible} == {one.name for one in space.plugins} - present
    if found.has_all_subsets:
        assert {one.plugins for one in possible} == {one.plugins for one in found.combinations}


@settings(max_examples=20, deadline=None)
@given(space=spaces(), count=st.integers(1, 6))
def test_what_a_bound_leaves_out_is_named(space: Space, count: int) -> None:
    """There are no more combinations than the bound, and what only others have is listed."""
    if not every_combination(space):
        return
    whole = make_matrix(space, Settings())

    found = make_matrix(space, Settings(), max_jobs=count)

    assert min(count, len(whole.combinations)) == len(found.combinations)
    assert {*whole.combinations} == {*found.combinations, *found.left_out}
    if not found.left_out:
        assert () == found.uncovered
    missing = pairs(space, [*whole.combinations]) - pairs(space, [*found.combinations])
    assert bool(missing) <= bool(found.uncovered)


@settings(max_examples=60, deadline=None)
@given(space=spaces(), data=st.data())
def test_each_combination_can_be_read_from_its_name(space: Space, data: st.DataObject) -> None:
    """Also one that is not in the matrix, however long the names of its plugins are."""
    long = {one.name: one.name * data.draw(st.sampled_from([1, 40])) for one in space.plugins}
    renamed = tuple(
        Plugin(long[one.name], one.requirement, frozenset(long.get(n, n) for n in one.needs))
        for one in space.plugins
    )
    own = tuple(Plugin(plugin.name, plugin.requirement) for plugin in space.own)
    other = Space(renamed, own, space.axes)

    for one in every_combination(other):
        name = name_of(one, other)
        assert one == parse_name(name, other)
        assert len(name) < 100


def test_few_plugins_have_all_subsets_on_each_value() -> None:
    """Three plugins and three Pythons are twenty-four combinations."""
    axes = {**ONE, "python": ("3.11", "3.12", "3.13")}
    found = make_matrix(Space(plugins(3), (), axes), Settings())

    assert found.has_all_subsets
    assert 24 == len(found.combinations)


def test_many_plugins_have_none_each_alone_all_and_pairs() -> None:
    """Two plugins meet not only where all others are there as well."""
    found = make_matrix(Space(plugins(10), (), ONE), Settings())
    sets = {one.plugins for one in found.combinations}
    names = tuple("abcdefghij")

    assert not found.has_all_subsets
    assert {(), names, *((name,) for name in names)} <= sets
    between = [one for one in sets if 1 < len(one) < 10]
    assert {*combinations(names, 2)} == {pair for one in between for pair in combinations(one, 2)}
    assert len(sets) < 24


def test_a_plugin_is_never_without_what_it_needs() -> None:
    """It is alone with its needs, also with those of its needs."""
    c = Plugin("c", "c")
    needing = (Plugin("a", "a", frozenset("bc")), Plugin("b", "b", frozenset("c")), c)
    found = make_matrix(Space(needing, (), ONE), Settings())

    assert [(), ("c",), ("b", "c"), ("a", "b", "c")] == [one.plugins for one in found.combinations]


def test_plugins_that_exclude_each_other_are_not_combined() -> None:
    """All together is then as many as go together."""
    space = Space(plugins(6), (), ONE, (Exclusion(frozenset("ab")),))
    found = make_matrix(space, Settings())

    assert ("a", "c", "d", "e", "f") in [one.plugins for one in found.combinations]
    assert not any({"a", "b"} <= {*one.plugins} for one in found.combinations)


def test_touching_leaves_the_combinations_with_a_plugin() -> None:
    """They are some of those that the whole matrix has, and cover every pair with the plugin."""
    space = Space(plugins(10), (), ONE)
    whole = make_matrix(space, Settings())
    found = make_matrix(space, Settings(), touching="c")

    assert {*found.combinations} < {*whole.combinations}
    assert {"c"} < {name for one in found.combinations for name in one.plugins} == {*"abcdefghij"}
    assert all("c" in one.plugins for one in found.combinations)
    with pytest.raises(MatrixError, match="nowhere is no plugin of the matrix: a, b"):
        make_matrix(space, Settings(), touching="nowhere")


@pytest.mark.parametrize("count", [3, 12])
def test_the_same_input_has_the_same_result(count: int) -> None:
    """In every process, whatever the order of its sets."""
    program = f"""
from tox_pegboard.combinations import *
axes = {{"python": ("3.11", "3.12"), "core": ("lowest", "released"), "database": ("sqlite",),
         "redis": ("none", "valkey")}}
found = tuple(Plugin(f"p{{n}}", "p", frozenset([f"p{{n - 1}}"] if n % 3 else []))
              for n in range({count}))
print([name for name in make_matrix(Space(found, (), axes), Settings()).by_name])
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert 1 == len(outputs)
    assert b"py311" in outputs.pop()


def test_axes_are_fields_of_a_combination() -> None:
    """Each axis is one."""
    assert {*AXES} | {"plugins"} == {*Combination.__dataclass_fields__}

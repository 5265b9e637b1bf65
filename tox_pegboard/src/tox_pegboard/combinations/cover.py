"""Rows that cover every pair of values, or every group of more, with few rows.

covertable finds the rows. What it has found is checked here, tuple by tuple: one that it missed
gets a row, and one that no row can have is counted as infeasible.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations, product
from typing import Any

from tox_pegboard.combinations.problem import Problem, Row

Tuple = frozenset[tuple[str, str]]
"""Values of as many factors as the strength says."""


def cover(problem: Problem, strength: int) -> list[dict[str, str]]:
    """Return the rows that are wanted in any case, and those that cover every tuple.

    A row that was wanted in any case does not count for a tuple, but where every set of plugins is
    one: with all plugins together each pair of them would be covered, and none beside few others.
    """
    strength = min(strength, len(problem.factors))
    seeds = _seeded(problem)
    rows = seeds if problem.has_all_subsets else []
    wanted = {*_tuples(problem, strength)}
    for row in rows:
        wanted.difference_update(tuples_of(row, strength))
    if wanted:
        rows = _with_covertable(problem, strength, rows)
    for row in rows:
        wanted.difference_update(tuples_of(row, strength))
    for group in _tuples(problem, strength):
        if group in wanted and (missing := _completion(problem, dict(group))):
            rows.append(missing)
            wanted.difference_update(tuples_of(missing, strength))
    return [*{tuple(row.items()): row for row in (*seeds, *rows)}.values()]


def tuples_of(row: Row, strength: int) -> Iterator[Tuple]:
    """Yield the tuples that a row covers."""
    yield from map(frozenset, combinations(row.items(), min(strength, len(row))))


def choose(rows: list[dict[str, str]], strength: int, count: int) -> list[dict[str, str]]:
    """Return as many of the rows as are wanted, which together cover the most tuples."""
    left = {number: {*tuples_of(row, strength)} for number, row in enumerate(rows)}
    chosen: list[int] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda number: (len(left[number]), -number))
        covered = left.pop(best)
        chosen.append(best)
        for others in left.values():
            others.difference_update(covered)
    return [rows[number] for number in sorted(chosen)]


def uncovered(rows: Iterable[Row], chosen: Iterable[Row], strength: int) -> list[Tuple]:
    """Return the tuples that all the rows cover, and the chosen ones do not."""
    covered = {group for row in chosen for group in tuples_of(row, strength)}
    every = dict.fromkeys(group for row in rows for group in tuples_of(row, strength))
    return [group for group in every if group not in covered]


def _tuples(problem: Problem, strength: int) -> Iterator[Tuple]:
    for keys in combinations(problem.factors, strength):
        for values in product(*(problem.factors[key] for key in keys)):
            yield frozenset(zip(keys, values, strict=True))


def _seeded(problem: Problem) -> list[dict[str, str]]:
    """Return the rows that are wanted in any case, with the values of axes that cover the most."""
    seen: set[Tuple] = set()
    rows = []
    for seed in problem.seeds():
        axes = [key for key in problem.factors if key not in seed]
        best: tuple[int, dict[str, str], list[Tuple]] | None = None
        for row in problem.completions(seed):
            # Pairs of axes, and of an axis and a plugin; those of plugins are the same in each.
            pairs = [
                frozenset(((axis, row[axis]), (key, value)))
                for number, axis in enumerate(axes)
                for key, value in row.items()
                if key not in axes[: number + 1]
            ]
            new = sum(pair not in seen for pair in pairs)
            if best is None or new > best[0]:
                best = new, row, pairs
        if best is not None:
            rows.append(best[1])
            seen.update(best[2])
    return rows


def _with_covertable(
    problem: Problem, strength: int, rows: list[dict[str, str]]
) -> list[dict[str, str]]:
    from covertable import make  # noqa: PLC0415 - few sets of plugins and one axis do not need it

    found: list[dict[str, Any]] = make(
        problem.factors, strength=strength, presets=rows, constraints=problem.constraints
    )
    ordered = [{key: row[key] for key in problem.factors} for row in found]
    known = {tuple(row.items()): row for row in (*rows, *ordered)}
    # A row that nothing allows would be a mistake of covertable's, and is not tested.
    return [row for row in known.values() if _completion(problem, row) == row]


def _completion(problem: Problem, partial: Row) -> dict[str, str] | None:
    return next(problem.completions(partial), None)

"""Durations of parts are counted together, and none is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pegboard.observation import Part, PartKind
from pegboard_observe.parts import PART_BUCKETS, Parts

PART = Part(PartKind.STAGE, "limit.prepare", "ratelimit")


@pytest.mark.parametrize("runs", [0, 1, 999, 1000, 2500])
def test_each_run_is_counted_once(runs: int):
    """However many come before somebody asks."""
    parts = Parts()
    note = parts.find(PART)
    for _ in range(runs):
        note(0.5)
    found = [(labels, sum(counts), seconds) for labels, counts, seconds in parts.changed()]
    assert [(("ratelimit", "stage", "limit.prepare"), runs, runs / 2)][: bool(runs)] == found
    assert [] == [*parts.changed()]


def test_runs_on_several_threads_are_all_counted():
    """Also those that come while others are counted."""
    parts = Parts()
    note = parts.find(PART)

    def run(_number: int) -> int:
        for _ in range(1500):
            note(0.5)
        return sum(counts[-2] for _, counts, _ in parts.changed())

    with ThreadPoolExecutor(4) as pool:
        seen = [*pool.map(run, range(4))]
    parts.note_all_changed()
    assert [6000] == [sum(counts) for _, counts, _ in parts.changed()]
    assert max(seen) <= 6000


def test_a_run_is_in_the_first_class_whose_bound_it_does_not_exceed():
    """As Prometheus has it."""
    parts = Parts()
    note = parts.find(PART)
    for seconds in (0.0, PART_BUCKETS[0], 0.00002, 0.5, 1.0, 3.0):
        note(seconds)
    assert [[2, 1, 0, 0, 0, 2, 1]] == [counts for _, counts, _ in parts.changed()]

"""Durations of parts are counted, and none is lost."""

from concurrent.futures import ThreadPoolExecutor

from pegboard.observation import Part, PartKind
from pegboard_observe.parts import PART_BUCKETS, Parts

PART = Part(PartKind.STAGE, "limit.prepare", "ratelimit")


def test_what_has_not_changed_is_not_told_again():
    """Unless it could not be written."""
    parts = Parts()
    assert [] == [*parts.changed()]
    parts.find(PART)(0.5, 1)
    told = [*parts.changed()]
    assert [("ratelimit", "stage", "limit.prepare")] == [labels for labels, _, _ in told]
    assert [] == [*parts.changed()]
    parts.note_all_changed()
    assert told == [*parts.changed()]


def test_a_run_counts_for_as_many_as_it_stands_for():
    """With its time."""
    parts = Parts()
    note = parts.find(PART)
    note(0.5, 20)
    note(0.5, 2.5)
    assert [(22.5, 11.25)] == [(sum(counts), seconds) for _, counts, seconds in parts.changed()]


def test_runs_on_several_threads_are_all_counted():
    """Also those that come while others are counted."""
    parts = Parts()
    note = parts.find(PART)

    def run(_number: int) -> float:
        for _ in range(1500):
            note(0.5, 1)
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
        note(seconds, 1)
    assert [[2, 1, 0, 0, 0, 2, 1]] == [counts for _, counts, _ in parts.changed()]

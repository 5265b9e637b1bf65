from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from .model.explorer import Exploration, explore
from .model.processes import Processes
from .model.rules import DELETE_AFTER_COMMIT, FENCES_AND_LEASES, LEASES, PROTOCOL
from .model.scenario import Fault

Explore = Callable[..., Exploration]

CALM = {"evictions": False}
LOST_CALL = {"faults": 1, "kinds": frozenset({Fault.LATE})}
RESTART = {"faults": 1, "kinds": frozenset({Fault.RESTART})}
ONE_IN_BULK = {"writers": (True, False)}
KILLS = {"kills_oblige": True, "evictions": False}


@pytest.fixture
def explored() -> Explore:
    """Explore a scenario; prints the number of states and the trace (`pytest -s` shows them)."""

    def explored(**scenario: Any) -> Exploration:
        found = explore(Processes(**scenario))
        print(f"{found.states:,} states", *found.trace, sep="\n  ")  # noqa: T201 - for pytest -s
        return found

    return explored


def in_order(steps: tuple[str, ...], found: Exploration) -> tuple[str, ...]:
    """Those steps of a trace, in its order."""
    return tuple(step for step in found.trace if step in steps)


@pytest.mark.slow
def test_protocol_is_never_stale(explored: Explore) -> None:
    """Two writers of a key, two readers, two faults, any evictions: no read is stale."""
    found = explored(faults=2)

    assert () == found.trace
    assert 50_000 < found.states


@pytest.mark.slow
def test_protocol_is_never_stale_in_bulk_and_from_the_first_start(explored: Explore) -> None:
    """No read is stale if one writes in bulk, and caching has yet to be turned on.

    A failover after which the old server answers nobody is a restart.
    """
    kinds = frozenset({Fault.LATE, Fault.FAILOVER})
    found = explored(faults=2, kinds=kinds, never_enabled=True, **ONE_IN_BULK)

    assert () == found.trace
    assert 70_000 < found.states


@pytest.mark.slow
def test_totals_are_never_stale(explored: Explore) -> None:
    """Every write of the table fences the group: an INSERT, a DELETE, a bulk statement.

    The totals of other filters are read beside this one.
    """
    found = explored(writers=(True, True), siblings=True, faults=1)

    assert () == found.trace
    assert 5_000 < found.states


@pytest.mark.parametrize("rule", ["absent_marker_is_miss", "release_erases", "fences"])
def test_totals_are_stale_without(explored: Explore, rule: str) -> None:
    """Without one rule an older total is read; without fences only after a writer was killed."""
    rules = replace(PROTOCOL, **{rule: False})
    found = explored(
        rules=rules, writers=(True, True), siblings=True, kills_oblige=rule == "fences"
    )

    assert found.trace[-1].endswith("had been acknowledged before the reader began")


def test_forgetting_invents_nothing_beside_other_totals(explored: Explore) -> None:
    """The protocol is as safe if nothing is forgotten."""
    found = explored(writers=(True, True), siblings=True, readers=1, forgets=False)

    assert () == found.trace
    assert 500 < found.states


def test_delete_after_commit_is_stale_without_a_fault(explored: Explore) -> None:
    """A reader that read before the commit fills after the delete."""
    found = explored(rules=DELETE_AFTER_COMMIT, **CALM)

    race = (
        "reader 1 reads 0",
        "writer 1 commits 1",
        "writer 1 releases, acknowledges 1",
        "reader 1 fills 0",
        "reader 1 is given 0",
        "1 had been acknowledged before the reader began",
    )
    assert race == in_order(race, found)


def test_leases_survive_races(explored: Explore) -> None:
    """Without faults and evictions, leases alone are never stale."""
    found = explored(rules=LEASES, **CALM)

    assert () == found.trace
    assert 50 < found.states


def test_leases_do_not_survive_a_lost_delete(explored: Explore) -> None:
    """One delete without an answer leaves the lease of a reader that read before it."""
    found = explored(rules=LEASES, **LOST_CALL, **CALM)

    loss = (
        "reader 1 takes a lease",
        "reader 1 reads 0",
        "writer 1 releases (no answer), acknowledges 1",
        "reader 1 fills 0",
        "reader 1 is given 0",
    )
    assert loss == in_order(loss, found)


def test_fences_and_leases_survive_a_lost_call(explored: Explore) -> None:
    """Without an epoch, if the write does not proceed without its fence."""
    found = explored(rules=FENCES_AND_LEASES, **LOST_CALL, **CALM)

    assert () == found.trace
    assert 50 < found.states


def test_fences_and_leases_do_not_survive_a_snapshot(explored: Explore) -> None:
    """Without an epoch, a server that comes back from an old snapshot is believed."""
    found = explored(rules=FENCES_AND_LEASES, **RESTART, **CALM)

    restored = (
        "writer 1 releases, acknowledges 1",
        "server 0 restarts as 1, it has 0 of epoch 1",
        "reader 1 is given 0",
    )
    assert restored == in_order(restored, found)


NEEDED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "leases": ({}, ("reader 1 reads 0", "writer 1 commits 1", "reader 1 fills 0")),
    "reads_after_lease": (
        {},
        (
            "reader 1 reads 0",
            "writer 1 releases, acknowledges 1",
            "reader 1 takes a lease",
            "reader 1 fills 0",
        ),
    ),
    "checks_lease": (
        {},
        ("reader 1 takes a lease", "writer 1 releases, acknowledges 1", "reader 1 fills 0"),
    ),
    "absent_marker_is_miss": (
        ONE_IN_BULK,
        ("reader 1 fills 0", "writer 1 releases, acknowledges 1", "reader 1 is given 0"),
    ),
    "release_erases": (
        {},
        ("the key is gone", "reader 1 takes a lease", "writer 1 releases, acknowledges 1"),
    ),
    "release_is_confirmed": (
        LOST_CALL,
        ("the key is gone", "writer 1 releases (no answer), acknowledges 1"),
    ),
    "trusts_after_commit": (
        LOST_CALL,
        (
            "writer 1 fences in epoch 1",
            "the background refresh turns caching on in epoch 2, server 0",
            "writer 1 trusts epoch 1",
            "writer 1 releases, acknowledges 2",
        ),
    ),
    "reads_row_afresh": (
        {"never_enabled": True},
        (
            "writer 1 believes that caching is off",
            "the background refresh turns caching on in epoch 1, server 0",
            "writer 1 commits 1",
            "writer 1 has waited, acknowledges 1",
        ),
    ),
    "locks_row": (
        {"faults": 1},
        (
            "writer 1 commits 1 and that caching is off",
            "writer 2 cannot fence (server 1 answers)",
            "the background refresh turns caching on in epoch 2, server 0",
            "writer 2 commits 2",
            "writer 2 has waited, acknowledges 2",
        ),
    ),
    "checks_servers": (
        RESTART,
        (
            "writer 1 releases, acknowledges 1",
            "server 0 restarts as 1, it has 0 of epoch 1",
            "reader 1 is given 0",
        ),
    ),
    "waits_to_acknowledge": (
        LOST_CALL,
        (
            "writer 1 commits 1 and that caching is off",
            "writer 1 has waited, acknowledges 1",
            "reader 1 is given 0",
        ),
    ),
    "waits_per_epoch": (
        {**LOST_CALL, "never_enabled": True},
        (
            "the background refresh turns caching on in epoch 1, server 0",
            "writer 1 commits 1 and that caching is off",
            "writer 1 has waited, acknowledges 1",
        ),
    ),
    "waits_to_enable": (
        LOST_CALL,
        ("the background refresh turns caching on in epoch 2, server 0", "writer 1 trusts epoch 1"),
    ),
    "raises_epoch": (
        LOST_CALL,
        ("reader 1 fills 0", "the background refresh turns caching on in epoch 1, server 0"),
    ),
}
"""Rules, with a scenario in which each is missed and what happens in it."""


@pytest.mark.parametrize("rule", NEEDED)
def test_protocol_is_stale_without(explored: Explore, rule: str) -> None:
    """Take one rule away, and the explorer finds how it is missed."""
    scenario, essence = NEEDED[rule]
    found = explored(rules=replace(PROTOCOL, **{rule: False}), **scenario)

    assert essence == in_order(essence, found)
    assert found.trace[-1].endswith("had been acknowledged before the reader began")


@pytest.mark.parametrize("rule", NEEDED)
def test_forgetting_hides_nothing(explored: Explore, rule: str) -> None:
    """What is forgotten makes no way to a stale read longer, or shorter."""
    scenario = {"rules": replace(PROTOCOL, **{rule: False}), **NEEDED[rule][0], **CALM}

    assert len(explored(**scenario, forgets=False).trace) == len(explored(**scenario).trace)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [CALM | LOST_CALL, CALM | RESTART, {"readers": 1}])
def test_forgetting_invents_nothing(explored: Explore, scenario: dict[str, Any]) -> None:
    """The protocol is as safe if nothing is forgotten."""
    found = explored(**scenario, forgets=False)

    assert () == found.trace
    assert 1_000 < found.states


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule", ["fences", "disables_with_commit", "release_keeps_fences", "checks_generation"]
)
def test_guarantee_does_not_rest_on(explored: Explore, rule: str) -> None:
    """Reads are not stale without these; all but the last are for writers that are killed."""
    found = explored(rules=replace(PROTOCOL, **{rule: False}), faults=1, **ONE_IN_BULK)

    assert () == found.trace
    assert 1_000 < found.states


@pytest.mark.parametrize("writers", [(False, False), (True, False), (True, True)])
def test_read_after_a_killed_writer_is_new(explored: Explore, writers: tuple[bool, bool]) -> None:
    """A writer killed between commit and release leaves its fence: the next read is new."""
    found = explored(writers=writers, **KILLS)

    assert () == found.trace
    assert 50 < found.states


@pytest.mark.slow
def test_read_after_a_killed_writer_and_a_fault_is_new(explored: Explore) -> None:
    """Also with two faults, once trust has ended, while nobody turns caching on again."""
    found = explored(faults=2, background_refresh=False, **KILLS)

    assert () == found.trace
    assert 5_000 < found.states


@pytest.mark.parametrize(
    "rule, scenario",
    [
        ("fences", {}),
        ("release_keeps_fences", {}),
        ("disables_with_commit", {**LOST_CALL, "background_refresh": False}),
    ],
)
def test_read_after_a_killed_writer_is_old_without(
    explored: Explore, rule: str, scenario: dict[str, Any]
) -> None:
    """Take away a rule that is for killed writers, and what one committed is not read."""
    found = explored(rules=replace(PROTOCOL, **{rule: False}), **scenario, **KILLS)

    assert any(step.endswith("is killed") for step in found.trace)


def test_fence_of_another_epoch_does_not_outlive_its_killed_writer(explored: Explore) -> None:
    """A known limit: caching goes off and on between fence and commit, and the writer is killed.

    What it committed was never acknowledged; the older value may be read until it expires.
    """
    found = explored(**LOST_CALL, **KILLS)

    limit = (
        "writer 1 fences in epoch 1",
        "the background refresh turns caching on in epoch 2, server 0",
        "reader 1 takes a lease",
        "writer 1 commits 2",
        "writer 1 is killed",
        "reader 1 fills 1",
    )
    assert limit == in_order(limit, found)


def test_fence_that_is_lost_does_not_outlive_its_killed_writer(explored: Explore) -> None:
    """A known limit: the fence is evicted before the commit, and the writer is killed.

    What it committed was never acknowledged; no read is older than what was.
    """
    found = explored(kills_oblige=True)

    limit = (
        "writer 1 fences in epoch 1",
        "the key is gone",
        "reader 1 takes a lease",
        "reader 1 reads 0",
        "writer 1 commits 1",
        "writer 1 is killed",
        "reader 1 fills 0",
    )
    assert limit == in_order(limit, found)
    assert () == explored().trace


def test_older_data_under_the_same_identity_is_believed(explored: Explore) -> None:
    """A known limit: a run id that stays while the data goes back is not told apart.

    A primary that becomes the replica of one that lags keeps its run id.
    """
    found = explored(faults=1, kinds=frozenset({Fault.RESYNC}))

    assert "server 0 takes over older data, it has 0 of epoch 1" in found.trace

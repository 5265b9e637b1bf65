"""What clients had left when they were counted last."""

from pegboard_ratelimit.counting import MAX_CLIENTS
from pegboard_ratelimit.enforcement.last_known import LastKnownCounts


def test_what_a_client_had_left_is_known():
    """What was left of each policy, and when."""
    counts = LastKnownCounts()
    counts.note("alice", (3, 60, 1, 2), 7)
    counts.note("alice", (2, 60, 0, 1), 8)

    assert (8, (2, 0)) == counts.recall("alice")
    counts.forget("alice")
    assert counts.recall("alice") is None


def test_memory_is_bounded():
    """The clients that came last are remembered."""
    counts = LastKnownCounts()
    for number in range(2 * MAX_CLIENTS):
        counts.note(f"client-{number}", (1, 60), number)

    found = [counts.recall(f"client-{number}") for number in range(2 * MAX_CLIENTS)]
    assert found[0] is None
    assert all(found[-MAX_CLIENTS // 2 :])
    assert MAX_CLIENTS >= len([one for one in found if one])

"""How clients stood when they were counted last."""

from pegboard_ratelimit.counting import MAX_CLIENTS
from pegboard_ratelimit.enforcement.last_known import Standings


def test_the_last_standing_of_a_client_is_known():
    """What was left of each policy, and when."""
    standings = Standings()
    standings.note("alice", (3, 60, 1, 2), 7)
    standings.note("alice", (2, 60, 0, 1), 8)

    assert (8, (2, 0)) == standings.recall("alice")
    standings.forget("alice")
    assert standings.recall("alice") is None


def test_memory_is_bounded():
    """Who came last is remembered."""
    standings = Standings()
    for number in range(2 * MAX_CLIENTS):
        standings.note(f"client-{number}", (1, 60), number)

    found = [standings.recall(f"client-{number}") for number in range(2 * MAX_CLIENTS)]
    assert found[0] is None
    assert all(found[-MAX_CLIENTS // 2 :])
    assert MAX_CLIENTS >= len([one for one in found if one])

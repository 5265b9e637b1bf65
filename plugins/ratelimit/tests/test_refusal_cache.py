"""RefusalCache that are recalled, so that a flood of one client costs next to nothing."""

from pegboard_ratelimit import Verdict
from pegboard_ratelimit.counting import MAX_CLIENTS
from pegboard_ratelimit.enforcement.refusal_cache import RefusalCache


def test_a_refusal_is_recalled_as_it_is_by_now():
    """What has passed of the time to wait is told, in microseconds and in seconds."""
    refusals = RefusalCache()
    refusals.note("alice", Verdict(57_200_000, (0, 58, 7, 3)), now=1_000_000)

    assert Verdict(57_100_000, (0, 58, 7, 3)) == refusals.recall("alice", 1_100_000)
    assert Verdict(56_900_000, (0, 57, 7, 2)) == refusals.recall("alice", 1_300_000)
    assert refusals.recall("bob", 1_100_000) is None


def test_a_refusal_is_not_recalled_once_its_time_has_come():
    """Not a microsecond longer."""
    refusals = RefusalCache()
    refusals.note("alice", Verdict(400_000, (0, 1)), now=0)

    assert Verdict(1, (0, 1)) == refusals.recall("alice", 399_999)
    assert refusals.recall("alice", 400_000) is None
    assert {} == refusals.by_client


def test_a_long_refusal_is_asked_about_again_each_second():
    """An operator may have lifted it."""
    refusals = RefusalCache()
    refusals.note("alice", Verdict(3_600_000_000, (0, 3600)), now=0)

    assert refusals.recall("alice", 999_999) is not None
    assert refusals.recall("alice", 1_000_000) is None


def test_no_flood_fills_the_memory():
    """A client that is forgotten here is counted again, and refused again."""
    refusals = RefusalCache()
    for number in range(MAX_CLIENTS + 1):
        refusals.note(f"client-{number}", Verdict(400_000, (0, 1)), now=0)

    assert MAX_CLIENTS >= len(refusals.by_client)

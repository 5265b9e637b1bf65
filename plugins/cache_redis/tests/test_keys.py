"""Where values are in a cluster: divided among slots, or in one."""

import pytest

from pegboard.cache import Key
from pegboard_cache_redis.cache.keys import BUCKETS, KeyNames


@pytest.mark.parametrize("group, markers", [("items:view", BUCKETS), ("items::items", 1)])
def test_what_each_write_fences_is_in_one_slot(group: str, markers: int) -> None:
    """The totals of a table; the answers about its rows are in many."""
    names = KeyNames("pb", 1, is_sharded=True, longest=100)
    assert markers == len(names.markers(group))
    places = [names.place(Key(group, f"total/{number}")) for number in range(1000)]
    assert set(names.markers(group)) == {place.marker for place in places}
    assert all(place.key.startswith(place.marker) for place in places)

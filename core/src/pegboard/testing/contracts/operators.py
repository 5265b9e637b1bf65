"""What a cache strategy must do for operators, and when its storage is unavailable."""

from pegboard.cache import CacheStrategy, Lease, Miss, Transaction
from pegboard.testing.contracts.steps import KEY, SIBLING, STRANGER, TTL, fill, keys, lease


class Operators:
    """Clearing, stats, and an unavailable storage."""

    def test_a_group_can_be_cleared(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """Its values are gone, and a reader that holds a lease stores nothing."""
        fill(one, KEY, b"value")
        fill(one, STRANGER, b"stranger")
        slow = lease(one, SIBLING)
        other.clear(KEY.group)
        assert isinstance(one.look_up(KEY), Miss)
        assert not one.fill(slow, b"value", TTL)
        assert one.look_up(STRANGER) == b"stranger"
        assert fill(one, KEY, b"next")

    def test_everything_can_be_cleared(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """All groups at once."""
        fill(one, KEY, b"value")
        fill(one, STRANGER, b"stranger")
        slow = lease(one, SIBLING)
        other.clear()
        for strategy in (one, other):
            assert isinstance(strategy.look_up(KEY), Miss)
            assert isinstance(strategy.look_up(STRANGER), Miss)
        one.fill(slow, b"value", TTL)
        assert isinstance(other.look_up(SIBLING), Miss)

    def test_clearing_lifts_no_fence(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """A write may be under way."""
        fence = one.fence(keys(KEY), transaction)
        other.clear(KEY.group)
        assert not isinstance(other.lease(KEY), Lease)
        one.release(fence, transaction)

    def test_stats_are_plain(self, one: CacheStrategy) -> None:
        """So that they can be printed, and sent as JSON."""
        one.look_up(KEY)
        stats = one.stats()
        assert all(isinstance(name, str) for name in stats)
        assert all(isinstance(value, int | float | str | bool) for value in stats.values())

    def test_it_has_a_name(self, one: CacheStrategy) -> None:
        """Operators read it."""
        assert one.name

    def test_a_storage_that_is_unavailable_is_a_miss(self, broken: CacheStrategy) -> None:
        """A reader never learns more of it than that, and reads the database."""
        assert isinstance(broken.look_up(KEY), Miss)
        given = broken.lease(KEY)
        assert not isinstance(given, bytes)
        if isinstance(given, Lease):
            assert not broken.fill(given, b"value", TTL)
        broken.stats()

    def test_a_storage_that_becomes_unavailable_stores_nothing(
        self, one: CacheStrategy, broken: CacheStrategy
    ) -> None:
        """Between the lease and the fill."""
        given = lease(one)
        broken.give_back(given)
        assert not broken.fill(given, b"value", TTL)

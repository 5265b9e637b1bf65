"""What a cache strategy must do for writers, and between writers and readers."""

from collections.abc import Callable

import pytest

from pegboard.cache import CacheStrategy, Key, Lease, Miss, MissReason, Touched, Transaction
from pegboard.testing.contracts.steps import (
    KEY,
    SIBLING,
    STRANGER,
    TTL,
    fill,
    keys,
    lease,
    touched,
    write,
)


class Writers:
    """Fencing and releasing; each race is an explicit schedule of calls."""

    def test_a_write_forgets(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """In all processes, and already before the commit; what was not touched stays."""
        fill(one, KEY, b"old")
        fill(one, SIBLING, b"sibling")
        fence = other.fence(keys(KEY), transaction)
        assert isinstance(one.look_up(KEY), Miss)
        assert isinstance(other.look_up(KEY), Miss)
        moment = other.release(fence, transaction)
        assert moment >= 0.0
        assert isinstance(one.look_up(KEY), Miss)
        assert fill(one, KEY, b"new")
        assert other.look_up(KEY) == b"new"
        assert other.look_up(SIBLING) == b"sibling"

    def test_a_slow_reader_fills_nothing(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """It read before a write, and fills after the write was acknowledged."""
        slow = lease(one)
        write(other, transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)
        assert isinstance(other.look_up(KEY), Miss)

    def test_a_slow_reader_does_not_replace_what_is_new(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Another reader has read since the write, and has filled or is about to."""
        slow = lease(one)
        write(other, transaction)
        quick = lease(other)
        assert not one.fill(slow, b"old", TTL)
        assert other.fill(quick, b"new", TTL)
        assert not one.fill(slow, b"old", TTL)
        assert one.look_up(KEY) == b"new"

    def test_a_fence_between_lease_and_fill_ends_the_lease(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """While the fence stands, and after it."""
        slow = lease(one)
        fence = other.fence(keys(KEY), transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)
        other.release(fence, transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)

    def test_under_a_fence_no_lease_is_given(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """And the reader is told not to wait for one."""
        fence = other.fence(keys(KEY), transaction)
        for strategy in (one, other):
            refused = strategy.lease(KEY)
            assert isinstance(refused, Miss)
            assert not refused.may_fill
            assert refused.reason != MissReason.LEASED
        lease(one, SIBLING)
        other.release(fence, transaction)
        lease(one)

    @pytest.mark.parametrize("lifted", [(0, 1), (1, 0)], ids=["in turn", "nested"])
    @pytest.mark.parametrize("second", ["key", "group"])
    @pytest.mark.parametrize("first", ["key", "group"])
    def test_fences_of_two_writers_stand_each_for_itself(
        self,
        one: CacheStrategy,
        other: CacheStrategy,
        transaction: Transaction,
        first: str,
        second: str,
        lifted: tuple[int, int],
    ) -> None:
        """Releasing one does not lift the other, however they overlap."""
        writers = (one, other)
        fences = [
            writer.fence(touched(kind), transaction)
            for writer, kind in zip(writers, (first, second), strict=True)
        ]
        writers[lifted[0]].release(fences[lifted[0]], transaction)
        for strategy in writers:
            assert not isinstance(strategy.lease(KEY), Lease)
            assert isinstance(strategy.look_up(KEY), Miss)
        writers[lifted[1]].release(fences[lifted[1]], transaction)
        assert fill(one, KEY, b"new")
        assert other.look_up(KEY) == b"new"

    def test_a_fence_is_lifted_by_nothing_but_its_release(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Not by a late fill, a lease given back, or the end of another write."""
        slow = lease(one)
        fence = other.fence(keys(KEY), transaction)
        one.fill(slow, b"old", TTL)
        one.give_back(slow)
        write(one, transaction)
        write(one, transaction, touched("group"))
        assert not isinstance(one.lease(KEY), Lease)
        other.release(fence, transaction)
        lease(one)

    def test_a_fence_is_abandoned_when_nothing_was_written(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """It is lifted, and no other; what it invalidated stays invalid and can be filled again."""
        fill(one, KEY, b"value")
        slow = lease(one, SIBLING)
        first = other.fence(keys(KEY, SIBLING), transaction)
        second = one.fence(keys(KEY), transaction)
        other.abandon(first)
        assert isinstance(one.look_up(KEY), Miss)
        assert not isinstance(one.lease(KEY), Lease)
        assert not one.fill(slow, b"value", TTL)
        lease(one, SIBLING)
        one.abandon(second)
        assert fill(other, KEY, b"value")

    def test_a_group_is_all_its_keys(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Values, leases, and keys that were never looked up; but no other group."""
        fill(one, KEY, b"old")
        fill(one, STRANGER, b"stranger")
        slow = lease(one, SIBLING)
        fence = other.fence(touched("group"), transaction)
        assert isinstance(one.look_up(KEY), Miss)
        assert not one.fill(slow, b"old", TTL)
        for key in (KEY, SIBLING, Key(KEY.group, "0a1b2c:3")):
            assert not isinstance(one.lease(key), Lease)
        assert one.look_up(STRANGER) == b"stranger"
        other.release(fence, transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)
        assert fill(one, KEY, b"new")
        assert fill(one, SIBLING, b"new")
        assert other.look_up(SIBLING) == b"new"

    def test_much_is_touched_at_once(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Several keys, several groups, and a key of a group that is touched as a whole."""
        third = Key("third", "0a1b2c:1")
        keys = (KEY, SIBLING, STRANGER, third)
        for key in keys:
            fill(one, key, b"old")
        touched = Touched(frozenset({KEY, STRANGER, third}), frozenset({"labels", "third"}))
        fence = other.fence(touched, transaction)
        assert [key for key in keys if not isinstance(one.look_up(key), Miss)] == [SIBLING]
        other.release(fence, transaction)
        assert all(fill(one, key, b"new") for key in (KEY, STRANGER, third))

    def test_nothing_touched_changes_nothing(
        self, one: CacheStrategy, transaction: Transaction
    ) -> None:
        """A fence may cover nothing."""
        fill(one, KEY, b"value")
        one.release(one.fence(Touched(), transaction), transaction)
        assert one.look_up(KEY) == b"value"

    def test_a_fence_that_is_never_lifted_ends_by_itself(
        self,
        one: CacheStrategy,
        other: CacheStrategy,
        transaction: Transaction,
        pass_time: Callable[[float], None],
    ) -> None:
        """Its writer has died; writes of others meanwhile do not shorten it."""
        other.fence(keys(KEY), transaction)
        pass_time(30)
        write(one, transaction)
        assert not isinstance(one.lease(KEY), Lease)
        pass_time(3600)
        lease(one)

    def test_a_write_that_outlasts_its_fence_is_seen(
        self,
        one: CacheStrategy,
        other: CacheStrategy,
        transaction: Transaction,
        pass_time: Callable[[float], None],
    ) -> None:
        """What was filled, or is about to be, before the write came to its end is invalidated."""
        fence = other.fence(keys(KEY, SIBLING), transaction)
        pass_time(3600)
        fill(one, KEY, b"old")
        slow = lease(one, SIBLING)
        other.release(fence, transaction)
        assert isinstance(one.look_up(KEY), Miss)
        assert not one.fill(slow, b"old", TTL)

"""What a cache strategy must do for readers."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from pegboard.cache import CacheStrategy, Key, Lease, Miss, MissReason, Transaction
from pegboard.testing.contracts.steps import (
    KEY,
    SIBLING,
    STRANGER,
    TTL,
    fill,
    keys,
    lease,
    write,
)

_ALIKE = (
    *(Key("a", "b:c"), Key("a:b", "c"), Key("a", "b%3Ac"), Key("a%3Ab", "c")),
    *(Key("ab", "c"), Key("a", "bc"), Key("a.b", "c"), Key("a", "b.c"), Key("a", "b{c}")),
    *(Key("a", "B:C"), Key("A", "b:c"), Key("a", "b/c"), Key("a", "b%2Fc"), Key("a", "../b")),
    *(
        Key("a", "%0Ab"),
        Key("a", "%0D%0Ab"),
        Key("a", "%00b"),
        Key("a", "%E2%82%AC"),
        Key("a", "*"),
    ),
    *(
        Key("a", "x" * 200),
        Key("a", "x" * 199 + "y"),
        Key("{a}", "b"),
        Key("a", "$b"),
        Key("a", "#"),
    ),
)
"""Keys that a careless encoding would take for each other."""

_VALUES = (
    *(b"", b"\x00", b"\n\n", bytes(range(256)), b"L" * 17, b"F" * 30, b"G" + b"0" * 16),
    *(b"V" + b"0" * 40, b"\x80\x04.", b"null", b"$-1\r\n", "€".encode(), b"\xff" * 100_000),
)


class Readers:
    """Looking up, leasing and filling."""

    def test_an_empty_storage_has_nothing(self, one: CacheStrategy) -> None:
        """A miss says why, and that it is worth asking for a lease."""
        found = one.look_up(KEY)
        assert isinstance(found, Miss)
        assert found.reason
        assert found.may_fill

    def test_what_one_process_fills_all_find(self, strategies: Sequence[CacheStrategy]) -> None:
        """And nothing under any other key."""
        assert fill(strategies[0], KEY, b"value")
        for strategy in strategies:
            assert strategy.look_up(KEY) == b"value"
            assert isinstance(strategy.look_up(SIBLING), Miss)
            assert isinstance(strategy.look_up(STRANGER), Miss)

    def test_a_lease_excludes_others(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """Readers of the same process and of others; leases of other keys are independent."""
        lease(one)
        for strategy in (one, other):
            refused = strategy.lease(KEY)
            assert isinstance(refused, Miss)
            assert refused.reason == MissReason.LEASED
        lease(other, SIBLING)
        lease(other, STRANGER)

    def test_of_many_at_once_one_gets_the_lease(self, strategies: Sequence[CacheStrategy]) -> None:
        """However close they come."""
        together = Barrier(8, timeout=10)

        def ask(number: int) -> Any:
            together.wait()
            return strategies[number % len(strategies)].lease(KEY)

        with ThreadPoolExecutor(8) as threads:
            given = list(threads.map(ask, range(8)))
        assert sum(isinstance(one, Lease) for one in given) == 1

    def test_a_reader_too_late_for_the_lease_gets_the_value(
        self, one: CacheStrategy, other: CacheStrategy
    ) -> None:
        """The key was filled between look-up and lease, so the database need not be read again."""
        assert isinstance(other.look_up(KEY), Miss)
        fill(one, KEY, b"value")
        assert other.lease(KEY) == b"value"

    def test_a_lease_fills_once(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """A second fill, by any process, does not replace the value."""
        first = lease(one)
        assert one.fill(first, b"value", TTL)
        assert not one.fill(first, b"again", TTL)
        assert not other.fill(first, b"again", TTL)
        assert other.look_up(KEY) == b"value"

    def test_a_lease_can_be_given_back(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """As for a row that does not exist; the next reader need not wait."""
        given = lease(one)
        one.give_back(given)
        assert not one.fill(given, b"value", TTL)
        assert other.fill(lease(other), b"value", TTL)

    def test_only_the_own_lease_is_given_back(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Not one that another reader took meanwhile, nor a value or a fence in its place."""
        lost = lease(one)
        write(other, transaction)
        next_one = lease(other)
        one.give_back(lost)
        assert other.fill(next_one, b"value", TTL)
        one.give_back(lost)
        assert one.look_up(KEY) == b"value"
        fence = other.fence(keys(KEY), transaction)
        one.give_back(lost)
        assert not isinstance(one.lease(KEY), Lease)
        other.release(fence, transaction)

    def test_a_lease_ends_by_itself(
        self, one: CacheStrategy, other: CacheStrategy, pass_time: Callable[[float], None]
    ) -> None:
        """Its process may have died; if it has not, it can store nothing any more."""
        lost = lease(one)
        pass_time(60)
        second = lease(other)
        assert not one.fill(lost, b"lost", TTL)
        assert other.fill(second, b"value", TTL)
        assert not one.fill(lost, b"lost", TTL)
        assert one.look_up(KEY) == b"value"

    def test_a_value_ends_with_its_time(
        self, one: CacheStrategy, pass_time: Callable[[float], None]
    ) -> None:
        """Not earlier, and then it can be filled again."""
        fill(one, KEY, b"value", ttl=100)
        pass_time(99)
        assert one.look_up(KEY) == b"value"
        pass_time(2)
        assert isinstance(one.look_up(KEY), Miss)
        assert fill(one, KEY, b"next")

    @pytest.mark.parametrize("value", _VALUES, ids=lambda value: repr(value[:8]))
    def test_a_value_is_any_bytes(
        self, one: CacheStrategy, other: CacheStrategy, value: bytes
    ) -> None:
        """Empty, binary, and what a storage could take for a record of its own."""
        assert fill(one, KEY, value)
        assert value == other.look_up(KEY)
        assert value == other.lease(KEY)

    def test_no_key_is_taken_for_another(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """However alike they are when group and name are put together."""
        for number, key in enumerate(_ALIKE):
            assert isinstance(other.look_up(key), Miss), key
            assert fill(one, key, b"%d" % number), key
        for number, key in enumerate(_ALIKE):
            assert b"%d" % number == other.look_up(key), key

    def test_no_write_is_taken_for_that_of_another_key(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """A fence covers its key and no other."""
        for key in _ALIKE:
            fill(one, key, b"value")
        write(other, transaction, keys(_ALIKE[0]))
        assert [_ALIKE[0]] == [key for key in _ALIKE if isinstance(one.look_up(key), Miss)]

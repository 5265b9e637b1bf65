"""Contracts: test classes that a plugin team inherits, to learn whether theirs may serve.

::

    class TestMyStrategy(CacheStrategyContract):
        @pytest.fixture
        def strategies(self):
            storage = make_storage()
            return [MyStrategy(storage), MyStrategy(storage)]
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Executable

from pegboard.cache import LEASED, CacheStrategy, Key, Lease, Miss, Touched, Transaction

KEY = Key("notes", "0a1b2c:1")
SIBLING = Key("notes", "0a1b2c:2")
STRANGER = Key("labels", "0a1b2c:1")
TTL = 300

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
"""Keys that some careless way of writing down would mix up."""

_VALUES = (
    *(b"", b"\x00", b"\n\n", bytes(range(256)), b"L" * 17, b"F" * 30, b"G" + b"0" * 16),
    *(b"V" + b"0" * 40, b"\x80\x04.", b"null", b"$-1\r\n", "€".encode(), b"\xff" * 100_000),
)


class NoTransaction:
    """A `Transaction` for a strategy that needs none."""

    def execute(self, statement: Executable) -> Sequence[Any]:
        """Fail: the strategy wants a real one."""
        pytest.fail(f"the strategy executes {statement}: override the fixture `transaction`")

    def commit(self) -> None:
        """Fail likewise."""
        pytest.fail("the strategy commits: override the fixture `transaction`")


class CacheStrategyContract:
    """What every `CacheStrategy` must do, each race as an explicit schedule of calls."""

    @pytest.fixture
    def strategies(self) -> Sequence[CacheStrategy]:
        """Two strategies or more that share one empty storage, as in as many processes."""
        raise NotImplementedError

    @pytest.fixture
    def transaction(self) -> Transaction:
        """What a writer hands over; override it if the strategy uses it."""
        return NoTransaction()

    @pytest.fixture
    def pass_time(self) -> Callable[[float], None]:
        """Let so many seconds pass for the storage, without waiting."""
        pytest.skip("the clock of this strategy's storage cannot be set")

    @pytest.fixture
    def broken(self) -> CacheStrategy:
        """A strategy whose storage does not answer."""
        pytest.skip("the storage of this strategy cannot fail")

    @pytest.fixture
    def one(self, strategies: Sequence[CacheStrategy]) -> CacheStrategy:
        """The strategy of one process."""
        return strategies[0]

    @pytest.fixture
    def other(self, strategies: Sequence[CacheStrategy]) -> CacheStrategy:
        """The strategy of another process."""
        return strategies[1]

    # Readers

    def test_an_empty_storage_has_nothing(self, one: CacheStrategy) -> None:
        """A miss says why, and that it is worth asking for a lease."""
        found = one.look_up(KEY)
        assert isinstance(found, Miss)
        assert found.reason
        assert found.may_fill

    def test_what_one_process_fills_all_find(self, strategies: Sequence[CacheStrategy]) -> None:
        """And nothing under any other key."""
        assert _fill(strategies[0], KEY, b"value")
        for strategy in strategies:
            assert strategy.look_up(KEY) == b"value"
            assert isinstance(strategy.look_up(SIBLING), Miss)
            assert isinstance(strategy.look_up(STRANGER), Miss)

    def test_a_lease_excludes_others(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """Of the same process or of another; leases of other keys are not concerned."""
        lease(one)
        for strategy in (one, other):
            refused = strategy.lease(KEY)
            assert isinstance(refused, Miss)
            assert refused.reason == LEASED
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

    def test_who_comes_too_late_for_the_lease_gets_the_value(
        self, one: CacheStrategy, other: CacheStrategy
    ) -> None:
        """It was filled between his look-up and his lease: the database need not be read again."""
        assert isinstance(other.look_up(KEY), Miss)
        _fill(one, KEY, b"value")
        assert other.lease(KEY) == b"value"

    def test_a_lease_fills_once(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """What has been filled is not replaced by a second fill, from wherever it comes."""
        first = lease(one)
        assert one.fill(first, b"value", TTL)
        assert not one.fill(first, b"again", TTL)
        assert not other.fill(first, b"again", TTL)
        assert other.look_up(KEY) == b"value"

    def test_a_lease_can_be_given_back(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """Nothing came of it, as for a row that is not there; the next need not wait."""
        given = lease(one)
        one.give_back(given)
        assert not one.fill(given, b"value", TTL)
        assert other.fill(lease(other), b"value", TTL)

    def test_only_the_own_lease_is_given_back(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Neither one that another took meanwhile, nor a value or a fence in its place."""
        lost = lease(one)
        _write(other, transaction)
        next_one = lease(other)
        one.give_back(lost)
        assert other.fill(next_one, b"value", TTL)
        one.give_back(lost)
        assert one.look_up(KEY) == b"value"
        fence = other.fence(_keys(KEY), transaction)
        one.give_back(lost)
        assert not isinstance(one.lease(KEY), Lease)
        other.release(fence, transaction)

    def test_a_lease_ends_by_itself(
        self, one: CacheStrategy, other: CacheStrategy, pass_time: Callable[[float], None]
    ) -> None:
        """Its process may have died; should it come back, it fills nothing any more."""
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
        _fill(one, KEY, b"value", ttl=100)
        pass_time(99)
        assert one.look_up(KEY) == b"value"
        pass_time(2)
        assert isinstance(one.look_up(KEY), Miss)
        assert _fill(one, KEY, b"next")

    @pytest.mark.parametrize("value", _VALUES, ids=lambda value: repr(value[:8]))
    def test_a_value_is_any_bytes(
        self, one: CacheStrategy, other: CacheStrategy, value: bytes
    ) -> None:
        """None at all, binary, and what could be taken for a mark of the storage."""
        assert _fill(one, KEY, value)
        assert value == other.look_up(KEY)
        assert value == other.lease(KEY)

    def test_no_key_is_taken_for_another(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """However alike they are when group and name are put together."""
        for number, key in enumerate(_ALIKE):
            assert isinstance(other.look_up(key), Miss), key
            assert _fill(one, key, b"%d" % number), key
        for number, key in enumerate(_ALIKE):
            assert b"%d" % number == other.look_up(key), key

    def test_no_write_is_taken_for_that_of_another_key(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """A fence covers its key and no other."""
        for key in _ALIKE:
            _fill(one, key, b"value")
        _write(other, transaction, _keys(_ALIKE[0]))
        assert [_ALIKE[0]] == [key for key in _ALIKE if isinstance(one.look_up(key), Miss)]

    # Readers and writers

    def test_a_write_forgets(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Before the commit already, and in all processes; what was not touched stays."""
        _fill(one, KEY, b"old")
        _fill(one, SIBLING, b"sibling")
        fence = other.fence(_keys(KEY), transaction)
        assert isinstance(one.look_up(KEY), Miss)
        assert isinstance(other.look_up(KEY), Miss)
        moment = other.release(fence, transaction)
        assert moment >= 0.0
        assert isinstance(one.look_up(KEY), Miss)
        assert _fill(one, KEY, b"new")
        assert other.look_up(KEY) == b"new"
        assert other.look_up(SIBLING) == b"sibling"

    def test_a_slow_reader_fills_nothing(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """He read before a write, and fills when it has long been acknowledged."""
        slow = lease(one)
        _write(other, transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)
        assert isinstance(other.look_up(KEY), Miss)

    def test_a_slow_reader_does_not_replace_what_is_new(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Another has read since the write and filled; or is about to."""
        slow = lease(one)
        _write(other, transaction)
        quick = lease(other)
        assert not one.fill(slow, b"old", TTL)
        assert other.fill(quick, b"new", TTL)
        assert not one.fill(slow, b"old", TTL)
        assert one.look_up(KEY) == b"new"

    def test_a_fence_between_lease_and_fill_ends_the_lease(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """While it stands, and after."""
        slow = lease(one)
        fence = other.fence(_keys(KEY), transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)
        other.release(fence, transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)

    def test_under_a_fence_no_lease_is_given(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Nor is there a point in waiting for one."""
        fence = other.fence(_keys(KEY), transaction)
        for strategy in (one, other):
            refused = strategy.lease(KEY)
            assert isinstance(refused, Miss)
            assert not refused.may_fill
            assert refused.reason != LEASED
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
        """Who releases his own does not lift another's; overlapping in any way."""
        writers = (one, other)
        fences = [
            writer.fence(_touched(kind), transaction)
            for writer, kind in zip(writers, (first, second), strict=True)
        ]
        writers[lifted[0]].release(fences[lifted[0]], transaction)
        for strategy in writers:
            assert not isinstance(strategy.lease(KEY), Lease)
            assert isinstance(strategy.look_up(KEY), Miss)
        writers[lifted[1]].release(fences[lifted[1]], transaction)
        assert _fill(one, KEY, b"new")
        assert other.look_up(KEY) == b"new"

    def test_a_fence_is_lifted_by_nothing_but_its_release(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Not by a fill that comes late, a lease given back, or the end of another write."""
        slow = lease(one)
        fence = other.fence(_keys(KEY), transaction)
        one.fill(slow, b"old", TTL)
        one.give_back(slow)
        _write(one, transaction)
        _write(one, transaction, _touched("group"))
        assert not isinstance(one.lease(KEY), Lease)
        other.release(fence, transaction)
        lease(one)

    def test_a_fence_is_abandoned_when_nothing_was_written(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """It is lifted, and no other; what was forgotten stays so, and can be read again."""
        _fill(one, KEY, b"value")
        slow = lease(one, SIBLING)
        first = other.fence(_keys(KEY, SIBLING), transaction)
        second = one.fence(_keys(KEY), transaction)
        other.abandon(first)
        assert isinstance(one.look_up(KEY), Miss)
        assert not isinstance(one.lease(KEY), Lease)
        assert not one.fill(slow, b"value", TTL)
        lease(one, SIBLING)
        one.abandon(second)
        assert _fill(other, KEY, b"value")

    def test_a_group_is_all_its_keys(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Values, leases, and keys that nobody has asked for yet; but no other group."""
        _fill(one, KEY, b"old")
        _fill(one, STRANGER, b"stranger")
        slow = lease(one, SIBLING)
        fence = other.fence(_touched("group"), transaction)
        assert isinstance(one.look_up(KEY), Miss)
        assert not one.fill(slow, b"old", TTL)
        for key in (KEY, SIBLING, Key(KEY.group, "0a1b2c:3")):
            assert not isinstance(one.lease(key), Lease)
        assert one.look_up(STRANGER) == b"stranger"
        other.release(fence, transaction)
        assert not one.fill(slow, b"old", TTL)
        assert isinstance(one.look_up(KEY), Miss)
        assert _fill(one, KEY, b"new")
        assert _fill(one, SIBLING, b"new")
        assert other.look_up(SIBLING) == b"new"

    def test_much_is_touched_at_once(
        self, one: CacheStrategy, other: CacheStrategy, transaction: Transaction
    ) -> None:
        """Several keys, several groups, and a key of a group that is touched as a whole."""
        third = Key("third", "0a1b2c:1")
        keys = (KEY, SIBLING, STRANGER, third)
        for key in keys:
            _fill(one, key, b"old")
        touched = Touched(frozenset({KEY, STRANGER, third}), frozenset({"labels", "third"}))
        fence = other.fence(touched, transaction)
        assert [key for key in keys if not isinstance(one.look_up(key), Miss)] == [SIBLING]
        other.release(fence, transaction)
        assert all(_fill(one, key, b"new") for key in (KEY, STRANGER, third))

    def test_nothing_touched_changes_nothing(
        self, one: CacheStrategy, transaction: Transaction
    ) -> None:
        """A fence around nothing is a fence."""
        _fill(one, KEY, b"value")
        one.release(one.fence(Touched(), transaction), transaction)
        assert one.look_up(KEY) == b"value"

    def test_a_fence_that_nobody_lifts_ends_by_itself(
        self,
        one: CacheStrategy,
        other: CacheStrategy,
        transaction: Transaction,
        pass_time: Callable[[float], None],
    ) -> None:
        """Its writer has died; others have written meanwhile, which shortens nothing."""
        other.fence(_keys(KEY), transaction)
        pass_time(30)
        _write(one, transaction)
        assert not isinstance(one.lease(KEY), Lease)
        pass_time(3600)
        lease(one)

    @pytest.mark.parametrize("kinds", [("key", "key"), ("key", "group"), ("group", "group")])
    def test_every_interleaving_of_a_reader_and_two_writers(
        self, strategies: Sequence[CacheStrategy], transaction: Transaction, kinds: tuple[str, str]
    ) -> None:
        """Whatever the order of their steps, nothing older is found than what is acknowledged."""
        for number, order in enumerate(_interleavings(3, 3, 3)):
            key = Key(f"group{number}", "0a1b2c:1")
            world = _World(key, transaction)
            actors = [
                world.read(strategies[0]),
                world.write(strategies[1], _touched(kinds[0], key)),
                world.write(strategies[0], _touched(kinds[1], key)),
            ]
            world.run(actors, order, strategies[1])

    def test_every_interleaving_of_two_readers_and_a_writer(
        self, strategies: Sequence[CacheStrategy], transaction: Transaction
    ) -> None:
        """Likewise."""
        for number, order in enumerate(_interleavings(3, 3, 3)):
            key = Key("notes", f"0a1b2c:{number}")
            world = _World(key, transaction)
            actors = [
                world.read(strategies[0]),
                world.read(strategies[1]),
                world.write(strategies[1], _keys(key)),
            ]
            world.run(actors, order, strategies[0])

    # Operators, and bad days

    def test_a_group_can_be_cleared(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """Its values are gone, and who reads at the moment fills nothing."""
        _fill(one, KEY, b"value")
        _fill(one, STRANGER, b"stranger")
        slow = lease(one, SIBLING)
        other.clear(KEY.group)
        assert isinstance(one.look_up(KEY), Miss)
        assert not one.fill(slow, b"value", TTL)
        assert one.look_up(STRANGER) == b"stranger"
        assert _fill(one, KEY, b"next")

    def test_everything_can_be_cleared(self, one: CacheStrategy, other: CacheStrategy) -> None:
        """All groups at once."""
        _fill(one, KEY, b"value")
        _fill(one, STRANGER, b"stranger")
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
        fence = one.fence(_keys(KEY), transaction)
        other.clear(KEY.group)
        assert not isinstance(other.lease(KEY), Lease)
        one.release(fence, transaction)

    def test_figures_are_plain(self, one: CacheStrategy) -> None:
        """So that they can be printed and sent as JSON by whoever asks."""
        one.look_up(KEY)
        figures = one.figures()
        assert all(isinstance(name, str) for name in figures)
        assert all(isinstance(value, int | float | str | bool) for value in figures.values())

    def test_it_has_a_name(self, one: CacheStrategy) -> None:
        """Operators read it."""
        assert one.name

    def test_a_storage_that_is_away_is_a_miss(self, broken: CacheStrategy) -> None:
        """A reader never learns more of it than that, and reads the database."""
        assert isinstance(broken.look_up(KEY), Miss)
        given = broken.lease(KEY)
        assert not isinstance(given, bytes)
        if isinstance(given, Lease):
            assert not broken.fill(given, b"value", TTL)
        broken.figures()

    def test_a_storage_that_goes_away_takes_nothing(
        self, one: CacheStrategy, broken: CacheStrategy
    ) -> None:
        """Between the lease and the fill."""
        given = lease(one)
        broken.give_back(given)
        assert not broken.fill(given, b"value", TTL)


def lease(strategy: CacheStrategy, key: Key = KEY) -> Lease:
    """Take a lease that must be given."""
    given = strategy.lease(key)
    assert isinstance(given, Lease), given
    return given


def _fill(strategy: CacheStrategy, key: Key, value: bytes, ttl: int = TTL) -> bool:
    return strategy.fill(lease(strategy, key), value, ttl)


def _keys(*keys: Key) -> Touched:
    return Touched(keys=frozenset(keys))


def _touched(kind: str, key: Key = KEY) -> Touched:
    return _keys(key) if kind == "key" else Touched(groups=frozenset({key.group}))


def _write(
    strategy: CacheStrategy, transaction: Transaction, touched: Touched | None = None
) -> None:
    """Write as the core does: fence, commit, release."""
    fence = strategy.fence(touched or _keys(KEY), transaction)
    strategy.release(fence, transaction)


def _interleavings(*counts: int) -> Iterator[tuple[int, ...]]:
    """Yield every order in which actors can take so many steps each."""
    if not any(counts):
        yield ()
    for actor, count in enumerate(counts):
        if count:
            rest = (*counts[:actor], count - 1, *counts[actor + 1 :])
            yield from ((actor, *order) for order in _interleavings(*rest))


class _World:
    """A database of one number, which only grows, and what of it was acknowledged."""

    def __init__(self, key: Key, transaction: Transaction) -> None:
        self._key = key
        self._transaction = transaction
        self._committed = 0
        self._acknowledged = 0

    def read(self, strategy: CacheStrategy) -> Iterator[None]:
        """Lease, read, fill: one step each."""
        given = strategy.lease(self._key)
        yield
        value = self._committed
        yield
        if isinstance(given, Lease):
            strategy.fill(given, b"%d" % value, TTL)
        yield

    def write(self, strategy: CacheStrategy, touched: Touched) -> Iterator[None]:
        """Fence, commit, release: one step each."""
        fence = strategy.fence(touched, self._transaction)
        yield
        self._committed += 1
        mine = self._committed
        yield
        strategy.release(fence, self._transaction)
        self._acknowledged = max(self._acknowledged, mine)
        yield

    def run(
        self, actors: Sequence[Iterator[None]], order: Sequence[int], observer: CacheStrategy
    ) -> None:
        """Let the actors take their steps in that order, and look after each."""
        for step in range(len(order)):
            next(actors[order[step]])
            found = observer.look_up(self._key)
            if not isinstance(found, Miss):
                seen = f"{found!r} after the steps {order[: step + 1]}"
                assert self._acknowledged <= int(found), seen

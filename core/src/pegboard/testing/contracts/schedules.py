"""Every order in which a few readers and writers can take their steps."""

import time
from collections.abc import Iterator, Sequence

import pytest

from pegboard.cache import CacheStrategy, Key, Lease, Miss, Touched, Transaction
from pegboard.testing.contracts.steps import (
    TTL,
    keys,
    touched,
)


class Schedules:
    """All interleavings of a few readers and writers."""

    @pytest.mark.parametrize("kinds", [("key", "key"), ("key", "group"), ("group", "group")])
    def test_every_interleaving_of_a_reader_and_two_writers(
        self, strategies: Sequence[CacheStrategy], transaction: Transaction, kinds: tuple[str, str]
    ) -> None:
        """In no order of their steps a value is found that is older than an acknowledged one."""
        for number, order in enumerate(_interleavings(3, 3, 3)):
            key = Key(f"group{number}", "0a1b2c:1")
            world = _World(key, transaction)
            actors = [
                world.read(strategies[0]),
                world.write(strategies[1], touched(kinds[0], key)),
                world.write(strategies[0], touched(kinds[1], key)),
            ]
            world.run(actors, order, strategies[1])

    def test_every_interleaving_of_two_readers_and_a_writer(
        self, strategies: Sequence[CacheStrategy], transaction: Transaction
    ) -> None:
        """In no order of their steps a value is found that is older than an acknowledged one."""
        for number, order in enumerate(_interleavings(3, 3, 3)):
            key = Key("notes", f"0a1b2c:{number}")
            world = _World(key, transaction)
            actors = [
                world.read(strategies[0]),
                world.read(strategies[1]),
                world.write(strategies[1], keys(key)),
            ]
            world.run(actors, order, strategies[0])


def _interleavings(*counts: int) -> Iterator[tuple[int, ...]]:
    """Yield every order in which actors can take so many steps each."""
    if not any(counts):
        yield ()
    for actor, count in enumerate(counts):
        if count:
            rest = (*counts[:actor], count - 1, *counts[actor + 1 :])
            yield from ((actor, *order) for order in _interleavings(*rest))


class _World:
    """A database of one number, which only grows, and the highest that was acknowledged."""

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
        moment = strategy.release(fence, self._transaction)
        time.sleep(max(0.0, moment - time.monotonic()))
        self._acknowledged = max(self._acknowledged, mine)
        yield

    def run(
        self, actors: Sequence[Iterator[None]], order: Sequence[int], observer: CacheStrategy
    ) -> None:
        """Let the actors take their steps in an order, and look the key up after each step."""
        for step in range(len(order)):
            next(actors[order[step]])
            found = observer.look_up(self._key)
            if not isinstance(found, Miss):
                seen = f"{found!r} after the steps {order[: step + 1]}"
                assert self._acknowledged <= int(found), seen

"""Steps that the contracts share."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Executable

from pegboard.cache import CacheStrategy, Key, Lease, Touched, Transaction

KEY = Key("notes", "0a1b2c:1")
"""The key that most tests of a contract read and write."""

SIBLING = Key("notes", "0a1b2c:2")
"""Another key of the same group."""

STRANGER = Key("labels", "0a1b2c:1")
TTL = 300


class NoTransaction:
    """A `Transaction` for a strategy that needs none: a test that uses it fails."""

    def execute(self, statement: Executable) -> Sequence[Any]:
        """Fail the test."""
        pytest.fail(f"the strategy executes {statement}: override the fixture `transaction`")

    def commit(self) -> None:
        """Fail the test."""
        pytest.fail("the strategy commits: override the fixture `transaction`")


def lease(strategy: CacheStrategy, key: Key = KEY) -> Lease:
    """Return the lease of a key; the test fails when the strategy gives none."""
    given = strategy.lease(key)
    assert isinstance(given, Lease), given
    return given


def fill(strategy: CacheStrategy, key: Key, value: bytes, ttl: int = TTL) -> bool:
    """Take a lease and fill; returns whether the value was stored."""
    return strategy.fill(lease(strategy, key), value, ttl)


def keys(*found: Key) -> Touched:
    """Return what a writer of these keys has touched."""
    return Touched(keys=frozenset(found))


def touched(kind: str, key: Key = KEY) -> Touched:
    """Return what a writer of the key has touched: the key, or its group."""
    return keys(key) if kind == "key" else Touched(groups=frozenset({key.group}))


def write(
    strategy: CacheStrategy, transaction: Transaction, touched: Touched | None = None
) -> None:
    """Write as the core does: fence, commit, release."""
    fence = strategy.fence(touched or keys(KEY), transaction)
    strategy.release(fence, transaction)

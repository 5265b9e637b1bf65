"""Contracts: test classes that a plugin team inherits to test an implementation of its own.

::

    class TestMyStrategy(CacheStrategyContract):
        @pytest.fixture
        def strategies(self):
            storage = make_storage()
            return [MyStrategy(storage), MyStrategy(storage)]
"""

from collections.abc import Callable, Sequence

import pytest

from pegboard.cache import CacheStrategy, Transaction
from pegboard.testing.contracts.clients import ClientIdentityContract
from pegboard.testing.contracts.migrations import MigrationsContract
from pegboard.testing.contracts.operators import Operators
from pegboard.testing.contracts.plugins import PluginContract
from pegboard.testing.contracts.readers import Readers
from pegboard.testing.contracts.resources import ResourceContract
from pegboard.testing.contracts.schedules import Schedules
from pegboard.testing.contracts.stages import StageContract
from pegboard.testing.contracts.steps import KEY, SIBLING, NoTransaction, lease
from pegboard.testing.contracts.writers import Writers

__all__ = [
    "KEY",
    "SIBLING",
    "CacheStrategyContract",
    "ClientIdentityContract",
    "MigrationsContract",
    "NoTransaction",
    "PluginContract",
    "ResourceContract",
    "StageContract",
    "lease",
]


class CacheStrategyContract(Readers, Writers, Schedules, Operators):
    """Tests of what every `CacheStrategy` must do, each race as an explicit schedule of calls.

    A class that inherits it overrides the fixtures below.
    """

    @pytest.fixture
    def strategies(self) -> Sequence[CacheStrategy]:
        """Two strategies or more that share one empty storage, as in as many processes.

        Raises `NotImplementedError`: the class that inherits the contract overrides it.
        """
        message = "override the fixture `strategies`: it makes what the contract is tested on"
        raise NotImplementedError(message)

    @pytest.fixture
    def transaction(self) -> Transaction:
        """The connection of a writer; override it if the strategy uses it."""
        return NoTransaction()

    @pytest.fixture
    def pass_time(self) -> Callable[[float], None]:
        """What lets a number of seconds pass for the storage, without waiting.

        Tests that need it are skipped where it is not overridden.
        """
        pytest.skip("the clock of this strategy's storage cannot be set")

    @pytest.fixture
    def broken(self) -> CacheStrategy:
        """A strategy whose storage does not answer.

        Tests that need it are skipped where it is not overridden.
        """
        pytest.skip("the storage of this strategy cannot fail")

    @pytest.fixture
    def one(self, strategies: Sequence[CacheStrategy]) -> CacheStrategy:
        """The strategy of one process."""
        return strategies[0]

    @pytest.fixture
    def other(self, strategies: Sequence[CacheStrategy]) -> CacheStrategy:
        """The strategy of another process."""
        return strategies[1]

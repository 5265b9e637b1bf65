"""The contract of storages, which the tests of a plugin with a storage inherit.

It needs `pip install 'pegboard-ratelimit[testing]'`; nothing imports it when a service runs.
"""

from collections.abc import Callable

import pytest

from pegboard.redis import Channel
from pegboard_ratelimit.counting import Storage
from pegboard_ratelimit.testing.counting import Counting

__all__ = ["LimitStorageContract"]


class LimitStorageContract(Counting):
    """Tests of what every storage of counts must do.

    A subclass gives it an empty storage::

        class TestTableStorage(LimitStorageContract):
            @pytest.fixture
            def storage(self, app):
                return TableStorage(app)
    """

    @pytest.fixture
    def storage(self) -> Storage:
        """An empty storage; to be overridden."""
        pytest.fail('override the fixture "storage": return an empty storage', pytrace=False)

    @pytest.fixture
    def channel(self) -> Channel:
        """What executes the commands of a storage in Redis; override it if there are any.

        As in `pegboard.redis.get_channel(app)`.
        """
        pytest.fail(
            'the storage returns commands for Redis: override the fixture "channel", as by '
            "return pegboard.redis.get_channel(app)",
            pytrace=False,
        )

    @pytest.fixture
    def pass_time(self) -> Callable[[float], None]:
        """What lets a number of seconds pass for the storage, without waiting.

        Tests that need it are skipped where it is not overridden.
        """
        pytest.skip("the clock of this storage cannot be set")

"""cache_redis keeps the contracts of a plugin."""

from collections.abc import Mapping

import pytest

from pegboard.testing.contracts import MigrationsContract, PluginContract


@pytest.mark.slow
class TestPlugin(PluginContract, MigrationsContract):
    """From the wheel to the removal, and each revision on both databases."""

    @pytest.fixture
    def plugin_name(self) -> str:
        """The plugin."""
        return "cache_redis"

    @pytest.fixture
    def plugin_config(self, redis_url: str) -> Mapping[str, object]:
        """It needs a Redis; a busy machine is no fault of it."""
        return {"REDIS_URL": redis_url, "REDIS_TIMEOUT": 5}

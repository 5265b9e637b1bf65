"""Items keep the contracts of a plugin."""

import pytest

from pegboard.testing.contracts import MigrationsContract, PluginContract


@pytest.mark.slow
class TestPlugin(PluginContract, MigrationsContract):
    """From the wheel to the removal, and each revision on both databases."""

    @pytest.fixture
    def plugin_name(self) -> str:
        """Items."""
        return "items"

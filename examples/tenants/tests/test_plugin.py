"""The plugin keeps the contracts of a plugin."""

import pytest

from pegboard.testing.contracts import MigrationsContract, PluginContract


class TestPlugin(PluginContract, MigrationsContract):
    """From the wheel to the removal, and each revision on both databases."""

    @pytest.fixture
    def plugin_name(self) -> str:
        """The plugin under test."""
        return "tenants"

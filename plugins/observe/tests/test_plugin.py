"""Observe keeps the contract of a plugin."""

import pytest

from pegboard.testing.contracts import PluginContract


@pytest.mark.slow
class TestPlugin(PluginContract):
    """From the wheel to the removal."""

    @pytest.fixture
    def plugin_name(self) -> str:
        """Observe."""
        return "observe"

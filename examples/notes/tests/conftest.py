"""Fixtures of this test tree."""

from collections.abc import Sequence

import pytest

pytest_plugins = ["pegboard.testing.fixtures"]


@pytest.fixture
def plugins() -> Sequence[str]:
    """The plugins of the app under test."""
    return ["notes"]

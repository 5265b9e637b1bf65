"""Fixtures of the tests of the cache."""

import pytest

from pegboard.cache import MemoryStrategy
from pegboard.testing.recording import RecordingStrategy


@pytest.fixture
def strategy() -> RecordingStrategy:
    """The strategy of the app."""
    return RecordingStrategy(MemoryStrategy(size=1000))

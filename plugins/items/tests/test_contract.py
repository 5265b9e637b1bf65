"""Items keep the contract of resources."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from pegboard import Resource
from pegboard.testing.contracts import ResourceContract
from pegboard_items.views import resource as items


class TestItems(ResourceContract):
    """Each test on both databases."""

    @pytest.fixture
    def resource(self) -> Resource[Any]:
        """Items."""
        return items

    @pytest.fixture
    def bodies(self) -> Iterator[Mapping[str, Any]]:
        """Items without end; some have no description."""
        return (
            {"name": f"Nail {number} Ä%", "description": None if number % 3 else f"no. {number}\n"}
            for number in count()
        )

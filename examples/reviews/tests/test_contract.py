"""Reviews keep the contract of resources."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from pegboard import Resource
from pegboard.testing.contracts import ResourceContract
from pegboard_reviews.resource import reviews


class TestReviews(ResourceContract):
    """Each test follows from the declaration."""

    @pytest.fixture
    def resource(self) -> Resource[Any]:
        """The resource that is tested."""
        return reviews

    @pytest.fixture
    def bodies(self, item_id: int) -> Iterator[Mapping[str, Any]]:
        """Reviews without end; some have no text."""
        return (
            {
                "item_id": item_id,
                "rating": 1 + number % 5,
                "text": None if number % 3 == 2 else f"Nails {number} boards.\nÄ %",
            }
            for number in count()
        )

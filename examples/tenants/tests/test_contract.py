"""Documents keep the contract of resources, for the tenant whose they are."""

from itertools import count

import pytest

from pegboard.testing.contracts import ResourceContract
from pegboard_tenants.resource import documents


class TestDocuments(ResourceContract):
    """Each test follows from the declaration."""

    @pytest.fixture
    def client(self, make_app, plugins, add_tenant):
        """A client of acme, after a request that has had the tenants read."""
        client = add_tenant(make_app(plugins=plugins, TENANTS_REFRESH=3600), "acme")
        client.get("/api/documents/")
        return client

    @pytest.fixture
    def resource(self):
        """The resource that is tested."""
        return documents

    @pytest.fixture
    def bodies(self):
        """Documents without end; some have no text."""
        return (
            {"title": f"Letter {number}", "text": None if number % 3 == 2 else f"Dear {number}"}
            for number in count()
        )

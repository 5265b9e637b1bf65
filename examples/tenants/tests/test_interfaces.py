"""The stage and the identity keep the contracts of what they implement."""

import pytest

from pegboard.testing.contracts import ClientIdentityContract, StageContract
from pegboard_tenants.directory import get_directory
from pegboard_tenants.stage import TenantStage


class TestTenantStage(StageContract):
    """At the routes of items, of documents and of the core."""

    @pytest.fixture
    def stage(self, app):
        """As the plugin makes it."""
        return TenantStage(app, get_directory(app))


class TestTenantIdentity(ClientIdentityContract):
    """Of two tenants."""

    @pytest.fixture
    def known_clients(self, app, add_tenant):
        """The keys of the tenants."""
        keys = {
            name: add_tenant(app, name).environ_base["HTTP_AUTHORIZATION"]
            for name in ("acme", "globex")
        }
        return {f"tenant:{name}": {"Authorization": key} for name, key in keys.items()}

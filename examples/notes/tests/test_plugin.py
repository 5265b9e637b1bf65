"""The plugin as a part of a service."""

import pytest
from flask import Flask

from pegboard.testing.contracts import MigrationsContract, PluginContract

NAME = "notes"
URL = f"/api/{NAME}/"


class TestPlugin(PluginContract):
    """It installs, starts beside others, says what it has, and leaves nothing behind."""

    @pytest.fixture
    def plugin_name(self) -> str:
        """The plugin that is tested."""
        return NAME


class TestMigrations(MigrationsContract):
    """Its revisions go up and down on both databases, with rows in its tables."""

    @pytest.fixture
    def plugin_name(self) -> str:
        """The plugin whose revisions are tested."""
        return NAME


def test_it_is_documented(app: Flask) -> None:
    """Its paths are in the OpenAPI document."""
    document = app.test_client().get("/openapi.json").get_json()
    assert any(path.startswith(URL) for path in document["paths"])

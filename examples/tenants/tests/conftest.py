"""Fixtures of this test tree: an app with items and two tenants."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

pytest_plugins = ["pegboard.testing.fixtures"]

AddTenant = Callable[..., FlaskClient]


@pytest.fixture
def plugins():
    """The plugins of the app under test."""
    return ["items", "tenants"]


@pytest.fixture
def app(make_app, plugins):
    """The app, which reads the tenants at each request."""
    return make_app(plugins=plugins, TENANTS_REFRESH=0)


@pytest.fixture
def add_tenant(cli) -> AddTenant:
    """Add a tenant to an app, and return a client with its key."""

    def add_tenant(app: Flask, name: str) -> FlaskClient:
        added = cli("tenants", "add", name, app=app)
        assert 0 == added.exit_code, added.output
        return with_key(app, added.output.strip())

    return add_tenant


def with_key(app: Flask, key: str) -> FlaskClient:
    """Return a client that sends a key with each request."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


@pytest.fixture
def client(app, add_tenant):
    """A client of the tenant acme."""
    return add_tenant(app, "acme")


@pytest.fixture
def globex(app, add_tenant):
    """A client of the tenant globex."""
    return add_tenant(app, "globex")


@pytest.fixture
def guest(app):
    """A client without a key."""
    return app.test_client()

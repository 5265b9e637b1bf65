"""Fixtures of this test tree: an app with items and audit, whose clients say who they are."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import pegboard

pytest_plugins = ["pegboard.testing.fixtures"]


class Names:
    """A plugin that believes the header `X-User`, as one with sign-in would a session."""

    name = "names"

    @pegboard.hookimpl
    def pegboard_client_identity(self, app):
        """Return what reads the header."""
        return lambda environ: environ.get("HTTP_X_USER")


@pytest.fixture
def plugins():
    """The plugins of the app under test."""
    return ["items", "audit", Names()]


@pytest.fixture
def app(make_app, plugins):
    """The app, in which Ada reads the log."""
    return make_app(plugins=plugins, AUDIT_READERS=("user:ada",))


def as_user(app: Flask, name: str) -> FlaskClient:
    """Return a client that is somebody."""
    client = app.test_client()
    client.environ_base["HTTP_X_USER"] = name
    return client


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of Ada."""
    return as_user(app, "ada")


@pytest.fixture
def bob(app: Flask) -> FlaskClient:
    """A client of Bob, who may not read the log."""
    return as_user(app, "bob")


Logged = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def logged(client: FlaskClient) -> Logged:
    """Return the entries as the API shows them, the oldest first; arguments are filters."""

    def logged(**filters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get("/api/audit/", query_string=filters).get_json()
        return found

    return logged

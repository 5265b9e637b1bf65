"""Fixtures of this test tree: an app with reviews and items, and a client that has signed in."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

pytest_plugins = ["pegboard.testing.fixtures"]

SignIn = Callable[[Flask, str], FlaskClient]


@pytest.fixture
def plugins() -> list[str]:
    """The plugins of the app under test."""
    return ["items", "reviews"]


@pytest.fixture
def sign_in() -> SignIn:
    """Return a client of an app that an author has signed in with."""

    def sign_in(app: Flask, author: str) -> FlaskClient:
        client = app.test_client()
        with client.session_transaction() as session:
            session["author"] = author
        return client

    return sign_in


@pytest.fixture
def client(app: Flask, sign_in: SignIn) -> FlaskClient:
    """A client of Ada."""
    return sign_in(app, "Ada")


@pytest.fixture
def item_id(client: FlaskClient) -> int:
    """The id of an item that can be reviewed."""
    found: int = client.post("/api/items/", json={"name": "Hammer"}).get_json()["id"]
    return found

"""Fixtures of this test tree."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import settings

pytest_plugins = ["pegboard.testing.fixtures"]

# The same examples every time, and no limit of time: a busy machine is no failure.
settings.register_profile("pegboard", deadline=None, derandomize=True)
settings.load_profile("pegboard")


class Clock:
    """A clock that tells microseconds, and goes as the test says."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def go(self, microseconds: int) -> None:
        """Let time pass."""
        self.now += microseconds


@pytest.fixture(scope="session")
def new_clock() -> Callable[[], Clock]:
    """Make a clock that the test moves."""
    return Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture
def serve(make_app: Any) -> Callable[..., FlaskClient]:
    """Build an app with items and ratelimit, and return a client of it; settings as keywords."""

    def serve(plugins: tuple[object, ...] = (), **config: object) -> FlaskClient:
        app = make_app(plugins=["items", "ratelimit", *plugins], **config)
        client: FlaskClient = app.test_client()
        return client

    return serve

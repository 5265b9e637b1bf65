"""Fixtures of this test tree."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient
from flask.views import MethodView
from hypothesis import settings

import pegboard
from pegboard_ratelimit.enforcement import Limiter, get_limiter

pytest_plugins = ["pegboard.testing.fixtures"]

# The same examples every time, and no limit of time: a busy machine is no failure.
settings.register_profile("pegboard", deadline=None, derandomize=True)
settings.load_profile("pegboard")


class Shelf:
    """A plugin with things, of which there is any that is asked for."""

    name = "shelf"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve `/api/things/`."""
        blueprint = pegboard.Blueprint("things", __name__, url_prefix="/api/things")

        @blueprint.route("/")
        class Things(MethodView):
            @blueprint.response(200)
            def get(self) -> Response:
                return jsonify([])

            @blueprint.response(200)
            def post(self) -> Response:
                return jsonify({})

        @blueprint.route("/<int:thing_id>")
        class ThingById(MethodView):
            @blueprint.response(200)
            def get(self, thing_id: int) -> Response:
                return jsonify({"id": thing_id})

            put = get

            @blueprint.response(204)
            def delete(self, thing_id: int) -> None:
                assert thing_id

        return [blueprint]


@pytest.fixture
def shelf() -> Shelf:
    """A plugin with things."""
    return Shelf()


class BlueprintPlugin:
    """A plugin that provides one blueprint, and has its name."""

    def __init__(self, blueprint: pegboard.Blueprint) -> None:
        self.name = blueprint.name
        self._blueprint = blueprint

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve the blueprint."""
        return [self._blueprint]


@pytest.fixture(scope="session")
def plugin_of() -> Callable[[pegboard.Blueprint], object]:
    """Make a plugin that provides a blueprint."""
    return BlueprintPlugin


@pytest.fixture(scope="session")
def limiter_of() -> Callable[[Flask], Limiter]:
    """Return the limiter of an app."""

    def limiter_of(app: Flask) -> Limiter:
        limiter = get_limiter(app)
        assert limiter is not None
        return limiter

    return limiter_of


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
def serve(make_app: Any, shelf: object) -> Callable[..., FlaskClient]:
    """Build an app with things and ratelimit, and return a client of it; settings as keywords."""

    def serve(plugins: tuple[object, ...] = (), **config: object) -> FlaskClient:
        app = make_app(plugins=[shelf, "ratelimit", *plugins], **config)
        client: FlaskClient = app.test_client()
        return client

    return serve

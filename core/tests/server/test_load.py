"""A gateway with more to do than its threads can: what waits, what is refused, what is dropped."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from flask import Flask

import pegboard
from pegboard.stages import Answer, Call, Route
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import WAIT_TIMEOUT

Serve = Callable[..., Any]


class Greeter:
    """A stage that waits, as it cannot say that it does not, and answers `/greeting`."""

    name = "greeter"
    order = 1

    def bind(self, route: Route | None) -> "Greeter | None":
        """Bind to the greeting."""
        return self if route is not None and route.rule.rule == "/greeting" else None

    def prepare(self, _call: Call) -> Answer:
        """Answer."""
        return Answer(200, [("Content-Type", "text/plain")], b"hello")

    def complete(self, _call: Call, _replies: object) -> None:
        """Never called, as `prepare` returns no commands."""


class Held:
    """A plugin whose view keeps a thread until the test lets it go."""

    name = "held"

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Semaphore(0)
        self.blueprint = flask.Blueprint("held", __name__)

        @self.blueprint.route("/held/<name>", methods=["GET", "POST"])
        def held(name: str) -> str:
            self.begun.append(name)
            self.go.acquire(timeout=WAIT_TIMEOUT)
            return name

        @self.blueprint.get("/greeting")
        def greeting() -> str:
            return "from the view"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[flask.Blueprint]:
        """Serve the views."""
        return [self.blueprint]

    @pegboard.hookimpl
    def pegboard_stages(self) -> list[Greeter]:
        """Greet."""
        return [Greeter()]


@pytest.fixture
def held() -> Iterator[Held]:
    """The plugin; all its views are let go at the end."""
    held = Held()
    yield held
    held.go.release(1000)


@pytest.fixture
def assemble(make_app: MakeApp, held: Held) -> Callable[..., Flask]:
    """Make an app of the plugin, with settings."""

    def make(**settings: Any) -> Flask:
        return make_app(plugins=[held], TESTING=False, SECRET_KEY="k", **settings)

    return make


async def test_a_stage_that_waits_answers_while_all_threads_are_busy(
    assemble: Callable[..., Flask], held: Held, serve: Serve
):
    """It gets one of a few threads that no view has."""
    async with serve(assemble(), threads=1) as client:
        first, second = client.visit("/held/a"), client.visit("/held/b")
        assert b"hello" == (await client.ask("/greeting")).body
        assert {"a"} >= set(held.begun)
        held.go.release(2)
        assert [b"a", b"b"] == [(await visit.answer()).body for visit in (first, second)]

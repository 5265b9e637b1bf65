"""Observers: plugins see every request and its answer, whoever gives it and whoever serves."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import flask
import pytest

import pegboard
from pegboard.observation import Observation, Part
from pegboard.stages import Answer, Call, Route
from pegboard.testing.fixtures import MakeApp

Serve = Callable[..., Any]
Seen = tuple[str | None, str, int, int, bool | None]


class Watching:
    """An observer that notes what it sees."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.seen: list[Seen] = []

    def begin(self, environ: Any, /) -> None:
        """Note the path."""
        self.begun.append(environ["PATH_INFO"])

    def end(self, one: Observation, /) -> None:
        """Note the answer."""
        assert 0 <= one.seconds < 60
        route = None if one.route is None else one.route.rule.rule
        self.seen.append((route, one.plugin, one.status, one.size, one.is_cached))


class Refusing:
    """A stage that answers requests of one path, and the handler of itself."""

    name, order = "refusing", 7

    def bind(self, route: Route | None) -> "Refusing | None":
        """Bind to the route that is refused."""
        return self if route is not None and route.rule.rule == "/seen/refused" else None

    def is_non_blocking(self) -> bool:
        """Let the loop run it."""
        return True

    def prepare(self, _call: Call) -> Answer:
        """Refuse."""
        return Answer.error(429, "Too many.")

    def complete(self, _call: Call, _replies: object) -> None:
        """Never called."""


class Plugin:
    """Routes that answer in several ways."""

    name = "seen"

    def __init__(self, *observers: Any) -> None:
        self.observers = observers
        self.blueprint = flask.Blueprint("seen", __name__, url_prefix="/seen")
        self.blueprint.get("/<int:number>", endpoint="a")(lambda number: {"number": number})
        self.blueprint.get("/refused", endpoint="b")(lambda: "never")
        self.blueprint.get("/parts", endpoint="c")(lambda: flask.Response(iter(("ab", "cde"))))
        self.blueprint.get("/bug")(self.fail)

    def fail(self) -> str:
        """Raise."""
        message = "a bug"
        raise RuntimeError(message)

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> Sequence[flask.Blueprint]:
        """Serve the routes."""
        return [self.blueprint]

    @pegboard.hookimpl
    def pegboard_stages(self) -> Sequence[Refusing]:
        """Return the stage."""
        return [Refusing()]

    @pegboard.hookimpl
    def pegboard_observers(self) -> Sequence[Any]:
        """Return the observers."""
        return self.observers


CASES = [
    ("GET", "/seen/7", {}, ("/seen/<int:number>", "seen", 200)),
    ("HEAD", "/seen/7", {}, ("/seen/<int:number>", "seen", 200)),
    ("GET", "/seen/refused", {}, ("/seen/refused", "seen", 429)),
    ("GET", "/seen/parts", {}, ("/seen/parts", "seen", 200)),
    ("GET", "/seen/bug", {}, ("/seen/bug", "seen", 500)),
    ("GET", "/health", {}, ("/health", "core", 200)),
    ("GET", "/nothing", {}, (None, "core", 404)),
    ("DELETE", "/seen/7", {}, (None, "core", 405)),
    ("get", "/seen/7", {}, (None, "core", 501)),
    ("GET", "/seen/7", {"Host": "no host"}, (None, "core", 400)),
    ("GET", "/seen/7", {"Accept-Encoding": "identity;q=0, x"}, (None, "core", 406)),
]


async def test_each_answer_is_seen_once_by_every_server(make_app: MakeApp, serve: Serve):
    """With its route, plugin, status and bytes; those that no view gives included."""
    watching = Watching()
    app = make_app(plugins=[Plugin(watching)], TESTING=False, SECRET_KEY="k")
    client = app.test_client()
    sizes = []
    for method, path, headers, _ in CASES:
        with client.open(path, method=method, headers=headers) as response:
            sizes.append(len(response.data))
    ours, watching.seen = watching.seen, []
    async with serve(app) as gateway:
        for method, path, headers, _ in CASES:
            await gateway.ask(path, method, headers)
    expected = [(*told, size, None) for (*_, told), size in zip(CASES, sizes, strict=True)]
    assert expected == ours == watching.seen
    assert [path for _, path, _, _ in CASES] * 2 == watching.begun


class Measuring(Watching):
    """An observer that notes how long parts take."""

    def __init__(self, stage_share: float) -> None:
        super().__init__()
        self.stage_share = stage_share
        self.asked: list[Part] = []
        self.runs: list[tuple[str, float]] = []

    def part(self, part: Part, /) -> Callable[[float, float], None]:
        """Note that it was asked, and each run."""
        self.asked.append(part)

        def note(seconds: float, stands_for: float) -> None:
            assert 0 <= seconds < 60
            self.runs.append((part.name, stands_for))

        return note


def test_the_largest_share_that_an_observer_wants_is_measured(make_app: MakeApp):
    """And holds for all of them; each is asked once about each part."""
    few, some = Measuring(0.1), Measuring(0.5)
    app = make_app(plugins=[Plugin(few, some)], SLOW_STATEMENT=60)  # which measures no stages
    count = 100
    for _ in range(count):
        app.test_client().get("/seen/refused")
    assert {("refusing.prepare", 2.0)} == {*few.runs}
    assert few.runs == some.runs
    assert 0 < len(few.runs) < count
    assert [few.asked.count(part) for part in few.asked] == [1] * len(few.asked)


async def test_what_the_client_does_not_wait_for_is_seen(make_app: MakeApp, serve: Serve):
    """As 499, when nothing was sent."""
    watching, begun = Watching(), threading.Event()
    plugin = Plugin(watching)
    go_on = threading.Event()

    def wait() -> str:
        begun.set()
        go_on.wait(10)
        return ""

    plugin.blueprint.get("/slow")(wait)
    app = make_app(plugins=[plugin])
    async with serve(app) as gateway:
        asking = asyncio.create_task(gateway.ask("/seen/slow"))
        await asyncio.to_thread(begun.wait, 10)
        asking.cancel()
        go_on.set()
        await asyncio.gather(asking, return_exceptions=True)
    assert [("/seen/slow", "seen", 499, 0, None)] == watching.seen


def test_an_observer_that_fails_changes_no_answer(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
):
    """Its first error is logged, and the others see on."""

    class Failing:
        def begin(self, _environ: Any, /) -> None:
            message = "cannot begin"
            raise ValueError(message)

        def end(self, _one: Observation, /) -> None:
            sys.exit("cannot end")

    watching = Watching()
    app = make_app(plugins=[Plugin(Failing(), watching)])
    with caplog.at_level(logging.ERROR):
        answers = [app.test_client().get("/seen/7") for _ in range(3)]
    assert [200] * 3 == [one.status_code for one in answers]
    assert 3 == len(watching.seen)
    told = [one.partition(" has failed")[0] for one in caplog.messages if " has failed" in one]
    where = "test_an_observer_that_fails_changes_no_answer.<locals>.Failing"
    assert [f"the observer {where}.{one} of plugin seen" for one in ("begin", "end")] == told


@pytest.mark.parametrize("wrong", [None, Watching, object()], ids=["None", "a class", "an object"])
def test_what_is_no_observer_stops_the_start(make_app: MakeApp, wrong: Any):
    """With the plugin and what to return."""
    with pytest.raises(pegboard.StartupError, match="PB_HOOK_RESULT") as found:
        make_app(plugins=[Plugin(wrong)])
    assert "seen" in str(found.value)
    assert "begin(environ)" in str(found.value)


def test_an_answer_that_begins_with_its_first_part_is_seen(make_app: MakeApp):
    """As that of middleware which is a generator; it has no status before."""
    watching = Watching()
    app = make_app(plugins=[Plugin(watching)])
    inner = app.wsgi_app.app  # type: ignore[attr-defined]  # inside the envelope

    def lazily(environ: Any, start_response: Any) -> Any:
        start_response("202 Accepted", [("Content-Type", "text/plain")])
        yield b"ab"
        yield b"cde"

    object.__setattr__(app.wsgi_app, "app", lazily)
    with app.test_client().get("/seen/7") as response:
        assert (202, b"abcde") == (response.status_code, response.data)
    object.__setattr__(app.wsgi_app, "app", inner)
    assert [(None, "core", 202, 5, None)] == watching.seen

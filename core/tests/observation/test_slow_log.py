"""The log of what takes long: statements and stages, with plugin, route and request."""

import io
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flask
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.clients import client_of
from pegboard.observation import statement_text
from pegboard.redis import Command
from pegboard.resources import Listener
from pegboard.stages import Call, Route
from pegboard.testing.fixtures import MakeApp

Serve = Callable[..., Any]


class Waiting:
    """A stage that waits at one route, and the handler of itself."""

    name, order = "waiting", 7

    def bind(self, route: Route | None) -> "Waiting | None":
        """Bind to the route."""
        return self if route is not None and route.rule.rule == "/slow/<int:number>" else None

    def prepare(self, _call: Call) -> Sequence[Command]:
        """Wait."""
        time.sleep(0.02)
        return []

    def complete(self, _call: Call, _replies: object) -> None:
        """Let it pass."""


class Plugin:
    """A route that asks the database, with a stage, a hook of Flask, and who the client is."""

    name = "slow"

    def __init__(self) -> None:
        self.blueprint = flask.Blueprint("slow", __name__, url_prefix="/slow")
        self.blueprint.get("/<int:number>")(self.find)
        self.blueprint.get("/broken", endpoint="broken")(self.fail)

    def find(self, number: int) -> Any:
        """Execute a statement with a parameter and with a value in its text."""
        statement = text("SELECT :number + 1, 'a secret'\n  || ' of  it', 4711")
        return str(pegboard.db.session.execute(statement, {"number": number}).scalar())

    def fail(self) -> str:
        """Execute what fails."""
        with pytest.raises(OperationalError):
            pegboard.db.session.execute(text("SELECT * FROM nowhere"))
        return ""

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> Sequence[flask.Blueprint]:
        """Serve the routes."""
        return [self.blueprint]

    @pegboard.hookimpl
    def pegboard_stages(self) -> Sequence[Any]:
        """Return the stage."""
        return [Waiting()]

    @pegboard.hookimpl
    def pegboard_client_identity(self, app: Flask) -> Callable[[Any], str | None]:
        """Wait, and do not know who it is."""

        def identify(_environ: Any) -> None:
            time.sleep(0.02)

        return identify

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Act before and after views."""

        @app.before_request
        def ask_for_client() -> None:
            time.sleep(0.02)
            client_of(flask.request.environ)

        @app.after_request
        def look(response: flask.Response) -> flask.Response:
            time.sleep(0.02)
            return response


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[logging.LogRecord]]]:
    """Return what was logged as slow since the last call."""

    def take() -> list[logging.LogRecord]:
        found = [one for one in caplog.records if one.name == "pegboard.slow"]
        caplog.clear()
        return found

    with caplog.at_level(logging.WARNING):
        yield take


def test_a_slow_statement_is_logged_once(make_app: MakeApp, lines: Any):
    """With its time, its text without values, its plugin and its route."""
    app = make_app(plugins=[Plugin()], SLOW_STATEMENT=1e-9)
    assert b"8" == app.test_client().get("/slow/7").data
    (line,) = [one for one in lines() if "SELECT" in one.getMessage()]
    assert "SELECT ? + ?, ? || ?, ?" == line.statement
    assert ("slow", "/slow/<int:number>", "GET") == (line.plugin, line.route, line.method)
    assert 0 < line.seconds < 60
    expected = f"slow statement of slow at GET /slow/<int:number>: {line.seconds:.3f} s: "
    assert line.getMessage() == expected + line.statement
    assert "WARNING" == line.levelname


def test_one_that_fails_and_one_outside_of_requests_are_logged(make_app: MakeApp, lines: Any):
    """The plugin is the one whose code executes it."""
    plugin = Plugin()
    app = make_app(plugins=[plugin], SLOW_STATEMENT=1e-9)
    app.test_client().get("/slow/broken")
    (line,) = [one for one in lines() if "nowhere" in one.statement]
    assert ", and failed with OperationalError: SELECT" in line.getMessage()
    with app.app_context():
        plugin.find(7)
    (line,) = lines()
    assert (None, "slow") == (line.route, line.plugin)


def test_what_is_fast_enough_is_not_logged(make_app: MakeApp, lines: Any):
    """Nor anything where no limit is set."""
    for app in (
        make_app(plugins=[Plugin()], SLOW_STATEMENT=3600, SLOW_STAGE=3600),
        make_app(plugins=[Plugin()]),
    ):
        app.test_client().get("/slow/7")
        assert [] == lines()


def test_json_has_the_fields_and_the_request(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch):
    """So that a line belongs to that of its request."""
    stream = io.StringIO()
    app = make_app(plugins=[Plugin()], SLOW_STATEMENT=1e-9, LOG_FORMAT="json")
    monkeypatch.setattr("sys.stderr", stream)
    app.test_client().get("/slow/7", headers={"X-Request-ID": "abc"})
    monkeypatch.undo()
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    (line,) = [one for one in found if one.get("logger") == "pegboard.slow"]
    assert ("abc", "WARNING", "slow") == (line["request_id"], line["level"], line["plugin"])
    assert line["statement"].startswith("SELECT")


PARTS = {
    ("stage", "waiting.prepare"),
    ("hook", "before_request ask_for_client"),
    ("hook", "after_request look"),
    ("hook", "client_identity"),
}


async def test_slow_stages_and_hooks_are_logged(make_app: MakeApp, lines: Any, serve: Serve):
    """By every server: each with its plugin, its route and its time."""
    app = make_app(plugins=[Plugin()], SLOW_STAGE=0.02)
    app.test_client().get("/slow/7")
    found = lines()
    async with serve(app) as gateway:
        await gateway.ask("/slow/7", "GET", {})
    for some in (found, lines()):
        told = {(kind, getattr(one, kind)) for one in some for kind in KINDS & vars(one).keys()}
        assert PARTS <= told
        assert {("slow", "/slow/<int:number>")} == {(one.plugin, one.route) for one in some}
        assert all(one.seconds >= 0.02 for one in some)


KINDS = {"stage", "hook", "redis"}


class Base(pegboard.Model, DeclarativeBase):
    """The model of the listener."""


class Note(Base):
    """A note."""

    __tablename__ = "slow_notes"


class Listening:
    """A plugin that listens to writes."""

    name = "listening"

    @pegboard.hookimpl
    def pegboard_listeners(self) -> list[Listener]:
        """Return a listener that takes some time."""
        return [Listener(models=[Note], written=lambda _: time.sleep(0.02))]


def test_a_slow_listener_is_logged(make_app: MakeApp, lines: Any):
    """And it still listens."""
    app = make_app(plugins=[Listening()], SLOW_STAGE=0.02)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
        pegboard.db.session.add(Note())
        pegboard.db.session.commit()
    (line,) = lines()
    assert ("listener written", "listening", None) == (line.hook, line.plugin, line.route)


@pytest.mark.parametrize(
    "given, shown",
    [
        ("SELECT a1 FROM t2 WHERE b = %(b_1)s", "SELECT a1 FROM t2 WHERE b = %(b_1)s"),
        ("SELECT E'it\\'s', 'it''s', 1.5, -3, $$x'$$, $1", "SELECT ?, ?, ?, -?, ?, $1"),
        ("VALUES (4111, 'x', 77), (.5, 1e-10, 0xBEEF, 1_000)", "VALUES (?, ?, ?), (?, ?, ?, ?)"),
        (
            "SELECT abs(4111)::numeric(10) AS \"o'clock\", 'pw'",
            'SELECT abs(?)::numeric(?) AS "o\'clock", ?',
        ),
        ("-- don't ask\nSELECT /* it's /* 'so' */ 'here' */ 'pw'", "SELECT ?"),
        ("SELECT a$b$c, $tag$it's$tag$, N'pw', t.c1, a[1]", "SELECT a$b$c, ?, N?, t.c1, a[?]"),
        ("SELECT /* never closed 'pw'", "SELECT"),
        ("SELECT 'never\n closed", "SELECT ?"),
        ("SELECT  " + "x" * 600, "SELECT " + "x" * 492 + "\u2026"),
        ("SELECT '" + "x" * 60_000, "SELECT ?\u2026"),
    ],
)
def test_the_text_of_a_statement_is_short_and_without_values(given: str, shown: str):
    """As code may put into it what nobody is to read."""
    assert shown == statement_text(given)

"""What a request matches: found by a thread, recalled by the event loop."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import BaseConverter, IntegerConverter
from werkzeug.test import EnvironBuilder

from pegboard.stages import Call, Route
from pegboard.stages.routing import Match, Matches
from pegboard.testing.fixtures import MakeApp


class Stage:
    """A stage that binds everywhere, and remembers to what."""

    name = "one"
    order = 1

    def __init__(self) -> None:
        self.bound: list[str | None] = []

    def bind(self, route: Route | None) -> "Stage":
        """Bind."""
        self.bound.append(f"{route.method} {route.rule.rule}" if route else None)
        return self

    def prepare(self, call: Call) -> None:
        """Let the request pass."""

    def complete(self, call: Call, replies: Any) -> None:
        """Hear nothing."""


class Fetched(BaseConverter):
    """A converter of a plugin's."""

    texts: list[str]

    def to_python(self, value: str) -> str:
        """Note that it was called."""
        self.texts.append(value)
        return value


class Strict(IntegerConverter):
    """One that only matches otherwise than Werkzeug's."""

    regex = "[1-9]"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app with a few routes."""
    app = make_app(upgrade=False)
    app.add_url_rule("/plain", "plain", str, methods=["GET", "POST"])
    app.add_url_rule("/number/<int:number>", "number", str)
    app.add_url_rule("/text/<text>", "text", str)
    app.add_url_rule("/folder/", "folder", str)
    return app


@pytest.fixture
def stage() -> Stage:
    """The stage that is installed."""
    return Stage()


@pytest.fixture
def matches(app: Flask, stage: Stage) -> Matches:
    """The matches of the app, with one stage."""
    matches = Matches(app)
    matches.install([stage])
    return matches


def environ(path: str, method: str = "GET") -> dict[str, Any]:
    """Make the environment of a request."""
    made = EnvironBuilder(path, method=method).get_environ()
    made["REQUEST_METHOD"] = method
    return made


def told(match: Match | None) -> tuple[str | None, dict[str, Any]]:
    """Return the endpoint and the arguments of a match."""
    assert match is not None
    return match.route.endpoint if match.route else None, dict(match.arguments)


def test_nothing_is_recalled_of_a_route_before_it_is_found(matches: Matches, stage: Stage):
    """To bind stages is for a thread."""
    assert matches.recall(environ("/plain")) is None
    assert [] == stage.bound
    found = matches.find(environ("/plain"))
    assert found is matches.recall(environ("/plain"))
    assert matches.recall(environ("/plain", "POST")) is None
    assert ["GET /plain"] == stage.bound


@pytest.mark.parametrize(
    "first,second,expected",
    [
        ("/number/1", "/number/2", ("number", {"number": 2})),
        ("/text/a", "/text/st%C3%A4ge", ("text", {"text": "stäge"})),
        ("/text/a", "/text/%ff", ("text", {"text": "\ufffd"})),
        ("/text/a", "/text/" + "a" * 1000, ("text", {"text": "a" * 1000})),
        ("/no", "/nothing", (None, {})),
        ("/no", "/number/x", (None, {})),
        ("/no", "/folder", (None, {})),
    ],
)
def test_another_path_of_a_route_is_recalled_at_its_first_request(
    matches: Matches, stage: Stage, first: str, second: str, expected: Any
):
    """With its own arguments, as they would be found; no stage is bound again."""
    matches.find(environ(first))
    recalled = matches.recall(environ(second))
    assert expected == told(recalled) == told(matches.find(environ(second)))
    assert recalled
    assert (stage,) == recalled.handlers
    assert 1 == len(stage.bound)


@pytest.mark.parametrize("method", ["get", "BREW", ""])
def test_a_method_of_another_name_is_not_recalled(matches: Matches, method: str):
    """A thread finds out what it is taken for."""
    for path in ("/plain", "/no"):
        matches.find(environ(path))
        assert matches.recall(environ(path))
    for path in ("/plain", "/no"):
        assert matches.recall(environ(path, method)) is None


def test_what_matches_no_route_is_recalled_by_one_match(matches: Matches, stage: Stage):
    """However many paths are tried, they take no memory."""
    matches.find(environ("/no"))
    recalled = {id(matches.recall(environ(f"/nothing/{number}"))) for number in range(100)}
    assert {id(matches.find(environ("/no")))} == recalled
    assert not any(matches._matches.values())
    assert [None] == stage.bound


def test_where_a_converter_is_a_plugins_only_what_was_found_is_recalled(app: Flask, stage: Stage):
    """It may look something up, and is asked while any path is searched for."""
    Fetched.texts = []
    app.url_map.converters["fetched"] = Fetched
    app.add_url_rule("/<fetched:key>/of", "fetched", str)
    matches = Matches(app)
    matches.install([stage])
    for path in ("/a/of", "/plain", "/number/1", "/no"):
        matches.find(environ(path))
    assert ["a"] == Fetched.texts

    recalled = [
        matches.recall(environ(path))
        for path in ("/a/of", "/b/of", "/plain", "/number/1", "/number/2", "/no")
    ]
    assert ["a"] == Fetched.texts
    expected = [None, None, ("plain", {}), ("number", {"number": 1}), None, None]
    assert expected == [match and told(match) for match in recalled]


def test_a_converter_that_only_matches_otherwise_is_recalled(app: Flask, stage: Stage):
    """It runs no code of its own."""
    app.url_map.converters["strict"] = Strict
    app.add_url_rule("/strict/<strict:number>", "strict", str)
    matches = Matches(app)
    matches.install([stage])
    matches.find(environ("/strict/1"))
    assert ("strict", {"number": 2}) == told(matches.recall(environ("/strict/2")))
    assert matches.recall(environ("/strict/0")) is None


def test_paths_without_end_are_not_remembered(matches: Matches, monkeypatch: pytest.MonkeyPatch):
    """Those that are recalled take no more memory than those that are found."""
    monkeypatch.setattr("pegboard.stages.routing._REMEMBERED_PATHS", 10)
    matches.find(environ("/number/0"))
    for number in range(100):
        assert ("number", {"number": number}) == told(matches.recall(environ(f"/number/{number}")))
        assert len(matches._matches["GET"]) <= 10


def test_stages_that_are_installed_are_bound_anew(matches: Matches):
    """What was found before is forgotten."""
    matches.find(environ("/plain"))
    matches.find(environ("/no"))
    other = Stage()
    matches.install([other])
    assert matches.recall(environ("/plain")) is None
    assert matches.recall(environ("/no")) is None
    assert (other,) == matches.find(environ("/plain")).handlers


def test_health_is_kept_from_stages(matches: Matches, stage: Stage):
    """An orchestrator is not kept waiting, by the loop or by a thread."""
    assert () == matches.find(environ("/health")).handlers
    recalled = matches.recall(environ("/health"))
    assert recalled
    assert () == recalled.handlers
    assert [] == stage.bound

"""Each rule of `StageContract` fails for a stage that breaks it, and says what to do."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from flask import Blueprint, Flask
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.cache import get_cache
from pegboard.cache.stage import CacheStage
from pegboard.redis import command
from pegboard.stages import Answer
from pegboard.testing.broken_rules import breaks
from pegboard.testing.contracts import StageContract


class Rooms:
    """A plugin with two routes, of which one is cached."""

    name = "rooms"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Serve rooms by their numbers."""
        blueprint = Blueprint("rooms", __name__, url_prefix="/rooms")
        blueprint.add_url_rule("/", "all", list)
        blueprint.add_url_rule("/<int:number>", "one", lambda number: {"number": number})
        return [blueprint]


@pytest.fixture
def plugins() -> Sequence[object]:
    """The rooms."""
    return [Rooms()]


class Gate:
    """A stage that does right; its handler is itself. A test changes one of its methods."""

    name: Any = "gate"
    order: Any = 100

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.seen: list[Any] = []

    def bind(self, route: Any) -> Any:
        """Handle all that has a route."""
        return None if route is None else self

    def is_non_blocking(self) -> bool:
        """Never wait."""
        return True

    def prepare(self, call: Any) -> Any:
        """Ask Redis, and refuse a method."""
        call.state["gate"] = call.arguments
        if call.method == "OPTIONS":
            return Answer.error(405, "No.")
        return [command("GET", "gate", key="gate")]

    def complete(self, call: Any, replies: Any) -> Any:
        """Refuse what Redis tells to."""
        if isinstance(replies, Exception) or not isinstance(replies[0].value, bytes):
            return None
        return Answer.error(503, replies[0].value.decode(errors="replace"))


class TestGate(StageContract):
    """A stage that keeps the contract."""

    @pytest.fixture
    def stage(self, app: Flask) -> Gate:
        """As the plugin makes it."""
        return Gate(app)


class Given:
    """A stage with one method of another kind."""

    _Kind: type[Gate] = Gate

    @pytest.fixture
    def stage(self, app: Flask) -> Gate:
        """As the plugin makes it."""
        return self._Kind(app)


@breaks(StageContract, "test_it_has_a_name_and_a_place", "the name of the stage is ''")
class TestNoName(Given):
    """Its state has no key."""

    class _Kind(Gate):
        name = ""


@breaks(StageContract, "test_it_has_a_name_and_a_place", "the order of the stage gate is 'first'")
class TestNoPlace(Given):
    """It cannot be sorted."""

    class _Kind(Gate):
        order = "first"


@breaks(StageContract, "test_it_binds_to_each_route", "has no prepare and no complete")
class TestNoHandler(Given):
    """It binds a text."""

    class _Kind(Gate):
        def bind(self, route: Any) -> Any:
            return "handler"


@breaks(StageContract, "test_its_answers_can_be_sent", "an error of another form: b'no'")
class TestOtherError(Given):
    """Its error is no JSON."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            return Answer(403, [], b"no")


@breaks(StageContract, "test_its_answers_can_be_sent", "what cannot be sent: the body is str")
class TestUnsendable(Given):
    """Its body is a text."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            answer: Any = Answer
            return answer(200, [], "text")


@breaks(StageContract, "test_its_answers_can_be_sent", "return a list of pegboard.redis.command")
class TestNoCommands(Given):
    """It returns texts in place of commands."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            return ["GET gate"]


@breaks(StageContract, "test_it_bears_that_redis_is_unavailable", "when Redis is unavailable")
class TestNeedsRedis(Given):
    """It takes the error for replies."""

    class _Kind(Gate):
        def complete(self, call: Any, replies: Any) -> Any:
            return replies[0].value and None


@breaks(StageContract, "test_it_bears_what_it_has_not_stored", "when Redis replies None, raises")
class TestTrustsReplies(Given):
    """It takes every reply for its own."""

    class _Kind(Gate):
        def complete(self, call: Any, replies: Any) -> Any:
            return (
                None
                if isinstance(replies, Exception)
                else Answer.error(503, replies[0].value.decode())
            )


@breaks(StageContract, "test_it_keeps_no_request", "keeps the request GET /rooms/")
class TestKeepsRequests(Given):
    """It keeps the environments."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            self.seen.append(call.environ)


@breaks(StageContract, "test_requests_at_once_are_kept_apart", "of two at once, raises IndexError")
class TestOneAtOnce(Given):
    """It keeps one request at a time in itself."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            self.seen[:] = [call.arguments]
            return []

        def complete(self, call: Any, replies: Any) -> Any:
            self.seen.pop()


@breaks(StageContract, "test_requests_at_once_are_kept_apart", "keeps ['user'] in call.state")
class TestForeignState(Given):
    """Its key may be that of another stage."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            call.state["user"] = 1


@breaks(StageContract, "test_what_it_keeps_for_a_route_may_be_lost", "without its route_cache")
class TestNeedsRouteCache(Given):
    """It relies on what may be gone."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            call.route_cache["gate"] = 1
            return []

        def complete(self, call: Any, replies: Any) -> Any:
            return call.route_cache["gate"] and None


@breaks(StageContract, "test_it_bears_requests_without_an_address", "raises KeyError: 'REMOTE_ADD")
class TestNeedsAddress(Given):
    """It relies on the address."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            call.state["gate"] = call.environ["REMOTE_ADDR"]


@breaks(StageContract, "test_it_bears_requests_without_an_address", "wsgi.input.read is used")
class TestReadsBody(Given):
    """It takes the body from the view."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            call.environ["wsgi.input"].read()


@breaks(StageContract, "test_it_never_waits_where_it_says_so", "waits for sleep(1)")
class TestSleeps(Given):
    """It says that it does not."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            time.sleep(1)


@breaks(StageContract, "test_it_never_waits_where_it_says_so", "waits for a statement of the data")
class TestAsksTheDatabase(Given):
    """It says that it does not wait."""

    class _Kind(Gate):
        def prepare(self, call: Any) -> Any:
            with self.app.app_context():
                pegboard.db.session.execute(text("SELECT 1"))


def test_a_stage_that_binds_to_no_route_is_told(app: Flask) -> None:
    """There is nothing to test then."""
    stage = Gate(app)
    stage.bind = lambda route: route and None  # type: ignore[method-assign]
    contract: Any = StageContract.bound
    with pytest.raises(pytest.fail.Exception, match="the stage gate binds to no route of the app"):
        contract.__wrapped__(StageContract(), app, stage)


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of rooms."""


class Room(Base):
    """A room."""

    __tablename__ = "rooms"


class Cached(Rooms):
    """The rooms, one of them cached."""

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Serve a room from the cache."""
        blueprint = pegboard.Blueprint("rooms", __name__, url_prefix="/rooms")

        @blueprint.get("/<int:number>")
        @pegboard.cached(Room, ttl=60)
        def room(number: int) -> dict[str, int]:
            return {"number": number}

        return [blueprint]


class TestCacheStage(StageContract):
    """The stage of the core that answers from the cache."""

    @pytest.fixture
    def plugins(self) -> Sequence[object]:
        """Rooms of which one is cached."""
        return [Cached()]

    @pytest.fixture
    def stage(self, app: Flask) -> CacheStage:
        """As the core makes it."""
        return CacheStage(get_cache(app))

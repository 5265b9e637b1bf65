"""What every stage must do, at each route of an app."""

import gc
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event

from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import Answer, Stage
from pegboard.testing.contracts.named import fail
from pegboard.testing.contracts.stage_calls import (
    Bound,
    Environ,
    commands_of,
    let_pass,
    routes_of,
)

_FOREIGN: tuple[Any, ...] = (None, b"", b"\x80\x04.", b"null", -1, [], [None], [b"1", 2], b"x" * 9)
"""What Redis may hold where a stage looks for something of its own."""


class StageRules:
    """What a stage does when it is bound, prepared and completed."""

    @pytest.fixture
    def bound(self, app: Flask, stage: Stage) -> Sequence[Any]:
        """The handlers of the stage, each with a request that it sees."""
        found = [
            Bound(stage, handler, route, arguments, path)
            for route, arguments, path in routes_of(app)
            if (handler := stage.bind(route)) is not None
        ]
        if not found:
            fail(
                f'the stage {stage.name} binds to no route of the app: give the fixture "app" a '
                'plugin with a route at which it does something (override "plugins")'
            )
        return found

    def test_it_has_a_name_and_a_place(self, stage: Stage) -> None:
        """A text and an integer: two stages of an app have neither in common."""
        name: object = stage.name
        if not isinstance(name, str) or not name.strip():
            fail(f"the name of the stage is {name!r}: make it a text, such as that of the plugin")
        order: object = stage.order
        if not isinstance(order, int) or isinstance(order, bool):
            fail(f"the order of the stage {name} is {order!r}: make it an integer (StageOrder)")

    def test_it_binds_to_each_route(self, app: Flask, stage: Stage) -> None:
        """More than once, and for requests that match no route."""
        for route, _, path in routes_of(app):
            for _ in range(2):
                handler: object = stage.bind(route)
                lacks = [one for one in ("prepare", "complete") if not hasattr(handler, one)]
                if handler is not None and lacks:
                    what = " and no ".join(lacks)
                    fail(
                        f"the stage {stage.name} binds to {path} what has no {what}: return a "
                        "handler, or None where the stage does nothing"
                    )

    def test_its_answers_can_be_sent(self, bound: Sequence[Bound]) -> None:
        """Also errors, in the platform's format; else it asks Redis or lets the request pass."""
        for one in bound:
            call = one.call()
            found = one.prepare(call)
            if isinstance(found, Answer | None):
                one.check(found)
                continue
            wrong = not isinstance(found, list | tuple) or [
                command for command in found if not isinstance(command, Command)
            ]
            if wrong:
                fail(
                    f"prepare of the stage {one.stage.name} returns {found!r:.200} at {one}: "
                    "return a list of pegboard.redis.command(...), an Answer or None"
                )

    def test_it_bears_that_redis_is_unavailable(self, bound: Sequence[Bound]) -> None:
        """It answers then, or lets the request pass."""
        for one in bound:
            call = one.call()
            if commands_of(one.prepare(call)) is not None:
                error = ChannelError("Redis does not answer")
                one.check(one.complete(call, error, "when Redis is unavailable"))

    def test_it_bears_what_it_has_not_stored(self, bound: Sequence[Bound]) -> None:
        """Replies of any kind: another program may have written the key."""
        for one in bound:
            for value in _FOREIGN:
                call = one.call()
                if (commands := commands_of(one.prepare(call))) is not None:
                    replies = [Reply(value, "server")] * len(commands)
                    one.check(one.complete(call, replies, f"when Redis replies {value!r}"))

    def test_it_keeps_no_request(self, bound: Sequence[Bound]) -> None:
        """All requests of a route share its handler: their state is in `call.state`."""
        passed = [(one, let_pass(one)) for one in bound]
        gc.collect()
        for one, gone in passed:
            if gone() is not None:
                fail(
                    f"the stage {one.stage.name} keeps the request {one} after it has passed: keep "
                    "what belongs to a request in call.state[name]"
                )

    def test_requests_at_once_are_kept_apart(self, bound: Sequence[Bound]) -> None:
        """Of two, the second is completed first; and of many on as many threads each passes."""
        for one in bound:
            calls = [one.call(), one.call()]
            commands = [commands_of(one.prepare(call)) for call in calls]
            for call, asked in reversed([*zip(calls, commands, strict=True)]):
                if asked is not None:
                    one.check(one.complete(call, ChannelError("too late"), "of two at once"))
                for keys in (call.state, call.route_cache):
                    if foreign := [key for key in keys if not key.startswith(one.stage.name)]:
                        fail(
                            f"the stage {one.stage.name} keeps {foreign} in call.state or "
                            "call.route_cache: begin the keys with its name, as stages share them"
                        )
            with ThreadPoolExecutor(8) as threads:
                for _ in threads.map(lambda _: let_pass(one), range(16)):  # noqa: B023 - at once
                    pass

    def test_what_it_keeps_for_a_route_may_be_lost(self, bound: Sequence[Bound]) -> None:
        """`call.route_cache` may be emptied at any time."""
        for one in bound:
            call = one.call()
            for _ in range(2):
                commands = commands_of(one.prepare(call))
                call.route_cache.clear()
                if commands is not None:
                    one.check(one.complete(call, ChannelError("lost"), "without its route_cache"))

    def test_it_bears_requests_without_an_address(self, bound: Sequence[Bound]) -> None:
        """As through a Unix socket; and with a header that is no text of anything."""
        for one in bound:
            environ = Environ(one.call().environ)
            del environ["REMOTE_ADDR"]
            environ.update(HTTP_AUTHORIZATION="\xff", HTTP_COOKIE="=;\xff", QUERY_STRING="%ff&&=")
            one.prepare(one.call(environ))

    def test_it_never_waits_where_it_says_so(
        self, bound: Sequence[Bound], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a handler with `is_non_blocking`, `prepare` and `complete` run on the event loop."""
        waits: list[str] = []

        def note(*_: Any, **__: Any) -> None:
            waits.append("a statement of the database")

        monkeypatch.setattr(time, "sleep", lambda seconds: waits.append(f"sleep({seconds})"))
        for name in ("connect", "send", "sendall", "recv", "recv_into"):
            monkeypatch.setattr(socket.socket, name, _waiting(name, waits))
        event.listen(Engine, "before_cursor_execute", note)
        try:
            for one in bound:
                is_non_blocking = getattr(one.handler, "is_non_blocking", None)
                if is_non_blocking is None or not is_non_blocking():
                    continue
                call = one.call()
                if commands_of(one.prepare(call)) is not None:
                    one.complete(call, ChannelError("Redis does not answer"), "without Redis")
                if waits:
                    fail(
                        f"the stage {one.stage.name} says that it does not wait, and at {one} it "
                        f"waits for {', '.join(waits)}: return False from is_non_blocking, or "
                        "leave the method out"
                    )
        finally:
            event.remove(Engine, "before_cursor_execute", note)


class StageContract(StageRules):
    """Tests of a stage at every route of an app, without a server.

    A subclass gives it the stage, made as `pegboard_stages` makes it; the fixture `app` is of an
    app with routes that the stage sees::

        class TestGate(StageContract):
            @pytest.fixture
            def stage(self, app):
                return GateStage("pegboard:gate")
    """

    @pytest.fixture
    def stage(self) -> Stage:
        """The stage; to be overridden."""
        fail('override the fixture "stage": return the stage, as pegboard_stages returns it')


def _waiting(name: str, waits: list[str]) -> Callable[..., Any]:
    def wait(*_: Any, **__: Any) -> Any:
        waits.append(f"socket.{name}")
        raise OSError(name)

    return wait

"""Requests as a stage sees them, one for each route of an app, without a server."""

import json
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.routing import BuildError
from werkzeug.test import EnvironBuilder

from pegboard.http import APIError, UnsendableError
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import EXEMPT_BLUEPRINTS, Answer, Call, Handler, Route, Stage, check, route_of
from pegboard.testing.contracts.named import fail


class Environ(dict[str, Any]):
    """A WSGI environment that can be referred to weakly."""


class Unreadable:
    """A body that is the view's to read."""

    def __getattr__(self, name: str) -> Any:
        message = f"wsgi.input.{name} is used"
        raise AssertionError(message)


class Bound(NamedTuple):
    """A handler of the stage, and a request that it sees."""

    stage: Stage
    handler: Handler
    route: Route | None
    arguments: Mapping[str, Any]
    path: str

    def __str__(self) -> str:
        return f"{self.route.method} {self.path}" if self.route else f"GET {self.path} (no route)"

    def call(self, environ: dict[str, Any] | None = None) -> Call:
        """Return a request, by default with nothing unusual in it."""
        method = self.route.method if self.route else "GET"
        made = EnvironBuilder(self.path, method=method, environ_overrides={"REMOTE_ADDR": "::1"})
        used = Environ(made.get_environ()) if environ is None else environ
        used["wsgi.input"] = Unreadable()
        return Call(used, method, self.route, self.arguments, {})

    def prepare(self, call: Call) -> Sequence[Command] | Answer | None:
        """Prepare a request; the test fails for what is no error for the client."""
        found: Sequence[Command] | Answer | None = self._run("prepare", self.handler.prepare, call)
        return found

    def complete(
        self, call: Call, replies: Sequence[Reply] | ChannelError, what: str
    ) -> Answer | None:
        """Complete a request; the test fails as in `prepare`."""
        found: Answer | None = self._run(f"complete, {what},", self.handler.complete, call, replies)
        return found

    def _run(self, step: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except APIError:
            return None  # it is answered in the platform's format
        except Exception as error:  # noqa: BLE001 - whatever it raises would be a 500
            fail(
                f"the stage {self.stage.name} fails at {self}: {step} raises "
                f"{type(error).__name__}: {error}. Return an Answer, let the request pass by None, "
                "or call pegboard.abort"
            )

    def check(self, answer: object) -> None:
        """Fail the test unless the answer can be sent."""
        if answer is None:
            return
        try:
            check(answer)
        except UnsendableError as error:
            fail(f"the stage {self.stage.name} answers {self} with what cannot be sent: {error}")
        assert isinstance(answer, Answer)
        if answer.status < HTTPStatus.BAD_REQUEST:
            return
        try:
            body = json.loads(answer.body)
            is_error = isinstance(body["message"], str) and body["status"] == answer.status
        except (ValueError, TypeError, KeyError):
            is_error = False
        if not is_error:
            fail(
                f"the stage {self.stage.name} answers {self} with an error of another form: "
                f"{answer.body!r:.200}. Make it by Answer.error(status, message)"
            )


def routes_of(app: Flask) -> Iterator[tuple[Route | None, Mapping[str, Any], str]]:
    """Yield each route that has stages, with values for its URL and the path; None is no route."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in EXEMPT_BLUEPRINTS:
            continue
        for method in sorted(rule.methods or ()):
            for value in (1, "text"):
                arguments = dict.fromkeys(rule.arguments, value)
                try:
                    path = adapter.build(rule.endpoint, arguments, method=method)
                except (BuildError, ValueError):
                    continue
                yield route_of(app, rule, method), arguments, path
                break
    yield None, {}, "/no/such/route"


def commands_of(found: Sequence[Command] | Answer | None) -> Sequence[Command] | None:
    """Return the commands that a stage has for Redis; None if it is not to be completed."""
    return None if isinstance(found, Answer) or found is None else found


def let_pass(one: Bound) -> "weakref.ref[Environ]":
    """Let a request pass, and return a weak reference to its environment."""
    call = one.call()
    if commands_of(one.prepare(call)) is not None:
        one.complete(call, ChannelError("Redis does not answer"), "without Redis")
    assert isinstance(call.environ, Environ)
    return weakref.ref(call.environ)

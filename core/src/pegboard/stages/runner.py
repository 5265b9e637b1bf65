"""A request's way through the stages, on a thread or on the server's event loop."""

import logging
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Flask, Response

from pegboard.http import REQUEST_ID_KEY, APIError, internal_error_message
from pegboard.redis import Channel, ChannelError, Command, Reply
from pegboard.stages.after_request import finish
from pegboard.stages.contract import (
    WITHOUT_BODY,
    Answer,
    Call,
    Handler,
    Headers,
    Stage,
    answer_of,
    check,
)
from pegboard.stages.routing import Match, Matches

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

MATCH = "pegboard.match"
"""The key of the route that a request matches, and of its arguments, in the WSGI environment."""

STAGE_RUN = "pegboard.stage_run"
"""The key of a passage that the event loop has gone through, in the WSGI environment."""

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

NO_REDIS = ChannelError("no REDIS_URL is set")


class StageRun:
    """One request on its way through the stages of its route: `prepare`, `complete`, answer.

    Whoever goes it carries the commands to Redis in between.
    """

    __slots__ = ("_asked", "answer", "call", "match")

    def __init__(self, environ: "WSGIEnvironment", match: Match) -> None:
        self.match = match
        method = environ["REQUEST_METHOD"]
        self.call = Call(environ, method, match.route, match.arguments, match.route_cache)
        self.answer: Answer | None = None
        """What the first stage that answers has said."""
        self._asked: list[tuple[Handler, Sequence[Command] | Answer]] = []

    @property
    def is_non_blocking(self) -> bool:
        """Whether no stage would wait for anything now."""
        for handler in self.match.handlers:
            is_non_blocking = getattr(handler, "is_non_blocking", None)
            if is_non_blocking is None or not is_non_blocking():
                return False
        return True

    @property
    def is_for_flask(self) -> bool:
        """Whether plugins, or CORS, want to see what a stage has answered."""
        return self.answer is not None and (
            self.match.passes_flask or "HTTP_ORIGIN" in self.call.environ
        )

    def prepare(self) -> list[Command]:
        """Return what the stages want from Redis."""
        commands: list[Command] = []
        for handler in self.match.handlers:
            try:
                wanted = handler.prepare(self.call)
                if wanted is None:
                    continue
                if not isinstance(wanted, Answer):
                    if not isinstance(wanted, (list, tuple, Sequence)):  # the first are quick
                        _refuse(wanted)
                    for command in wanted:
                        if type(command) is not Command:
                            _refuse(wanted)
                    commands.extend(wanted)
            except APIError as error:
                wanted = answer_of(error)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a stage is a plugin's
                wanted = self._bug(handler, error)
            self._asked.append((handler, wanted))
            if isinstance(wanted, Answer):
                break
        return commands

    def complete(self, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Let the stages hear the replies; returns the first answer."""
        position = 0
        for handler, wanted in self._asked:
            try:
                try:
                    if isinstance(wanted, Answer):
                        answer: Answer | None = wanted
                    elif isinstance(replies, ChannelError):
                        answer = handler.complete(self.call, replies)
                    else:
                        end = position + len(wanted)
                        answer = handler.complete(self.call, replies[position:end])
                        position = end
                except APIError as error:
                    answer = answer_of(error)
                if answer is None:
                    continue
                check(answer)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - likewise
                answer = self._bug(handler, error)
            self.answer = answer
            return answer
        return None

    def _bug(self, handler: Handler, error: BaseException) -> Answer:
        """Return the answer of a stage that has failed."""
        if self.match.propagates:
            raise error
        bound = zip(self.match.stages, self.match.handlers, strict=True)
        name = next(name for name, one in bound if one is handler)
        logger.error("the stage %s has failed: %s", name, error, exc_info=error)
        identifier = self.call.environ.get(REQUEST_ID_KEY, "-")
        return Answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, internal_error_message(identifier))


class Stages:
    """WSGI middleware: the stages of one app, around Flask.

    It stands inside the middleware of plugins, which may refuse what a stage would answer; so it is
    there before them, and is given its stages by `hang` when all plugins are set up.
    """

    def __init__(
        self,
        app: Flask,
        flask_app: "WSGIApplication",
        channel: Channel | None,
        static_headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """`static_headers` are on every answer of Flask's whose request has no `Origin`."""
        self._app = app
        self._flask_app = flask_app
        self.channel = channel
        self._matches = Matches(app)
        self._static_headers = list(static_headers)

    def hang(self, stages: Iterable[Stage]) -> None:
        """Give it its stages."""
        self._matches.hang(stages)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        # Out of the environment, which it knows: a cycle would be left to the garbage collector.
        passage = environ.pop(STAGE_RUN, None) or self.go(environ)
        return self._end(passage, start_response)

    def go(self, environ: "WSGIEnvironment") -> StageRun:
        """Let a request pass its stages, and wait for them."""
        match = self._matches.find(environ)
        if match.route is not None:
            environ[MATCH] = match
        passage = StageRun(environ, match)
        commands = passage.prepare()
        passage.complete(self._exchange(commands) if commands else [])
        return passage

    def begin(self, environ: "WSGIEnvironment") -> StageRun | None:
        """Return the way of a request that need not wait for anything but Redis, if it is one."""
        match = self._matches.recall(environ)
        if match is None:
            return None
        passage = StageRun(environ, match)
        if not passage.is_non_blocking:
            return None
        if match.route is not None:
            environ[MATCH] = match
        return passage

    def headers_of(self, answer: Answer, passage: StageRun | None) -> Headers:
        """Return the headers of an answer that nobody else needs to see."""
        headers = [*answer.headers, *self._static_headers]
        if passage is not None:
            headers.extend(passage.call.headers)
        if answer.status not in WITHOUT_BODY:
            headers.append(("Content-Length", str(len(answer.body))))
        return headers

    def _exchange(self, commands: Sequence[Command]) -> list[Reply] | ChannelError:
        if self.channel is None:
            return NO_REDIS
        try:
            return self.channel.exchange(commands)
        except ChannelError as error:
            return error

    def _end(self, passage: StageRun, start_response: "StartResponse") -> Iterable[bytes]:
        call, answer = passage.call, passage.answer
        if answer is None:
            if call.headers:
                start_response = _adding(call.headers, start_response)
            return self._flask_app(call.environ, start_response)
        if passage.is_for_flask:
            return self._end_through_flask(call, answer, start_response)
        status = _STATUS.get(answer.status) or f"{answer.status} Unknown"
        start_response(status, self.headers_of(answer, passage))
        return [] if call.method == "HEAD" else [answer.body]

    def _end_through_flask(
        self, call: Call, answer: Answer, start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Let what plugins hang on Flask's answers, and CORS, have their part."""
        with self._app.request_context(call.environ) as context:
            response = Response(answer.body, answer.status)
            del response.headers["Content-Type"]
            for name, value in (*answer.headers, *call.headers):
                response.headers.add(name, value)
            return finish(self._app, context, response)(call.environ, start_response)


def _refuse(wanted: object) -> NoReturn:
    """Raise for what could not be packed: replies would go to those who come after it."""
    message = f"{wanted!r:.200} is asked of Redis, not a list of commands"
    raise TypeError(message)


def _adding(headers: Headers, start_response: "StartResponse") -> "StartResponse":
    def start(status: str, given: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        given.extend(headers)
        return start_response(status, given, exc_info)

    return start

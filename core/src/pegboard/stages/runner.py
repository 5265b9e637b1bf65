"""Runs the stages of requests: WSGI middleware around Flask.

A thread (`Stages.run`) and the server's event loop (`Gateway`) differ only in how commands for
Redis are exchanged for replies.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from random import random
from typing import TYPE_CHECKING, Any

from flask import Flask, Response

from pegboard.extensions import get_extension
from pegboard.http import CACHE_CONTROL_KEY
from pegboard.redis import Channel, ChannelError, Command, Reply
from pegboard.stages.after_request import finish
from pegboard.stages.contract import WITHOUT_BODY, Answer, Call, Headers, Stage
from pegboard.stages.routing import Match, Matches, Measuring
from pegboard.stages.stage_run import StageRun
from pegboard.stages.waiting import FastPathLimit, OnThread, Waiting, result_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

MATCH = "pegboard.match"
"""The key of the route that a request matches, and of its arguments, in the WSGI environment."""

STAGE_RUN = "pegboard.stage_run"
"""The key in the WSGI environment of a stage run and its answer, if a server has run the stages."""

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_EXTENSION = "pegboard.stages"


class Stages:
    """WSGI middleware: the stages of one app, around Flask.

    It stands inside the middleware of plugins, which may refuse what a stage would answer. So it is
    made before plugins are set up, and `install` gives it the stages afterwards.
    """

    def __init__(
        self, app: Flask, flask_app: "WSGIApplication", channel: Channel | None, *, at_once: int
    ) -> None:
        """`at_once` bounds the fast paths that are under way on the server's event loop."""
        self._limit = FastPathLimit(at_once)
        self._app = app
        self._flask_app = flask_app
        self.channel = channel
        self._on_thread = OnThread(self.exchange)
        self._matches = Matches(app)
        self.owners: Mapping[str, str] = {}
        """The plugins by the names of their stages; those of the core have none."""

    def install(self, stages: Iterable[Stage], owners: Mapping[str, str]) -> None:
        """Run these stages from now on; `owners` has the plugins by the names of their stages."""
        self._matches.install(stages)
        self.owners = owners

    def measure(self, measuring: Measuring) -> None:
        """Have it told how long stages take, from the first request on."""
        self._matches.measuring = measuring

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages in their order."""
        return self._matches.stages

    def match(self, method: str, path: str) -> Match:
        """Return what requests of a method and a path match."""
        return self._matches.find({"REQUEST_METHOD": method, "PATH_INFO": path})

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        # Out of the environment, to which it refers: only the garbage collector ends a cycle.
        stage_run, answer = environ.pop(STAGE_RUN, None) or self.run(environ)
        return self._end(stage_run, answer, start_response)

    def run(self, environ: "WSGIEnvironment") -> tuple[StageRun, Answer | None]:
        """Run the stages of a request on this thread, which may have to wait."""
        stage_run = self._begin(environ, self._matches.find(environ))
        return stage_run, result_of(stage_run.run(self._on_thread.exchange))

    def exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Send commands to Redis and wait for the replies. Raises `ChannelError`."""
        if self.channel is None:
            message = "no REDIS_URL is set"
            raise ChannelError(message)
        return self.channel.exchange(commands)

    def begin_non_blocking(self, environ: "WSGIEnvironment") -> StageRun | None:
        """Return a stage run that will wait for nothing but Redis; None if a thread must `run` it.

        The caller runs it.
        """
        match = self._matches.recall(environ)
        if match is None or not _is_non_blocking(match):
            return None
        return self._begin(environ, match)

    def _begin(self, environ: "WSGIEnvironment", match: Match) -> StageRun:
        if match.route is not None:
            environ[MATCH] = match
            if match.cache_control is not None:
                environ[CACHE_CONTROL_KEY] = match.cache_control
        measuring = self._matches.measuring
        if measuring is not None and random() >= measuring.share:  # noqa: S311 - no secret
            measuring = None
        return StageRun(environ, match, measuring)

    def headers_of(self, answer: Answer, stage_run: StageRun | None) -> Headers:
        """Return all headers of an answer that does not pass through Flask."""
        headers = [*answer.headers]
        if stage_run is not None:
            headers.extend(stage_run.call.headers)
        if answer.status not in WITHOUT_BODY:
            headers.append(("Content-Length", str(len(answer.body))))
        return headers

    def _end(
        self, stage_run: StageRun, answer: Answer | None, start_response: "StartResponse"
    ) -> Iterable[bytes]:
        call = stage_run.call
        if answer is None and stage_run.fast_path is not None:
            answer = result_of(self.take_fast_path(stage_run, self._on_thread))
        if answer is None:
            if call.headers:
                start_response = _adding(call.headers, start_response)
            return self._flask_app(call.environ, start_response)
        if stage_run.match.passes_flask:
            return self._end_through_flask(call, answer, start_response)
        status = _STATUS.get(answer.status) or f"{answer.status} Unknown"
        start_response(status, self.headers_of(answer, stage_run))
        return [] if call.method == "HEAD" else [answer.body]

    async def take_fast_path(self, stage_run: StageRun, waiting: Waiting) -> Answer | None:
        """Return the answer of the route's fast path; None if the view has to answer.

        It is taken once. Its exceptions are answered as Flask answers one of a view.
        """
        fast_path, stage_run.fast_path = stage_run.fast_path, None
        if fast_path is None:
            return None
        if self._app.config["SESSION_COOKIE_NAME"] in stage_run.call.environ.get("HTTP_COOKIE", ""):
            return None  # Flask may have to renew the cookie
        async with self._limit.enter(waiting):
            try:
                return await fast_path.answer(stage_run.call, stage_run.measured(waiting))
            except Exception as error:  # noqa: BLE001 - answered as one of the view is
                answer = partial(self._answer_exception, stage_run.call, error)
                return await waiting.call(answer)

    def _answer_exception(self, call: Call, error: Exception) -> Answer:
        with self._app.request_context(call.environ):
            try:
                response = self._app.make_response(self._app.handle_user_exception(error))
            except Exception as unhandled:  # noqa: BLE001 - Flask logs it, or raises it in tests
                response = self._app.handle_exception(unhandled)
        headers = [pair for pair in response.headers if pair[0] != "Content-Length"]
        return Answer(response.status_code, headers, response.get_data())

    def _end_through_flask(
        self, call: Call, answer: Answer, start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Apply the `after_request` functions, and save the session."""
        with self._app.request_context(call.environ) as context:
            response = Response(answer.body, answer.status)
            del response.headers["Content-Type"]
            for name, value in (*answer.headers, *call.headers):
                response.headers.add(name, value)
            return finish(self._app, context, response)(call.environ, start_response)


def _is_non_blocking(match: Match) -> bool:
    """Return whether no stage would wait for anything now."""
    asked = None
    try:
        for asked in match.non_blocking:
            if asked is None or not asked():
                return False
    except Exception:
        name = match.stages[match.non_blocking.index(asked)]
        logger.exception("the stage %s cannot say whether it would wait", name)
        return False
    return True


def _adding(headers: Headers, start_response: "StartResponse") -> "StartResponse":
    def start(status: str, given: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        given.extend(headers)
        return start_response(status, given, exc_info)

    return start


def init_stages(app: Flask, stages: Stages) -> None:
    """Keep the middleware of the app, for those that look at it."""
    app.extensions[_EXTENSION] = stages


def get_stages(app: Flask | None = None) -> Stages:
    """Return the middleware of the app, by default of the current app."""
    stages: Stages = get_extension(app, _EXTENSION, "get_stages(app)")
    return stages

"""The ASGI application of a service: stages on the event loop, all else on threads.

A stage counts a request or answers it in microseconds, most of which threads would spend on waiting
for each other. So the server's event loop runs the stages that never wait, and shares one pipelined
connection to Redis among all requests under way. What they let pass goes on to a thread, as does
what a stage or the middleware of a plugin may have to wait for.
"""

import asyncio
import logging
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask

from pegboard.api import LIVENESS_PATH
from pegboard.http import (
    REQUEST_ID_KEY,
    APIError,
    Envelope,
    add_common_headers,
    identify,
    internal_error_message,
    log_request,
)
from pegboard.redis import ChannelError, Pipeline
from pegboard.server.environ import Scope, environ_of
from pegboard.server.request_body import Inlet, Receive
from pegboard.server.response import Outlet, Send
from pegboard.server.wsgi_threads import Threads
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import NO_REDIS, STAGE_RUN, Answer, StageRun, Stages, answer_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)

_SELDOM_READ = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods of requests whose body means nothing (RFC 9110, section 9.3)."""


class Gateway:
    """Serves one app, in one process."""

    def __init__(self, app: Flask, *, threads: int) -> None:
        """`threads` bounds the requests that Flask answers at once."""
        core = get_settings(CoreSettings, app)
        self._inlet = Inlet(limit=core.max_content_length, timeout=core.body_timeout)
        self._timeout = core.body_timeout
        self._threads = Threads(app, count=threads)
        self._liveness = Threads(app, count=1)
        self._stages = _outermost_stages(app)
        self._pipeline: Pipeline | None = None
        self._is_new = True
        self._runs_stages = False
        self.is_draining = False
        """Whether each answer tells its client to use another connection from now on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            message = f"Pegboard serves http, not {scope['type']}"
            raise NotImplementedError(message)
        if self._is_new:
            self.start(asyncio.get_running_loop())
        started = time.perf_counter()
        environ = environ_of(scope)
        outlet = Outlet(send, self, self._timeout)
        passage, answer, held = await self._prepare(environ, receive)
        if answer is not None:
            status: int | None = await self._give(answer, passage, environ, outlet)
        else:
            if passage is not None:
                environ[STAGE_RUN] = passage
            try:
                status = await self._serve(environ, receive, outlet)
            finally:
                self._inlet.release(held)
        if status is not None:
            log_request(environ, status, started)

    async def _prepare(
        self, environ: "WSGIEnvironment", receive: Receive
    ) -> tuple[StageRun | None, Answer | None, int]:
        """Do what needs no thread of Flask's; returns the answer that needs none, if any.

        The number is that of the bytes of body held.
        """
        try:
            passage = await self._pass(environ)
        except (Exception, SystemExit):
            identify(environ)
            logger.exception("unhandled error outside the views")
            return None, _bug(environ), 0
        held = 0
        if _has_body(environ):
            try:
                held = await self._receive(environ, passage, receive)
            except APIError as error:
                if passage is None:
                    return None, answer_of(error), 0
                passage.answer = answer_of(error)
        if passage is None or passage.is_for_flask:
            return passage, None, held
        return passage, passage.answer, held

    async def _pass(self, environ: "WSGIEnvironment") -> StageRun | None:
        """Let a request pass its stages; None if a thread is to do that when it answers."""
        if self._stages is None:
            return None
        passage = self._begin(environ)
        if passage is None:
            if not _has_body(environ):
                return None
            # A request is counted before its body arrives, as it may never do.
            return await self._threads.call(partial(self._go, self._stages, environ))
        identify(environ)
        commands = passage.prepare()
        if not commands:
            passage.complete([])
        elif self._pipeline is None:
            passage.complete(NO_REDIS)
        else:
            try:
                replies = await self._pipeline.exchange(commands)
            except ChannelError as error:
                passage.complete(error)
            else:
                passage.complete(replies)
        return passage

    def _go(self, stages: Stages, environ: "WSGIEnvironment") -> StageRun:
        identify(environ)
        return stages.go(environ)

    async def _receive(
        self, environ: "WSGIEnvironment", passage: StageRun | None, receive: Receive
    ) -> int:
        """Receive a body, unless nobody is likely to read it; returns the bytes held."""
        is_early = passage is not None and (passage.answer is not None or not passage.match.route)
        if is_early or environ["REQUEST_METHOD"] in _SELDOM_READ:
            self._inlet.defer(environ, receive)
            return 0
        return await self._inlet.receive(environ, receive)

    async def _give(
        self,
        answer: Answer,
        passage: StageRun | None,
        environ: "WSGIEnvironment",
        outlet: Outlet,
    ) -> int:
        """Send an answer that no thread gives; returns its status."""
        identifier = environ.get(REQUEST_ID_KEY) or identify(environ)
        try:
            headers = [*answer.headers]
            if self._stages is not None:
                headers = self._stages.headers_of(answer, passage)
            add_common_headers(headers, identifier)
            body = b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body
            await outlet.give(answer.status, headers, body)
        except Exception:
            if outlet.has_begun:
                raise
            logger.exception("a stage has added a header that cannot be sent")
            return await self._give(_bug(environ), None, environ, outlet)
        return answer.status

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to Redis for a loop, which runs or is about to; else the first request does."""
        self._is_new = False
        if self._stages is None:
            return
        channel = self._stages.channel
        if channel is not None:
            self._pipeline = channel.pipeline(loop)
            if self._pipeline is not None:
                self._pipeline.open()
        # There are servers to which only threads can speak.
        self._runs_stages = channel is None or self._pipeline is not None

    def _begin(self, environ: "WSGIEnvironment") -> StageRun | None:
        """Return the way through the stages of a request for which no thread is needed."""
        if self._stages is None or not self._runs_stages:
            return None
        try:
            return self._stages.begin(environ)
        except Exception:
            identify(environ)
            logger.exception("whether a thread is needed cannot be said: one answers")
            return None

    async def _serve(
        self, environ: "WSGIEnvironment", receive: Receive, outlet: Outlet
    ) -> int | None:
        """Have a thread answer; returns the status if it fails to, and nobody else reports it."""
        # Whoever asks whether the process is alive does not wait for those that keep it busy.
        threads = self._liveness if environ["PATH_INFO"] == LIVENESS_PATH else self._threads
        try:
            await threads.serve(environ, receive, outlet)
        except Exception:
            identify(environ)
            if outlet.has_begun:
                raise  # the server logs it
            logger.exception("unhandled error while an answer is made")
            # Without headers of stages, which may be why it has failed.
            return await self._give(_bug(environ), None, environ, outlet)
        return None


def _outermost_stages(app: Flask) -> Stages | None:
    """Return the app's stages, unless the middleware of somebody stands around them."""
    envelope = app.wsgi_app
    stages = envelope.app if isinstance(envelope, Envelope) else None
    return stages if isinstance(stages, Stages) else None


def _has_body(environ: "WSGIEnvironment") -> bool:
    return (
        environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ
    )


def _bug(environ: "WSGIEnvironment") -> Answer:
    return Answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, internal_error_message(identify(environ)))

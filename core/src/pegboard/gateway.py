"""The ASGI application of a service: stages on the event loop, all else on threads.

A stage counts a request or answers it in microseconds, most of which threads would spend on waiting
for each other. So the server's event loop runs the stages that never wait, and shares one pipelined
connection to Redis among all requests under way. What they let pass goes on to a thread, as does
what a stage or the middleware of a plugin may have to wait for.
"""

import asyncio
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask

from pegboard.channel import ChannelError, Pipeline
from pegboard.core_settings import CoreSettings
from pegboard.envelope import Envelope, bug_message, identify, report, seal
from pegboard.errors import REQUEST_ID, APIError
from pegboard.inlet import ClientGoneError, Inlet, Receive
from pegboard.outlet import Outlet, Send
from pegboard.passage import NO_REDIS, PASSAGE, Passage, Stages
from pegboard.scope import Scope, environ_of
from pegboard.settings import get_settings
from pegboard.stages import Answer
from pegboard.threads import Threads

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)


class Gateway:
    """Serves one app, in one process."""

    def __init__(self, app: Flask, *, threads: int) -> None:
        """`threads` bounds the requests that Flask answers at once."""
        core = get_settings(CoreSettings, app)
        self._inlet = Inlet(limit=core.max_content_length, timeout=core.body_timeout)
        self._threads = Threads(app, count=threads)
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
        outlet = Outlet(send, self)
        passage = self._begin(environ)
        answer = await self._go_through(passage) if passage is not None else None
        if passage is not None and (answer is None or passage.is_for_flask):
            environ[PASSAGE] = passage
            answer = None
        if answer is None:
            answer = await self._serve(environ, receive, outlet)
        if answer is not None:
            status = await self._give(answer, passage, environ, outlet)
            report(environ, status, started)

    async def _give(
        self,
        answer: Answer,
        passage: Passage | None,
        environ: "WSGIEnvironment",
        outlet: Outlet,
    ) -> int:
        """Send an answer that no thread gives; returns its status."""
        headers = [*answer.headers]
        if self._stages is not None:
            headers = self._stages.headers_of(answer, passage)
        seal(headers, environ.get(REQUEST_ID) or identify(environ))
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body
        try:
            await outlet.give(answer.status, headers, body)
        except UnicodeEncodeError:
            logger.exception("a stage has answered with a header that cannot be sent")
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

    def _begin(self, environ: "WSGIEnvironment") -> Passage | None:
        """Return the way through the stages of a request for which no thread is needed."""
        if self._stages is None or not self._runs_stages:
            return None
        try:
            passage = self._stages.begin(environ)
        except Exception:
            identify(environ)
            logger.exception("whether a thread is needed cannot be said: one answers")
            return None
        if passage is not None:
            identify(environ)
        return passage

    async def _go_through(self, passage: Passage) -> Answer | None:
        try:
            commands = passage.ask()
            if not commands:
                return passage.hear([])
            if self._pipeline is None:
                return passage.hear(NO_REDIS)
            try:
                replies = await self._pipeline.exchange(commands)
            except ChannelError as error:
                return passage.hear(error)
            return passage.hear(replies)
        except Exception:
            logger.exception("unhandled error outside the views")
            return _bug(passage.call.environ)

    async def _serve(
        self, environ: "WSGIEnvironment", receive: Receive, outlet: Outlet
    ) -> Answer | None:
        """Have a thread answer; returns the answer if none can, as the body does not arrive."""
        held = 0
        try:
            if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
                held = await self._inlet.receive(environ, receive)
        except ClientGoneError:
            return Answer.error(HTTPStatus.BAD_REQUEST, "The request's body ends too early.")
        except APIError as error:
            return Answer.error(error.code or 500, str(error.description), error.headers.items())
        try:
            await self._threads.serve(environ, receive, outlet)
        except Exception:
            identify(environ)
            if outlet.has_begun:
                raise  # the server logs it
            logger.exception("unhandled error while an answer is made")
            return _bug(environ)
        finally:
            self._inlet.release(held)
        return None


def _outermost_stages(app: Flask) -> Stages | None:
    """Return the app's stages, unless the middleware of somebody stands around them."""
    envelope = app.wsgi_app
    stages = envelope.app if isinstance(envelope, Envelope) else None
    return stages if isinstance(stages, Stages) else None


def _bug(environ: "WSGIEnvironment") -> Answer:
    return Answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, bug_message(identify(environ)))

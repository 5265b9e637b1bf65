"""The ASGI application of a service: stages and fast paths on the event loop, Flask on threads.

A stage counts a request or answers it in microseconds, less than handing a request to a thread
costs. So the server's event loop runs the stages that never wait, and shares one pipelined
connection to Redis among all requests under way. The fast path of a resource runs there, too: its
statements are executed on connections of the loop, or by a thread where there can be none. A
request that neither answers goes on to a thread, and so does one whose stages, or the middleware of
a plugin, may have to wait.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from flask import Flask

from pegboard.api import get_health
from pegboard.clients import TrustedProxies
from pegboard.deadline import TIMEOUT_KEY, begin_deadline
from pegboard.http import (
    REQUEST_ID_KEY,
    APIError,
    Coding,
    Envelope,
    get_edge,
    identify,
    internal_error,
)
from pegboard.observation import get_observers
from pegboard.server.client import Client, ClientGoneError
from pegboard.server.environ import Scope, environ_of
from pegboard.server.request_body import Inlet, Receive
from pegboard.server.request_threads import RequestThreads
from pegboard.server.response import Outlet, Send
from pegboard.server.waiting import Backends, OnLoop
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import STAGE_RUN, Answer, StageRun, Stages, answer_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


logger = logging.getLogger(__name__)

T = TypeVar("T")

_RARELY_READ = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods of requests whose body means nothing (RFC 9110, section 9.3)."""


@dataclass(slots=True)
class _Progress:
    """How far a request has come."""

    peer: tuple[str, str] | None
    """Address and port of the client."""
    is_listed: bool = False
    """Whether it is in `Gateway.serving`."""
    stage_run: StageRun | None = None
    """None if a thread has to run the stages."""
    answer: Answer | None = None
    waits: OnLoop | None = None
    """How it waits for what the stages do not do."""
    held: int = 0
    """Bytes of its body in memory."""


class Gateway:
    """Serves one app, in one process."""

    def __init__(self, app: Flask, *, threads: int) -> None:
        """`threads` bounds the requests that Flask answers at once."""
        core = get_settings(CoreSettings, app)
        self._inlet = Inlet(limit=core.max_content_length, timeout=core.body_timeout)
        self._timeout = core.body_timeout
        self._app = app
        self._threads = RequestThreads(
            app, count=threads, queue=core.queue, stuck_after=core.worker_timeout or math.inf
        )
        get_health(app).details["requests"] = self._threads.stats
        self._edge = get_edge(app)
        self._observers = get_observers(app)
        self._stages = _outermost_stages(app)
        self._backends = Backends(self._stages, self._threads, queue=core.queue)
        self._request_timeout = core.request_timeout
        self._is_started = False
        self.trusted_proxies = TrustedProxies.parse(core.trusted_proxies)
        self.serving: Counter[tuple[str, str]] = Counter()
        """The clients for whose requests more is done than the stages do."""
        self.requests = 0
        """How many were taken."""
        self.is_draining = False
        """Whether each answer tells its client to use another connection from now on."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to Redis for a loop that runs or is about to; else the first request does."""
        self._is_started = True
        self._backends.start(loop)

    def is_still(self) -> bool:
        """Return whether requests wait for threads of which none has gone on since the last call.

        If that lasts for `PEGBOARD_WORKER_TIMEOUT`, the process is not alive, and says so.
        """
        return self._threads.is_still()

    def announce_stop(self) -> None:
        """Have `/health/ready` say that the process is about to stop."""
        get_health(self._app).is_stopping = True

    def close(self) -> None:
        """Disconnect from Redis and take no further request; those on threads go on."""
        self._backends.close()
        self._threads.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            message = f"Pegboard serves http, not {scope['type']}"
            raise NotImplementedError(message)
        if not self._is_started:
            self.start(asyncio.get_running_loop())
        started = time.perf_counter()
        self.requests += 1
        environ = environ_of(scope)
        identify(environ)
        self._observers.begin(environ)
        outlet = Outlet(send, self, self._timeout)
        progress = _Progress(scope["client"])
        try:
            await self._advance(progress, environ, receive)
            stage_run, answer = progress.stage_run, progress.answer
            if answer is not None and (stage_run is None or not stage_run.match.passes_flask):
                await self._send(answer, stage_run, environ, outlet)
            else:
                if stage_run is not None:
                    environ[STAGE_RUN] = stage_run, answer
                waits = self._waits(progress, environ, receive)
                await self._serve(environ, outlet, waits)
        except ClientGoneError:
            logger.debug("the client has gone before its request was begun")
        finally:
            self._inlet.release(progress.held)
            if progress.waits is not None:
                progress.waits.client.forget()
            if progress.is_listed and progress.peer is not None:
                self._unlist(progress.peer)
            self._observers.end(environ, outlet.status, outlet.size, started)

    async def _advance(
        self, progress: "_Progress", environ: "WSGIEnvironment", receive: Receive
    ) -> None:
        """Bring a request as far as the loop can: through the stages, its body, the fast path."""
        try:
            if (early := self._edge.enter(environ)) is not None:
                progress.answer = Answer(*early)
                return
            stages = self._stages
            if stages is not None:
                stage_run = (
                    stages.begin_non_blocking(environ) if self._backends.runs_stages else None
                )
                if stage_run is not None:
                    progress.stage_run = stage_run
                    progress.answer = await stage_run.run(self._backends.exchange)
                elif _has_body(environ) or self._threads.are_busy:
                    # A request is counted before its body arrives, as it may never do, and what a
                    # stage answers does not wait for views.
                    run = partial(stages.run, environ)
                    progress.stage_run, progress.answer = await self._threads.run_stages(run)
            if _has_body(environ):
                progress.held = await self._receive(progress, environ, receive)
            stage_run = progress.stage_run
            if stage_run is not None and stage_run.fast_path is not None and not progress.answer:
                # Its answer is sent without the middleware.
                assert stages is not None
                progress.answer = await stages.take_fast_path(
                    stage_run, self._waits(progress, environ, receive)
                )
        except ClientGoneError:
            raise
        except APIError as error:
            progress.answer = answer_of(error)
        except (Exception, SystemExit):
            logger.exception("unhandled error outside the views")
            progress.answer = answer_of(internal_error(environ))

    def _waits(self, progress: _Progress, environ: "WSGIEnvironment", receive: Receive) -> OnLoop:
        """Return how a request waits; its time begins at the first call, with all of its body."""
        if progress.waits is None:
            self._list(progress)
            deadline = begin_deadline(self._request_timeout, environ.get(TIMEOUT_KEY))
            progress.waits = OnLoop(self._backends, Client(environ, receive), deadline)
        return progress.waits

    def _list(self, progress: _Progress) -> None:
        if progress.peer is not None and not progress.is_listed:
            progress.is_listed = True
            self.serving[progress.peer] += 1

    def _unlist(self, peer: tuple[str, str]) -> None:
        self.serving[peer] -= 1
        if not self.serving[peer]:
            del self.serving[peer]

    async def _receive(
        self, progress: "_Progress", environ: "WSGIEnvironment", receive: Receive
    ) -> int:
        """Receive a body, unless it is unlikely to be read; returns the bytes held.

        Raises `APIError` for a body that does not arrive.
        """
        self._list(progress)
        is_answered = progress.stage_run is not None and (
            progress.answer is not None or progress.stage_run.match.route is None
        )
        if is_answered or environ["REQUEST_METHOD"] in _RARELY_READ:
            self._inlet.defer(environ, receive)
            return 0
        return await self._inlet.receive(environ, receive)

    async def _serve(self, environ: "WSGIEnvironment", outlet: Outlet, waits: OnLoop) -> None:
        """Have a thread answer."""
        try:
            await self._threads.serve(environ, outlet, waits.client, waits.deadline)
        except ClientGoneError:
            raise
        except APIError as error:
            stage_run, _ = environ.get(STAGE_RUN) or (None, None)
            await self._send(answer_of(error), stage_run, environ, outlet)
        except Exception:
            if outlet.has_begun:
                raise  # the server logs it
            logger.exception("unhandled error while an answer is made")
            # Without headers of stages, which may be why it has failed.
            await self._send(answer_of(internal_error(environ)), None, environ, outlet)

    async def _send(
        self,
        answer: Answer,
        stage_run: StageRun | None,
        environ: "WSGIEnvironment",
        outlet: Outlet,
    ) -> None:
        """Send an answer that needs no thread."""
        try:
            stages = self._stages
            headers = [*answer.headers] if stages is None else stages.headers_of(answer, stage_run)
            coding = self._edge.finish(environ, environ[REQUEST_ID_KEY], answer.status, headers)
            body = b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body
            if coding is not None and body:
                body = await self._encode(coding, body)
                headers.append(("Content-Length", str(len(body))))
            await outlet.give(answer.status, headers, body)
        except Exception:
            if outlet.has_begun:
                raise
            logger.exception("a stage has added a header that cannot be sent")
            await self._send(answer_of(internal_error(environ)), None, environ, outlet)

    async def _encode(self, coding: Coding, body: bytes) -> bytes:
        compression = self._edge.compression
        if compression.takes_long(coding, body):
            return await self._threads.call(partial(compression.encode, coding, body))
        return compression.encode(coding, body)


def _outermost_stages(app: Flask) -> Stages | None:
    """Return the app's stages, or None if other middleware is around them and has to go first."""
    envelope = app.wsgi_app
    stages = envelope.app if isinstance(envelope, Envelope) else None
    return stages if isinstance(stages, Stages) else None


def _has_body(environ: "WSGIEnvironment") -> bool:
    return (
        environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ
    )

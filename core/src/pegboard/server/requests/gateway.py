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
from functools import partial

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
from pegboard.problems import PLUGIN_FAULTS
from pegboard.server.requests.admission import Admission
from pegboard.server.requests.body import Inlet, Receive
from pegboard.server.requests.client import Client, ClientGoneError
from pegboard.server.requests.environ import WITHOUT_BODY, Scope, environ_of, has_body
from pegboard.server.requests.pools import RequestThreads
from pegboard.server.requests.request import Request
from pegboard.server.requests.response import Outlet, Send, SlowClientError
from pegboard.server.requests.waiting import Backends, OnLoop
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import STAGE_RUN, Answer, StageRun, Stages, answer_of

logger = logging.getLogger(__name__)


class Gateway:
    """Serves one app, in one process."""

    def __init__(self, app: Flask, *, threads: int) -> None:
        """`threads` bounds the requests that Flask answers at once."""
        core = get_settings(CoreSettings, app)
        self._inlet = Inlet(limit=core.max_content_length, timeout=core.body_timeout)
        self._timeout = core.body_timeout
        self._app = app
        self._threads = RequestThreads(
            app,
            count=threads,
            queue=core.queue,
            worker_timeout=core.worker_timeout or math.inf,
            request_timeout=core.request_timeout,
        )
        get_health(app).details["requests"] = self._threads.stats
        self._edge = get_edge(app)
        self._observers = get_observers(app)
        self._stages = _outermost_stages(app)
        self._backends = Backends(self._stages, self._threads, queue=core.queue)
        self._request_timeout = core.request_timeout
        self._is_started = False
        self.trusted_proxies = TrustedProxies.parse(core.trusted_proxies)
        self.serving: Counter[tuple[str, str] | None] = Counter()
        """The clients for whose requests more is done than the stages do."""
        self.arriving: Counter[tuple[str, str] | None] = Counter()
        """Those of them whose bodies are awaited."""
        self.asked: set[tuple[str, str] | None] | None = None
        """The clients of all requests; None if nobody wants to know them, and removes some."""
        self.requests = 0
        """How many were taken."""
        self.is_draining = False
        """Whether each answer tells its client to use another connection from now on."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to Redis for a loop that runs or is about to; else the first request does."""
        self._is_started = True
        self._backends.start(loop)

    def notice_stillness(self) -> bool:
        """Return whether requests need threads of which none has gone on since the last call.

        If that lasts for `PEGBOARD_WORKER_TIMEOUT`, the process is not alive, and says so.
        """
        return self._threads.notice_stillness()

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
        request = Request()
        request.environ, request.receive = environ, receive
        request.peer, request.began = scope["client"], started
        if self.asked is not None:
            self.asked.add(request.peer)
        outlet = request.outlet = Outlet(send, self, self._timeout)
        try:
            await self._advance(request)
            stage_run, answer = request.stage_run, request.answer
            if answer is not None and (stage_run is None or not stage_run.match.passes_flask):
                await self._send(request, answer, stage_run)
            else:
                if stage_run is not None:
                    environ[STAGE_RUN] = stage_run, answer
                await self._serve(request)
        except ClientGoneError as error:
            logger.debug("the client has gone %s", error)
        finally:
            self._inlet.release(request.held)
            if request.is_listed:
                self._unlist(request)
            self._observers.end(environ, outlet.status, outlet.size, started)

    async def _advance(self, request: Request) -> None:
        """Bring a request as far as the loop can: through the stages, its body, the fast path."""
        environ = request.environ
        try:
            if (early := self._edge.enter(environ)) is not None:
                request.answer = Answer(*early)
                return
            if self._stages is not None:
                await self._run_stages(request, self._stages)
            if has_body(environ):
                request.held = await self._receive(request)
            stage_run = request.stage_run
            if stage_run is not None and stage_run.fast_path is not None and not request.answer:
                # Its answer is sent without the middleware.
                assert self._stages is not None
                waits = self._admit(request)
                waits.admission.client.watch_soon()
                request.answer = await self._stages.take_fast_path(stage_run, waits)
        except ClientGoneError:
            raise
        except APIError as error:
            request.answer = answer_of(error)
        except PLUGIN_FAULTS:
            logger.exception("unhandled error outside the views")
            request.answer = answer_of(internal_error(environ))

    async def _run_stages(self, request: Request, stages: Stages) -> None:
        """Run the stages, unless the thread that answers can as well: to change threads takes long.

        A request is counted before its body arrives, as it may never do, and what a stage answers
        does not wait for views.
        """
        environ = request.environ
        stage_run = stages.begin_non_blocking(environ) if self._backends.runs_stages else None
        if stage_run is not None:
            request.stage_run = stage_run
            request.answer = await stage_run.run(self._backends.exchange)
        elif self._threads.is_probe(environ["PATH_INFO"]):
            return  # no stage sees it
        elif has_body(environ) or self._threads.are_busy:
            run = partial(stages.run, environ)
            admission = self._admit(request).admission
            request.stage_run, request.answer = await self._threads.call_beside_views(
                run, admission
            )

    def _admit(self, request: Request) -> OnLoop:
        """Return how a request waits, from its arrival to the end of its time."""
        if request.waits is None:
            self._list(request)
            environ = request.environ
            passed = time.perf_counter() - request.began
            deadline = begin_deadline(self._request_timeout, environ.get(TIMEOUT_KEY), passed)
            client = Client(environ, request.receive, is_body_due=has_body(environ))
            admission = Admission(client, deadline, self._threads.counts)
            request.waits = OnLoop(self._backends, admission)
        return request.waits

    def _list(self, request: Request) -> None:
        if not request.is_listed:
            request.is_listed = True
            self.serving[request.peer] += 1

    def _unlist(self, request: Request) -> None:
        if request.waits is not None:
            request.waits.admission.client.forget()
        _count_down(self.serving, request.peer)

    async def _receive(self, request: Request) -> int:
        """Receive a body, unless it is unlikely to be read; returns the bytes held.

        Raises `APIError` for a body that does not arrive.
        """
        environ, receive = request.environ, request.receive
        admission = self._admit(request).admission
        self.arriving[request.peer] += 1
        is_answered = request.stage_run is not None and (
            request.answer is not None or request.stage_run.match.route is None
        )
        try:
            if is_answered or environ["REQUEST_METHOD"] in WITHOUT_BODY:
                self._inlet.defer(environ, receive, admission.deadline)
                return 0
            return await self._inlet.receive(environ, receive, admission.deadline)
        finally:
            admission.client.is_body_due = False
            _count_down(self.arriving, request.peer)

    async def _serve(self, request: Request) -> None:
        """Have a thread answer."""
        environ = request.environ
        try:
            await self._threads.serve(environ, request.outlet, self._admit(request).admission)
        except ClientGoneError:
            raise
        except APIError as error:
            stage_run, _ = environ.get(STAGE_RUN) or (None, None)
            await self._send(request, answer_of(error), stage_run)
        except SlowClientError as error:
            logger.info("%s, and its connection is closed", error)
            raise  # else the server would end the answer as if it were whole
        except Exception:
            if request.outlet.has_begun:
                raise  # the server logs it
            logger.exception("unhandled error while an answer is made")
            # Without headers of stages, which may be why it has failed.
            await self._send(request, answer_of(internal_error(environ)), None)

    async def _send(self, request: Request, answer: Answer, stage_run: StageRun | None) -> None:
        """Send an answer that needs no thread.

        Raises `ClientGoneError` if it is known that nobody waits for it.
        """
        environ, waits = request.environ, request.waits
        if waits is not None:
            waits.admission.client.check()
        try:
            stages = self._stages
            headers = [*answer.headers] if stages is None else stages.headers_of(answer, stage_run)
            coding = self._edge.finish(environ, environ[REQUEST_ID_KEY], answer.status, headers)
            body = b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body
            if coding is not None and body:
                body = await self._encode(request, coding, body)
                headers.append(("Content-Length", str(len(body))))
            await request.outlet.give(answer.status, headers, body)
        except ClientGoneError:
            raise
        except APIError as error:  # there was no thread to compress it in time
            await self._send(request, answer_of(error), stage_run)
        except Exception:
            if request.outlet.has_begun:
                raise
            logger.exception("a stage has added a header that cannot be sent")
            await self._send(request, answer_of(internal_error(environ)), None)

    async def _encode(self, request: Request, coding: Coding, body: bytes) -> bytes:
        compression = self._edge.compression
        if compression.takes_long(coding, body):
            encode = partial(compression.encode, coding, body)
            admission = self._admit(request).admission
            return await self._threads.call_beside_views(encode, admission)
        return compression.encode(coding, body)


def _count_down(clients: Counter[tuple[str, str] | None], peer: tuple[str, str] | None) -> None:
    """Count one less, and keep nothing of a client that has none."""
    clients[peer] -= 1
    if not clients[peer]:
        del clients[peer]


def _outermost_stages(app: Flask) -> Stages | None:
    """Return the app's stages, or None if other middleware is around them and has to go first."""
    envelope = app.wsgi_app
    stages = envelope.app if isinstance(envelope, Envelope) else None
    return stages if isinstance(stages, Stages) else None

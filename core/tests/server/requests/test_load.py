"""A gateway with more to do than its threads can: what waits, what is refused, what is dropped."""

import asyncio
import io
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import flask
import pytest
from flask import Flask

import pegboard
from pegboard.deadline import Deadline
from pegboard.http import APIError
from pegboard.resources import no_time_limit
from pegboard.server.requests.admission import Admission
from pegboard.server.requests.client import Client, ClientGoneError
from pegboard.server.requests.pools import RequestThreads
from pegboard.server.requests.waiting import Backends, OnLoop
from pegboard.stages import Answer, Call, Route
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import WAIT_TIMEOUT, wait_until

Serve = Callable[..., Any]


class Greeter:
    """A stage that waits, as it cannot say that it does not, and answers `/greeting`."""

    name = "greeter"
    order = 1

    def bind(self, route: Route | None) -> "Greeter | None":
        """Bind to the greeting."""
        return self if route is not None and route.rule.rule == "/greeting" else None

    def prepare(self, _call: Call) -> Answer:
        """Answer."""
        return Answer(200, [("Content-Type", "text/plain")], b"hello")

    def complete(self, _call: Call, _replies: object) -> None:
        """Never called, as `prepare` returns no commands."""


class Held:
    """A plugin whose view keeps a thread until the test lets it go."""

    name = "held"

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.starts = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.blueprint = flask.Blueprint("held", __name__)

        @self.blueprint.route("/held/<name>", methods=["GET", "POST"])
        def held(name: str) -> str:
            self.begun.append(name)
            self.starts.release()
            self.go.acquire(timeout=WAIT_TIMEOUT)
            return name

        @self.blueprint.get("/greeting")
        def greeting() -> str:
            return "from the view"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[flask.Blueprint]:
        """Serve the views."""
        return [self.blueprint]

    @pegboard.hookimpl
    def pegboard_stages(self) -> list[Greeter]:
        """Greet."""
        return [Greeter()]


@pytest.fixture
def held() -> Iterator[Held]:
    """The plugin; all its views are let go at the end."""
    held = Held()
    yield held
    held.go.release(1000)


@pytest.fixture
def assemble(make_app: MakeApp, held: Held) -> Callable[..., Flask]:
    """Make an app of the plugin, with settings."""

    def make(**settings: Any) -> Flask:
        return make_app(plugins=[held], TESTING=False, SECRET_KEY="k", **settings)

    return make


async def test_a_stage_that_waits_answers_while_all_threads_are_busy(
    assemble: Callable[..., Flask], held: Held, serve: Serve
):
    """It gets one of a few threads that no view has."""
    async with serve(assemble(), threads=1) as client:
        first, second = client.visit("/held/a"), client.visit("/held/b")
        assert b"hello" == (await client.ask("/greeting")).body
        assert {"a"} >= set(held.begun)
        held.go.release(2)
        assert [b"a", b"b"] == [(await visit.answer()).body for visit in (first, second)]


async def test_too_many_waiting_requests_are_refused_at_once(
    assemble: Callable[..., Flask], held: Held, serve: Serve
):
    """In the platform's format; what needs no thread of a view is answered all the same."""
    async with serve(assemble(QUEUE=1), threads=1) as client:
        threads = client.gateway._threads
        first = client.visit("/held/a")
        await asyncio.to_thread(held.starts.acquire, timeout=WAIT_TIMEOUT)
        second = client.visit("/held/b")
        await asyncio.to_thread(
            wait_until, lambda: 1 == threads.stats()["waiting"], "another waits for the thread"
        )
        refused = await client.ask("/held/c", headers={"Origin": "https://app.example"})
        assert (503, "1") == (refused.status, refused.header("Retry-After"))
        assert json.loads(refused.body) == {
            "message": "Too many requests are waiting at the moment. Try again.",
            "status": 503,
        }
        assert refused.header("X-Request-Id")
        assert [200, 200] == [(await client.ask(path)).status for path in ("/greeting", "/health")]
        held.go.release(2)
        assert [b"a", b"b"] == [(await visit.answer()).body for visit in (first, second)]
        assert 1 == threads.stats()["refused"]
        held.go.release()
        assert b"d" == (await client.ask("/held/d")).body
    assert ["a", "b", "d"] == held.begun


@pytest.mark.parametrize("body", [b"", b"x" * 100])
async def test_a_request_whose_client_has_gone_is_not_begun(
    assemble: Callable[..., Flask],
    held: Held,
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
):
    """It leaves its place in the queue, and nothing of it stays in memory."""
    caplog.set_level(logging.DEBUG, "pegboard.server")
    async with serve(assemble(QUEUE=1), threads=1) as client:
        first = client.visit("/held/a")
        method, headers = ("POST", {"Content-Length": str(len(body))}) if body else ("GET", {})
        for _ in range(3):
            gone = client.visit("/held/gone", method, headers).bring(body, more=False)
            await gone.until_asked(2)
            gone.leave()
            await gone.task
            assert [] == gone.sent
        threads = client.gateway._threads
        assert (3, 0) == (threads.stats()["dropped"], threads.stats()["waiting"])
        assert 3 == caplog.text.count("the client has gone before its request was begun")
        waiting = client.visit("/held/b")
        held.go.release(2)
        assert [b"a", b"b"] == [(await visit.answer()).body for visit in (first, waiting)]
    assert ["a", "b"] == held.begun
    assert not threads._threads._jobs
    assert threads._threads._spare <= 1


async def test_a_request_is_answered_within_the_time_that_its_client_asks_for(
    assemble: Callable[..., Flask], held: Held, serve: Serve, caplog: pytest.LogCaptureFixture
):
    """By 503 if it was not begun, else by 504; what the view answers later is lost."""
    caplog.set_level(logging.INFO)
    async with serve(assemble(), threads=1) as client:
        begun = client.visit("/held/a", headers={"Request-Timeout": "300ms"})
        waiting = client.visit("/held/b", headers={"Request-Timeout": "0.01"})
        refused, late = await waiting.answer(), await begun.answer()
        assert (503, "1") == (refused.status, refused.header("Retry-After"))
        message = "It was not the request's turn within its time of 0.01 s. Try again."
        assert {"message": message, "status": 503} == json.loads(refused.body)
        message = "The request was not answered within its time of 0.3 s."
        assert (504, message) == (late.status, json.loads(late.body)["message"])
        assert 2 == client.gateway._threads.stats()["late"]
        held.go.release(2)
        assert b"c" == (await client.ask("/held/c")).body
    assert ["a", "c"] == held.begun
    assert 1 == caplog.text.count("GET /held/a 504")
    assert "GET /held/a 200" not in caplog.text


@pytest.mark.parametrize("asked", [None, "60", "1m", "soon", "-1", "1h", "1e-9", "", "0x1"])
async def test_the_setting_is_the_longest_time(
    assemble: Callable[..., Flask], held: Held, serve: Serve, asked: str | None
):
    """A client may ask for less of it; what cannot be understood is ignored."""
    async with serve(assemble(REQUEST_TIMEOUT=0.1), threads=1) as client:
        headers = {} if asked is None else {"Request-Timeout": asked}
        answer = await client.ask("/held/a", headers=headers)
        assert 504 == answer.status
        assert b"within its time of 0.1 s." in answer.body
        held.go.release()


async def test_a_request_without_any_time_is_not_begun(
    assemble: Callable[..., Flask], held: Held, serve: Serve
):
    """Though a thread is free."""
    async with serve(assemble(), threads=1) as client:
        answer = await client.ask("/held/a", headers={"Request-Timeout": "0"})
    assert 503 == answer.status
    assert [] == held.begun


@pytest.mark.parametrize("how", ["in parts", "without a limit"])
async def test_an_answer_that_may_take_long_is_not_given_up(
    assemble: Callable[..., Flask], held: Held, serve: Serve, how: str
):
    """Because it has begun, or as its view says so."""
    app = assemble(REQUEST_TIMEOUT=0.1)

    @app.get("/parts")
    def parts() -> Iterator[str]:
        yield "begun, "
        held.go.acquire(timeout=WAIT_TIMEOUT)
        yield "ended"

    @app.get("/long")
    def long() -> str:
        with no_time_limit():
            held.go.acquire(timeout=WAIT_TIMEOUT)
        return "begun, ended"

    async with serve(app) as client:
        visit = client.visit("/parts" if how == "in parts" else "/long")
        visit.bring(b"", more=False)
        late = await client.ask("/held/a")  # its time begins later, and is over before
        assert 504 == late.status
        held.go.release(2)
        assert b"begun, ended" == (await visit.answer()).body


@pytest.fixture
async def turns(assemble: Callable[..., Flask]) -> AsyncIterator[Callable[..., OnLoop]]:
    """Make requests that wait for their turn on the event loop."""
    threads = RequestThreads(assemble(), count=1, queue=9, worker_timeout=9.0, request_timeout=9.0)
    backends = Backends(None, threads, queue=1)

    def make(gone: asyncio.Event, seconds: float = 60.0) -> OnLoop:
        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        client = Client({"wsgi.input": io.BytesIO()}, receive)
        return OnLoop(backends, Admission(client, Deadline(seconds), threads.counts))

    yield make
    threads.close()


async def test_a_request_that_waits_for_its_turn_on_the_loop_is_given_up_as_well(
    turns: Callable[..., OnLoop],
):
    """When its client has gone, its time is over, or too many wait; else it gets its turn."""
    semaphore, gone, never = asyncio.Semaphore(1), asyncio.Event(), asyncio.Event()
    await turns(never).acquire(semaphore)
    dropped = asyncio.create_task(turns(gone).acquire(semaphore))
    await asyncio.sleep(0)
    with pytest.raises(APIError, match="Too many requests are waiting"):
        await turns(never).acquire(semaphore)
    gone.set()
    with pytest.raises(ClientGoneError):
        await dropped
    with pytest.raises(APIError, match=r"within its time of 0\.01 s"):
        await turns(never, 0.01).acquire(semaphore)
    waiting = asyncio.create_task(turns(never).acquire(semaphore))
    await asyncio.sleep(0)
    semaphore.release()
    await waiting
    assert semaphore.locked()
    semaphore.release()
    assert not semaphore.locked()


class Stuck:
    """A plugin with a stage that keeps its thread until the test lets it go."""

    name = "stuck"
    order = 2

    def __init__(self, held: Held) -> None:
        self.held = held
        self.begun: list[str] = []

    def bind(self, _route: Route | None) -> "Stuck":
        """Bind to all."""
        return self

    def prepare(self, call: Call) -> None:
        """Wait."""
        self.begun.append(call.environ["PATH_INFO"])
        self.held.go.acquire(timeout=WAIT_TIMEOUT)

    def complete(self, _call: Call, _replies: object) -> None:
        """Never called, as `prepare` returns no commands."""

    @pegboard.hookimpl
    def pegboard_stages(self) -> list["Stuck"]:
        """Wait at each request."""
        return [self]


@pytest.mark.parametrize("waits_to", ["send", "take"])
async def test_a_thread_that_waits_for_its_client_does_not_stand_still(
    make_app: MakeApp, held: Held, serve: Serve, waits_to: str
):
    """However large the part that a client takes slowly, or the body that it sends so."""
    app = make_app(plugins=[held], TESTING=False, SECRET_KEY="k", MAX_CONTENT_LENGTH=10)

    @app.route("/slow", methods=["GET", "POST"])
    def slow() -> Iterator[bytes]:
        flask.request.max_content_length = 1000
        flask.request.stream.read()
        return iter([b"x" * 200_000, b"y"])

    async with serve(app, threads=1) as client:
        pieces, waits = asyncio.Semaphore(2), asyncio.Event()

        def is_another_waiting() -> bool:
            return bool(client.gateway._threads._threads.waiting)

        async def take() -> None:
            if pieces.locked():
                waits.set()
            await pieces.acquire()

        if waits_to == "send":
            visit = client.visit("/slow", "POST", {"Content-Length": "20"})
            await visit.until_asked(1)
        else:
            visit = client.visit("/slow")
            visit.on_send = take
            await waits.wait()
        other = client.visit("/held/b")
        await asyncio.to_thread(wait_until, is_another_waiting, "another waits for the thread")
        for _ in range(3):
            assert not client.gateway.notice_stillness()
        pieces.release()
        visit.bring(b"x" * 10)
        assert not client.gateway.notice_stillness()
        visit.bring(b"x" * 10, more=False)
        for _ in range(10):
            pieces.release()
        assert b"x" * 200_000 + b"y" == (await visit.answer()).body
        await asyncio.to_thread(held.starts.acquire)
        third = client.visit("/held/c")
        await asyncio.to_thread(wait_until, is_another_waiting, "another waits for the thread")
        client.gateway.notice_stillness()
        assert client.gateway.notice_stillness(), "now a view keeps the thread"
        held.go.release(2)
        assert [200, 200] == [(await one.answer()).status for one in (other, third)]


@pytest.mark.parametrize("standing,is_still", [(1, False), (2, True)])
async def test_a_patient_client_hides_no_threads_that_stand_still(
    make_app: MakeApp, held: Held, serve: Serve, *, standing: int, is_still: bool
):
    """If they are half of all: the others will be free some time, and those will not."""
    app = make_app(plugins=[held], TESTING=False, SECRET_KEY="k")
    app.add_url_rule("/slow", view_func=lambda: iter([b"x"] * 100))

    async with serve(app, threads=4) as client:
        pieces = asyncio.Semaphore(0)
        slow = [client.visit("/slow") for _ in range(4 - standing)]
        for visit in slow:
            visit.on_send = pieces.acquire
        stuck = [client.visit("/held/a") for _ in range(standing)]
        for _ in stuck:
            await asyncio.to_thread(held.starts.acquire)
        waiting = client.visit("/held/b")
        threads = client.gateway._threads._threads
        await asyncio.to_thread(wait_until, lambda: threads.waiting, "another waits for a thread")
        client.gateway.notice_stillness()
        for _ in range(3):
            assert is_still == client.gateway.notice_stillness()
            for _ in slow:
                pieces.release()  # each client takes something
        for _ in range(1000):
            pieces.release()
        held.go.release(standing + 1)
        for visit in (*slow, *stuck, waiting):
            assert 200 == (await visit.answer()).status


@pytest.fixture
def stuck(make_app: MakeApp, held: Held) -> Callable[..., tuple[Flask, Stuck]]:
    """Make an app whose stage does not return before it may."""

    def make(**settings: Any) -> tuple[Flask, Stuck]:
        plugin = Stuck(held)
        plugins = [plugin, held]
        return make_app(plugins=plugins, TESTING=False, SECRET_KEY="k", **settings), plugin

    return make


BODY = {"Content-Length": "1"}


@pytest.mark.parametrize("body", [{}, BODY], ids=["no body", "a body"])
async def test_a_stage_that_never_returns_is_found(
    stuck: Callable[..., Any], held: Held, serve: Serve, body: dict[str, str]
):
    """By clients that do not wait for long; probes are answered, and then say so."""
    app, _ = stuck(QUEUE=0)
    async with serve(app, threads=1) as client:
        visits = [client.visit("/held/a", "POST", body) for _ in range(6)]
        refused = visits.pop()
        assert 503 == (await refused.answer()).status
        gateway = client.gateway
        probes = ["/health", "/health/ready"]
        assert [200, 200] == [(await client.ask(path)).status for path in probes]
        gateway.notice_stillness()
        assert gateway.notice_stillness()
        gateway._threads.is_stuck = True
        assert [503, 503] == [(await client.ask(path)).status for path in probes]
        held.go.release(20)
        for visit in visits:
            await visit.bring(b"x", more=False).answer()
    gateway.notice_stillness()
    assert not gateway.notice_stillness()


async def test_threads_do_not_stand_still_while_requests_have_time(
    stuck: Callable[..., Any], held: Held, serve: Serve
):
    """If that is longer than a worker may stand still: they may answer yet."""
    app, _ = stuck(QUEUE=0, WORKER_TIMEOUT=2.0, REQUEST_TIMEOUT=3600.0)
    async with serve(app, threads=1) as client:
        visits = [client.visit("/held/a") for _ in range(6)]
        assert 503 == (await visits.pop().answer()).status
        client.gateway.notice_stillness()
        assert not client.gateway.notice_stillness()
        held.go.release(20)
        for visit in visits:
            await visit.answer()


async def test_a_request_that_waits_for_its_stages_is_admitted_like_any(
    stuck: Callable[..., Any], held: Held, serve: Serve
):
    """It is refused, dropped or late before a stage has seen it, and late after that."""
    app, plugin = stuck(QUEUE=2)
    async with serve(app, threads=1) as client:
        begun = [client.visit("/held/a") for _ in range(4)]
        slow = client.visit("/held/slow", headers={"Request-Timeout": "0.2"})
        gone = client.visit("/held/gone")
        await gone.until_asked(1)
        late = client.visit("/held/late", headers={"Request-Timeout": "0.01"})
        refused = await client.ask("/held/refused")
        assert (503, "1") == (refused.status, refused.header("Retry-After"))
        gone.leave()
        await gone.task
        assert [] == gone.sent
        assert 503 == (await late.answer()).status
        assert 504 == (await slow.answer()).status
        threads = client.gateway._threads
        assert {"refused": 1, "dropped": 1, "late": 2} == dict(threads.counts)
        assert 0 == threads.stats()["waiting"]
        held.go.release(20)
        for visit in begun:
            await visit.answer()
    assert {"/held/a": 4, "/held/slow": 1} == Counter(plugin.begun)


async def test_the_time_of_a_request_bounds_its_body(
    assemble: Callable[..., Flask], held: Held, serve: Serve
):
    """However steadily its parts arrive."""
    async with serve(assemble()) as client:
        visit = client.visit(
            "/held/a", "POST", {"Content-Length": "1000", "Request-Timeout": "0.2"}
        )
        while not visit.task.done():
            visit.bring(b"x")
            await asyncio.sleep(0.01)
        late = await visit.answer()
        assert (408, "close") == (late.status, late.header("Connection"))
        message = "The request's body did not arrive within the request's time of 0.2 s."
        assert message == json.loads(late.body)["message"]
    assert [] == held.begun


@pytest.mark.parametrize("threads", [1, 2])
async def test_what_a_client_that_has_gone_would_be_answered_is_not_sent(
    assemble: Callable[..., Flask], held: Held, serve: Serve, threads: int
):
    """Whether the request waited for a thread before its view began or not."""
    async with serve(assemble(), threads=threads) as client:
        first = client.visit("/held/a")
        gone = client.visit("/held/gone")
        await gone.until_asked(1)
        held.go.release()
        await first.answer() if threads == 1 else None
        for _ in range(2):
            await asyncio.to_thread(held.starts.acquire)
        gone.leave()
        for _ in range(3):  # turns of the loop, in which that is noticed
            await asyncio.sleep(0)
        held.go.release(2)
        await gone.task
        await first.task
        assert [] == gone.sent

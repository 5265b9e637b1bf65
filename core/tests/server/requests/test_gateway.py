"""The gateway: which requests the event loop answers, and that it answers as threads do."""

import asyncio
import gc
import gzip
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import flask
import pytest
from flask import Flask
from werkzeug.routing import BaseConverter

import pegboard
from pegboard.http.envelope import logger as envelope_logger
from pegboard.logs import RequestFilter, trace_id
from pegboard.redis import ChannelError, Command, command, get_channel
from pegboard.stages import Answer, Call, Route, set_fast_path
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import WAIT_TIMEOUT
from pegboard.testing.proxy import RedisProxy

LOOP, THREAD = "the event loop", "a thread"
Serve = Callable[..., Any]


def place() -> str:
    """Return where this is called."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return THREAD
    return LOOP


class Bound:
    """A stage at one route."""

    def __init__(self, script: "Script") -> None:
        self.script = script

    def prepare(self, call: Call) -> Any:
        """Return what the test says."""
        self.script.prepared.append(place())
        return self.script.prepares(call)

    def complete(self, call: Call, replies: Any) -> Any:
        """Return what the test says."""
        self.script.received.append(replies)
        return self.script.completes(call, replies)


class NonBlocking(Bound):
    """One that may be run on the loop."""

    def is_non_blocking(self) -> bool:
        """Say what the test says."""
        return self.script.non_blocking()


@dataclass
class Script:
    """A stage that does at every route what the test says, and remembers where it was run."""

    name: str = "one"
    order: int = 1
    prepares: Callable[[Call], Any] = lambda _: None
    completes: Callable[[Call, Any], Any] = lambda _call, _replies: None
    non_blocking: Callable[[], bool] = lambda: True
    kind: type[Bound] = NonBlocking
    bound: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)

    def bind(self, route: Route | None) -> Bound:
        """Bind everywhere."""
        self.bound.append(place())
        return self.kind(self)


class Plugin:
    """A plugin with a few routes and the stages of a test."""

    name = "staged"

    def __init__(self, *stages: Script) -> None:
        self.stages = stages
        self.blueprint = flask.Blueprint("staged", __name__, url_prefix="/staged")

        @self.blueprint.get("/<int:number>")
        def show(number: int) -> dict[str, Any]:
            return {"number": number, "place": place()}

        @self.blueprint.put("/<int:number>")
        def put(number: int) -> dict[str, Any]:
            return {"number": number, "body": flask.request.get_data(as_text=True)}

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> Sequence[flask.Blueprint]:
        """Serve the routes."""
        return [self.blueprint]

    @pegboard.hookimpl
    def pegboard_stages(self) -> Sequence[Script]:
        """Return the stages."""
        return self.stages


def answering(body: bytes, status: int = 200) -> Callable[..., Answer]:
    """Return what answers with a text."""
    return lambda *_: Answer(status, [("Content-Type", "text/plain")], body)


def echo(call: Call) -> list[Command]:
    """Ask Redis for an echo of the path."""
    return [command("ECHO", call.environ["PATH_INFO"], key="x")]


def repeat(_: Call, replies: Any) -> Answer | None:
    """Answer with what Redis says, if it says something."""
    if isinstance(replies, ChannelError):
        return None
    return Answer(200, [], replies[0].value)


def bug(_: Call) -> None:
    """Raise."""
    message = "a bug"
    raise RuntimeError(message)


# The same answer


def oracle(call: Call) -> Answer | None:
    """Answer in each of the ways that stages have."""
    call.headers.append(("X-Stage", "was here"))
    path, environ = call.environ["PATH_INFO"], call.environ
    if path == "/staged/1":
        headers = [("ETag", '"v1"'), ("Content-Type", "application/json")]
        if environ.get("HTTP_IF_NONE_MATCH") == '"v1"':
            return Answer(304, headers[:1], b"")
        return Answer(200, headers, b'{"number": 1}')
    if path == "/staged/2":
        return Answer.error(429, "Too many.", [("Retry-After", "7")])
    if path == "/staged/3":
        headers = [("Content-Type", "text/html"), ("Content-Security-Policy", "default-src 'self'")]
        return Answer(599, headers, "ä€".encode())
    if path == "/staged/4":
        # Two headers of one name, and one that is no ASCII.
        return Answer(201, [("Link", "</a>"), ("Link", "</b>"), ("X-Name", "J\xfcrgen")], b"")
    return None


def visible(headers: Any) -> list[tuple[str, str]]:
    """Return the headers that two answers to one question share, whatever their order."""
    return sorted((name.lower(), value) for name, value in headers if name != "date")


@pytest.fixture(scope="module")
def oracles(make_shared_app: MakeApp) -> dict[bool, tuple[Flask, Script]]:
    """The app of the oracle with its stage, without and with a hook after requests."""
    found = {}
    for has_after_hooks in (False, True):
        script = Script(prepares=oracle)
        app = make_shared_app(plugins=[Plugin(script)], CORS_ORIGINS="https://app.example")
        if has_after_hooks:
            app.after_request(sign)
        found[has_after_hooks] = app, script
    return found


@pytest.mark.parametrize("has_after_hooks", [False, True], ids=["alone", "with after_request"])
@pytest.mark.parametrize("origin", [None, "https://app.example", "https://foreign.example"])
@pytest.mark.parametrize(
    "method,path,headers",
    [
        ("GET", "/staged/1", {}),
        ("HEAD", "/staged/1", {}),
        ("GET", "/staged/1", {"If-None-Match": '"v1"'}),
        ("HEAD", "/staged/1", {"If-None-Match": '"v1"'}),
        ("GET", "/staged/1", {"If-None-Match": '"v1"', "Accept-Encoding": "gzip"}),
        ("GET", "/staged/1", {"Accept-Encoding": "gzip, identity;q=0"}),
        ("HEAD", "/staged/1", {"Accept-Encoding": "gzip, identity;q=0"}),
        ("GET", "/staged/1", {"Authorization": "Bearer x"}),
        ("GET", "/staged/2", {}),
        ("HEAD", "/staged/2", {}),
        ("GET", "/staged/3", {}),
        ("GET", "/staged/4", {}),
        ("GET", "/staged/9", {}),
        ("HEAD", "/staged/9", {}),
        ("OPTIONS", "/staged/9", {}),
        ("DELETE", "/staged/9", {}),
        ("BREW", "/staged/9", {}),
        ("GET", "/staged/%31", {}),
        ("GET", "/nothing", {}),
    ],
)
async def test_an_answer_is_the_same_on_the_loop(
    oracles: dict[bool, tuple[Flask, Script]],
    serve: Serve,
    method: str,
    path: str,
    headers: dict[str, str],
    origin: str | None,
    *,
    has_after_hooks: bool,
):
    """Status, body and headers, those of CORS and of plugins included, are those of WSGI."""
    app, script = oracles[has_after_hooks]
    given = {"X-Request-ID": "same", **headers} | ({"Origin": origin} if origin else {})
    expected = await asyncio.to_thread(app.test_client().open, path, method=method, headers=given)
    script.prepared.clear()

    async with serve(app) as client:
        actual = await client.ask(path, method, given)
    expected_body = (
        json.loads(expected.data) if path == "/staged/9" and expected.data else expected.data
    )
    actual_body = json.loads(actual.body) if path == "/staged/9" and actual.body else actual.body
    assert (expected.status_code, expected_body) == (actual.status, actual_body)
    assert visible(expected.headers) == visible(actual.headers)
    assert "was here" == actual.header("X-Stage")
    assert (origin if origin == "https://app.example" else None) == actual.header(
        "Access-Control-Allow-Origin"
    )
    assert "Origin" == actual.header("Vary").partition(", ")[0]
    assert (str(actual.status) if has_after_hooks else None) == actual.header("X-Signed")
    # The length of a compressed body is not known without making it.
    has_no_length = actual.status == 304 or (method == "HEAD" and "Accept-Encoding" in headers)
    assert has_no_length is (actual.header("Content-Length") is None)
    # Only what is not known by that name to the loop is left to a thread.
    assert [THREAD if method == "BREW" else LOOP] == script.prepared


@pytest.mark.parametrize(
    "method,path,headers,status",
    [
        ("OPTIONS", "/staged/1", {"Access-Control-Request-Method": "PUT"}, 200),
        ("OPTIONS", "/nothing", {"Access-Control-Request-Method": "PUT"}, 200),
        ("GET", "/staged/1", {"Accept-Encoding": "*;q=0"}, 406),
        ("HEAD", "/staged/1", {"Accept-Encoding": "*;q=0"}, 406),
    ],
)
async def test_an_answer_before_routing_is_the_same_on_the_loop(
    oracles: dict[bool, tuple[Flask, Script]],
    serve: Serve,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
):
    """And no stage is run for it."""
    app, script = oracles[False]
    given = {"X-Request-ID": "same", "Origin": "https://app.example", **headers}
    expected = await asyncio.to_thread(app.test_client().open, path, method=method, headers=given)
    script.prepared.clear()
    async with serve(app) as client:
        actual = await client.ask(path, method, given)
    assert (status, expected.data) == (actual.status, actual.body)
    assert visible(expected.headers) == visible(actual.headers)
    assert [] == script.prepared


async def test_a_long_answer_of_the_loop_is_compressed(make_app: MakeApp, serve: Serve):
    """On a thread, as it takes a while."""
    body = b"a text " * 100_000
    app = make_app(plugins=[Plugin(Script(prepares=answering(body)))])
    async with serve(app) as client:
        await client.ask("/staged/1")
        answer = await client.ask("/staged/1", headers={"Accept-Encoding": "gzip"})
    assert body == gzip.decompress(answer.body)
    assert str(len(answer.body)) == answer.header("Content-Length")


def sign(response: flask.Response) -> flask.Response:
    """Be an `after_request` function of a plugin."""
    response.headers["X-Signed"] = str(response.status_code)
    return response


async def test_an_after_request_function_sees_an_answer_of_the_loop(
    make_app: MakeApp, serve: Serve
):
    """On a thread, as it may have to wait; the stage is not run a second time."""
    script = Script(prepares=answering(b"stage"))
    app = make_app(plugins=[Plugin(script)])
    places: list[str] = []

    @app.after_request
    def note(response: flask.Response) -> flask.Response:
        places.append(place())
        return sign(response)

    async with serve(app) as client:
        await client.ask("/staged/1")
        answer = await client.ask("/staged/1")
    assert (b"stage", "200") == (answer.body, answer.header("X-Signed"))
    assert ([THREAD, LOOP], [THREAD, THREAD]) == (script.prepared, places)


# Where stages are run


@pytest.mark.parametrize(
    "scripts,expected",
    [
        ([Script()], LOOP),
        ([Script(), Script("two", 2)], LOOP),
        ([Script(kind=Bound)], THREAD),
        ([Script(non_blocking=lambda: False)], THREAD),
        ([Script(), Script("two", 2, kind=Bound)], THREAD),
        ([Script(), Script("two", 2, non_blocking=lambda: False)], THREAD),
        ([Script("two", 2), Script(non_blocking=lambda: False)], THREAD),
    ],
    ids=["non-blocking", "both", "unaware", "waits", "one unaware", "later waits", "earlier waits"],
)
async def test_only_stages_that_never_wait_are_run_on_the_loop(
    make_app: MakeApp, serve: Serve, scripts: list[Script], expected: str
):
    """All of a request's, or none; each once, whether a stage or Flask answers."""
    scripts = [
        Script(one.name, one.order, non_blocking=one.non_blocking, kind=one.kind) for one in scripts
    ]
    app = make_app(plugins=[Plugin(*scripts)])
    app.test_client().get("/staged/1")
    for script in scripts:
        script.prepared.clear()

    async with serve(app) as client:
        answers = [await client.ask("/staged/1") for _ in range(3)]
    for answer in answers:
        assert {"number": 1, "place": THREAD} == json.loads(answer.body)
    assert [[expected] * 3] * len(scripts) == [script.prepared for script in scripts]


async def test_a_stage_is_asked_whether_it_is_non_blocking_at_each_request(
    make_app: MakeApp, serve: Serve
):
    """It may have to wait now and then."""
    non_blocking = iter([True, False, True])
    script = Script(non_blocking=lambda: next(non_blocking))
    app = make_app(plugins=[Plugin(script)])
    app.test_client().get("/staged/1")
    script.prepared.clear()

    async with serve(app) as client:
        for _ in range(3):
            await client.ask("/staged/1")
    assert [LOOP, THREAD, LOOP] == script.prepared


async def test_a_stage_is_bound_on_a_thread(make_app: MakeApp, serve: Serve):
    """It may read a table; from the second request of a route on, the loop asks it."""
    script = Script()
    app = make_app(plugins=[Plugin(script)])

    async with serve(app) as client:
        for path in ("/staged/1", "/staged/2", "/nothing", "/nothing/else", "/staged/2"):
            await client.ask(path)
    assert [THREAD] * 2 == script.bound
    assert [THREAD, LOOP, THREAD, LOOP, LOOP] == script.prepared


class Fetched(BaseConverter):
    """A converter of a plugin, which may wait for a database."""

    places: list[str]

    def to_python(self, value: str) -> str:
        """Convert."""
        self.places.append(place())
        return value


async def test_a_converter_of_a_plugin_is_never_run_on_the_loop(make_app: MakeApp, serve: Serve):
    """Where one takes part in the search for a route, a thread searches."""
    script = Script()
    app = make_app(plugins=[Plugin(script)])
    Fetched.places = []
    app.url_map.converters["fetched"] = Fetched

    @app.get("/fetched/<fetched:value>")
    def fetched(value: str) -> str:
        return value

    async with serve(app) as client:
        paths = ("/fetched/a", "/fetched/a", "/fetched/b", "/staged/1", "/staged/1", "/staged/2")
        bodies = [(await client.ask(path)).body for path in paths]
    assert [b"a", b"a", b"b"] == bodies[:3]
    assert {THREAD} == set(Fetched.places)
    # The path that no converter of a plugin was asked about is remembered.
    assert [THREAD] * 4 + [LOOP, THREAD] == script.prepared


class Gate(Plugin):
    """A plugin that lets only those in who know the word, by middleware."""

    name = "gate"

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Add the middleware."""
        keep_out(app)


def keep_out(app: Flask) -> None:
    """Add middleware that lets in who knows the word."""
    inner = app.wsgi_app

    def middleware(environ: Any, start_response: Any) -> Any:
        if environ.get("HTTP_X_WORD") == "please":
            return inner(environ, start_response)
        start_response("403 Forbidden", [("Content-Length", "0")])
        return []

    app.wsgi_app = middleware  # type: ignore[method-assign]  # Flask's way to add it


@pytest.mark.parametrize("by", ["a plugin", "an operator"])
async def test_middleware_is_passed_before_any_stage(make_app: MakeApp, serve: Serve, by: str):
    """It may refuse what a stage would answer; and then no stage has seen the request."""
    script = Script(prepares=answering(b"stage"))
    app = make_app(plugins=[Gate(script) if by == "a plugin" else Plugin(script)])
    if by == "an operator":
        keep_out(app)

    async with serve(app) as client:
        word = {"X-Word": "please"}
        answers = [
            await client.ask("/staged/1", headers=headers) for headers in (word, {}, word, {})
        ]
    assert [(200, b"stage"), (403, b"")] * 2 == [(one.status, one.body) for one in answers]
    assert [THREAD] * 2 == script.prepared


async def test_a_channel_without_pipelines_is_asked_on_threads(
    make_app: MakeApp, serve: Serve, redis_url: str, monkeypatch: pytest.MonkeyPatch
):
    """As with a cluster, or with TLS."""
    script = Script(prepares=echo, completes=repeat)
    app = make_app(plugins=[Plugin(script)], REDIS_URL=redis_url, REDIS_TIMEOUT=5.0)
    channel = get_channel(app)
    monkeypatch.setattr(type(channel), "pipeline", lambda *_: None)

    async with serve(app) as client:
        answers = [await client.ask("/staged/1") for _ in range(2)]
    assert [b"/staged/1"] * 2 == [answer.body for answer in answers]
    assert [THREAD] * 2 == script.prepared


async def test_other_protocols_are_refused(make_app: MakeApp, serve: Serve):
    """Nobody takes a websocket for served."""
    async with serve(make_app()) as client:
        with pytest.raises(NotImplementedError, match="websocket"):
            await client.visit("/", type="websocket").answer()


# Errors


class Lines(logging.Handler):
    """Log records of the gateway and of the envelope, with the ids that they had when made."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(RequestFilter())
        self.found: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.found.append((record.__dict__["request_id"], record.getMessage()))

    def of(self, text: str) -> list[str]:
        """Return the ids of the lines that have a text."""
        return [identifier for identifier, message in self.found if text in message]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged, by request id."""
    handler = Lines()
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


@contextmanager
def at_level(level: str) -> Iterator[None]:
    """Have the envelope log from that level on."""
    before = envelope_logger.level
    envelope_logger.setLevel(level)
    try:
        yield
    finally:
        envelope_logger.setLevel(before)


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://app.example"}], ids=["plain", "CORS"])
@pytest.mark.parametrize("fails", ["ask", "hear"])
async def test_a_stage_that_raises_is_one_error(
    make_app: MakeApp,
    serve: Serve,
    redis_url: str,
    lines: Lines,
    fails: str,
    origin: dict[str, str],
):
    """500 in the one format, with the id of the log; the view never runs; the next is fine."""
    script = Script("late", 2, prepares=echo)
    early = Script("early", prepares=lambda call: call.headers.append(("X-Early", "yes")))
    app = make_app(
        plugins=[Plugin(early, script)],
        TESTING=False,
        SECRET_KEY="k",
        REDIS_URL=redis_url,
        REDIS_TIMEOUT=5.0,
        CORS_ORIGINS="https://app.example",
    )

    async with serve(app) as client:
        await client.ask("/staged/1")
        if fails == "ask":
            script.prepares = bug
        else:
            script.completes = lambda call, _: bug(call)
        failed = await client.ask("/staged/1", headers=origin)
        script.prepares, script.completes = echo, lambda *_: None
        fine = await client.ask("/staged/1", headers=origin)
    identifier = failed.header("X-Request-ID")
    message = f"Internal server error, request id {identifier}."
    assert (500, {"message": message, "status": 500}) == (failed.status, json.loads(failed.body))
    assert "application/json" == failed.header("Content-Type")
    assert [identifier] == lines.of("the stage late has failed: a bug")
    assert ("yes", "Origin, Accept-Encoding") == (failed.header("X-Early"), failed.header("Vary"))
    assert origin.get("Origin") == failed.header("Access-Control-Allow-Origin")
    assert 200 == fine.status
    assert [THREAD, LOOP, LOOP] == script.prepared


async def test_a_header_of_a_stage_that_cannot_be_sent_is_an_error(make_app: MakeApp, serve: Serve):
    """HTTP has latin-1 alone."""
    bad = Answer(200, [("X-Name", "\u0416")], b"")
    app = make_app(plugins=[Plugin(Script(prepares=lambda _: bad))])

    async with serve(app) as client:
        await client.ask("/staged/1")
        answer = await client.ask("/staged/1")
    assert 500 == answer.status
    assert answer.header("X-Request-ID") in json.loads(answer.body)["message"]


async def test_a_stage_that_cannot_say_whether_it_is_non_blocking_is_not(
    make_app: MakeApp, serve: Serve, lines: Lines
):
    """A thread asks it, and the error is in the log."""
    script = Script()
    app = make_app(plugins=[Plugin(script)], TESTING=False, SECRET_KEY="k")

    async with serve(app) as client:
        await client.ask("/staged/1")
        script.non_blocking = lambda: bool(1 / 0)
        answer = await client.ask("/staged/1")
    assert 200 == answer.status
    assert [THREAD] * 2 == script.prepared
    assert [answer.header("X-Request-ID")] == lines.of(
        "the stage one cannot say whether it would wait"
    )


async def test_without_redis_a_stage_is_told_why(make_app: MakeApp, serve: Serve):
    """It gets the error on the loop, too, and decides."""
    script = Script(prepares=echo, completes=repeat)
    app = make_app(plugins=[Plugin(script)])

    async with serve(app) as client:
        answers = [await client.ask("/staged/1") for _ in range(2)]
    assert [200] * 2 == [answer.status for answer in answers]
    assert [THREAD, LOOP] == script.prepared
    assert [ChannelError] * 2 == [type(replies) for replies in script.received]


async def test_a_stage_is_told_that_redis_is_lost(
    make_app: MakeApp, serve: Serve, redis_proxy: RedisProxy
):
    """The stage of the request under way gets the error, and is served."""
    script = Script(prepares=echo, completes=repeat)
    app = make_app(plugins=[Plugin(script)], REDIS_URL=redis_proxy.url, REDIS_TIMEOUT=5.0)
    async with serve(app) as client:
        for _ in range(2):
            assert b"/staged/1" == (await client.ask("/staged/1")).body
        with redis_proxy.refusing():
            answer = await client.ask("/staged/1")
    assert {"number": 1, "place": THREAD} == json.loads(answer.body)
    assert isinstance(script.received[-1], ChannelError)
    assert LOOP == script.prepared[-1]


# Headers of stages, ids of requests, and the many at once


@pytest.mark.parametrize(
    "method,path,status",
    [
        ("GET", "/staged/1", 200),
        ("PUT", "/staged/1", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/staged/2", 408),
    ],
)
async def test_headers_of_a_stage_are_on_every_answer(
    make_app: MakeApp, serve: Serve, method: str, path: str, status: int
):
    """Flask's and the server's own included, and once."""
    script = Script(prepares=lambda call: call.headers.append(("X-Stage", place())))
    app = make_app(plugins=[Plugin(script)], BODY_TIMEOUT=0.1)
    app.test_client().open(path, method=method)
    async with serve(app) as client:
        if status == 408:
            answer = await client.visit(path, method, {"Content-Length": "9"}).answer()
        else:
            answer = await client.ask(path, method, {"Content-Length": "2"}, body=b"{}")
    assert (status, LOOP) == (answer.status, answer.header("X-Stage"))


async def test_a_request_id_is_on_the_answer_and_on_every_line(
    make_app: MakeApp, serve: Serve, lines: Lines, redis_proxy: RedisProxy
):
    """Of the loop and of the thread; and two requests at once do not mix theirs up."""
    logger = logging.getLogger("pegboard.test")

    def prepare(call: Call) -> list[Command]:
        logger.warning("prepares for %s at %s", call.environ["HTTP_X_REQUEST_ID"], place())
        return echo(call)

    def complete(call: Call, _: Any) -> Answer | None:
        logger.warning("completes for %s at %s", call.environ["HTTP_X_REQUEST_ID"], place())
        return answering(b"stage")() if call.environ["PATH_INFO"] == "/staged/1" else None

    app = make_app(
        plugins=[Plugin(Script(prepares=prepare, completes=complete))],
        REDIS_URL=redis_proxy.url,
        REDIS_TIMEOUT=5.0,
        LOG_LEVEL="INFO",
    )

    @app.get("/viewed")
    def viewed() -> str:
        logger.warning("views for %s at %s", flask.request.headers["X-Request-ID"], place())
        return "viewed"

    with at_level("INFO"):
        async with serve(app) as client:
            for path in ("/staged/1", "/viewed"):
                await client.ask(path, headers={"X-Request-ID": "before"})
            await client.ask("/staged/1", headers={"X-Request-ID": "before"})
            lines.found.clear()
            with redis_proxy.hold_replies("ECHO") as hold:
                visits = [
                    client.visit(path, headers={"X-Request-ID": name})
                    for path, name in (
                        ("/staged/1", "red"),
                        ("/viewed", "blue"),
                        ("/staged/1", "green"),
                    )
                ]
                await asyncio.to_thread(hold.wait)
                assert 3 == len(lines.of("prepares for"))
            answers = [(await visit.answer()).header("X-Request-ID") for visit in visits]
        assert ["red", "blue", "green"] == answers
    for name in ("red", "blue", "green"):
        assert [name] == lines.of(f"prepares for {name} at {LOOP}")
        assert [name] == lines.of(f"completes for {name} at {LOOP}")
    assert ["blue"] == lines.of(f"views for blue at {THREAD}")
    assert ["green", "red"] == sorted(lines.of("GET /staged/1 200"))
    assert ["blue"] == lines.of("GET /viewed 200")


async def test_each_of_many_requests_at_once_gets_its_own_reply(
    make_app: MakeApp, serve: Serve, redis_url: str
):
    """Answered by the loop, and by threads which one stage lets them go on to."""

    def complete(call: Call, replies: Any) -> Answer | None:
        call.headers.append(("X-Reply", replies[0].value.decode()))
        return repeat(call, replies) if int(call.environ["PATH_INFO"][8:]) % 2 else None

    script = Script(prepares=echo, completes=complete)
    app = make_app(plugins=[Plugin(script)], REDIS_URL=redis_url, REDIS_TIMEOUT=5.0)

    async with serve(app) as client:
        await client.ask("/staged/0")
        script.prepared.clear()
        paths = [f"/staged/{number}" for number in range(50)]
        answers = await asyncio.gather(*map(client.ask, paths))
    for number, answer in enumerate(answers):
        path = f"/staged/{number}"
        assert path == answer.header("X-Reply")
        expected = path if number % 2 else {"number": number, "place": THREAD}
        assert expected == (answer.body.decode() if number % 2 else json.loads(answer.body))
    assert [LOOP] * 50 == script.prepared


@pytest.mark.parametrize(
    "wrong",
    [echo, "ECHO", [Command(b"x", "ECHO")]],  # type: ignore[arg-type]  # it is wrong
    ids=["one command", "text", "a command that is not packed"],
)
async def test_a_stage_that_asks_what_is_no_list_of_commands_fails_alone(
    make_app: MakeApp, serve: Serve, redis_url: str, wrong: Any
):
    """Nobody else is given replies that are not their own."""

    def prepare(call: Call) -> Any:
        if call.environ["PATH_INFO"] != "/staged/0":
            return echo(call)
        return echo(call)[0] if callable(wrong) else wrong

    script = Script(prepares=prepare, completes=repeat)
    app = make_app(plugins=[Plugin(script)], REDIS_URL=redis_url, REDIS_TIMEOUT=5.0, TESTING=False)

    async with serve(app) as client:
        await client.ask("/staged/1")
        answers = await asyncio.gather(
            *(client.ask(f"/staged/{number % 3}") for number in range(30))
        )
    for number, answer in enumerate(answers):
        if number % 3:
            assert f"/staged/{number % 3}".encode() == answer.body
        else:
            assert 500 == answer.status


def exit_now(_: Call) -> None:
    """Be a stage that would end the process."""
    raise SystemExit(3)


@pytest.mark.parametrize(
    "prepares",
    [
        exit_now,
        lambda _: Answer(200, [], "text"),  # type: ignore[arg-type]  # it is wrong
        lambda _: Answer(99, [], b""),
        lambda _: Answer(200, [("X", "a\r\nb")], b""),
        lambda _: Answer(200, [("Content-Length", "0")], b""),
        lambda _: Answer(304, [], b"text"),
        lambda _: Answer(200, [("X", 5)], b""),  # type: ignore[list-item]
        lambda _: Answer(200, None, b""),  # type: ignore[arg-type]
        lambda call: call.headers.append(("X", 5)),
    ],
    ids=[
        *("exits", "text for bytes", "no status", "two lines", "length"),
        *("a body of none", "number", "no headers", "a hint"),
    ],
)
async def test_an_answer_that_cannot_be_sent_is_an_error(
    make_app: MakeApp, serve: Serve, prepares: Any
):
    """In the one format, and not one of the server's own."""
    app = make_app(plugins=[Plugin(Script(prepares=prepares))], TESTING=False)

    async with serve(app) as client:
        await client.ask("/health")  # binds
        await client.ask("/staged/1")
        answer = await client.ask("/staged/1")
    assert (500, 500) == (answer.status, json.loads(answer.body)["status"])


async def test_commands_that_can_be_read_once_are_refused(
    make_app: MakeApp, serve: Serve, lines: Lines
):
    """Their author is told so, and no later stage is called."""
    script = Script(prepares=lambda _: (command("PING", key="") for _ in range(2)))
    behind = Script("behind", 2)
    app = make_app(plugins=[Plugin(script, behind)], TESTING=False)

    async with serve(app) as client:
        await client.ask("/staged/1")
        answer = await client.ask("/staged/1")
    assert 500 == answer.status
    assert [] == behind.prepared
    assert lines.of("is asked of Redis, not a list of commands")


@pytest.mark.parametrize("non_blocking", [True, False])
async def test_a_request_passes_its_stages_before_its_body_arrives(
    make_app: MakeApp, serve: Serve, *, non_blocking: bool
):
    """Else what never arrives would not be counted."""
    script = Script(prepares=answering(b"no", 429), non_blocking=lambda: non_blocking)
    app = make_app(plugins=[Plugin(script)], TESTING=False)

    async with serve(app) as client:
        answers = [
            await client.visit("/staged/1", "PUT", {"Content-Length": "4"}).answer()
            for _ in range(3)
        ]
    assert [429] * 3 == [answer.status for answer in answers]


async def test_what_matches_no_route_is_of_its_own_method(make_app: MakeApp, serve: Serve):
    """A refusal has a body for GET, whatever was asked first."""
    script = Script(prepares=answering(b"no", 429))
    app = make_app(plugins=[Plugin(script)], TESTING=False)

    async with serve(app) as client:
        methods = ["HEAD", "GET", "POST", "GET"]
        answers = [(await client.ask("/nowhere", method)).body for method in methods]
    assert [b"", b"no", b"no", b"no"] == answers
    client = app.test_client()
    assert [b"", b"no"] == [client.head("/nowhere").data, client.get("/nowhere").data]


async def test_no_body_is_waited_for_that_is_not_read(make_app: MakeApp, serve: Serve):
    """An error of the route, or a method whose body means nothing, is answered at once."""
    app = make_app(plugins=[Plugin(Script())], TESTING=False)

    async with serve(app) as client:
        length = {"Content-Length": "4"}
        wanted = (("/nowhere", "POST"), ("/staged/1", "PATCH"), ("/health", "GET"))
        answers = [await client.visit(*what, length).answer() for what in wanted]
    assert [404, 405, 200] == [answer.status for answer in answers]


async def test_whether_the_process_is_alive_is_told_while_all_threads_are_busy(
    make_app: MakeApp, serve: Serve
):
    """A process that is busy need not be started anew."""
    app = make_app(plugins=[Plugin()], TESTING=False)
    go_on = threading.Event()

    @app.get("/slow")
    def slow() -> str:
        go_on.wait(10)
        return "done"

    async with serve(app, threads=1) as client:
        visit = client.visit("/slow")
        alive = await client.ask("/health")
        empty = await client.ask("/health", headers={"Content-Length": "0"})
        go_on.set()
        answers = alive.status, empty.status, (await visit.answer()).status
    assert (200, 200, 200) == answers


async def test_all_lines_of_a_request_have_one_trace(make_app: MakeApp, serve: Serve):
    """Whether the loop or a thread logs."""
    traces: list[str] = []

    def note(_: Call) -> None:
        traces.append(trace_id.get())

    app = make_app(plugins=[Plugin(Script(prepares=note))], TESTING=False)

    @app.get("/traced")
    def traced() -> str:
        traces.append(trace_id.get())
        return "done"

    async with serve(app) as client:
        await client.ask("/traced")
        traces.clear()
        answer = await client.ask("/traced")
    assert 200 == answer.status
    assert 2 == len(traces)
    assert 32 == len(traces[0])
    assert traces[0] == traces[1]


@pytest.mark.slow
async def test_an_answer_of_the_loop_leaves_no_garbage(
    make_app: MakeApp, serve: Serve, redis_url: str
):
    """Which the collector would have to look for, and every request would wait for it."""
    script = Script(prepares=echo, completes=repeat)
    app = make_app(plugins=[Plugin(script)], REDIS_URL=redis_url)
    async with serve(app) as client:
        for _ in range(2):
            assert 200 == (await client.ask("/staged/1")).status
        gc.collect()
        gc.disable()
        gc.freeze()
        try:
            for _ in range(500):
                await client.ask("/staged/1")
            garbage = gc.collect()
        finally:
            gc.enable()
    assert garbage < 500
    assert LOOP == script.prepared[-1]


async def test_while_all_threads_are_busy_the_loop_answers(make_app: MakeApp, serve: Serve):
    """What a stage knows does not wait for views; what needs a view waits for its turn."""
    script = Script(
        prepares=lambda call: (
            answering(b"stage")() if call.environ["PATH_INFO"] == "/staged/1" else None
        )
    )
    app = make_app(plugins=[Plugin(script)])
    begun, go_on = threading.Semaphore(0), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        begun.release()
        go_on.wait()
        return "slow"

    async with serve(app, threads=2) as client:
        await client.ask("/staged/1")
        visits = [client.visit("/slow") for _ in range(3)]
        try:
            for _ in range(2):
                await asyncio.to_thread(begun.acquire)
            assert b"stage" == (await client.ask("/staged/1")).body
            assert not begun.acquire(blocking=False)
        finally:
            go_on.set()
        answers = [(await visit.answer()).body for visit in visits]
    assert [b"slow"] * 3 == answers


THREADS = 2


class SlowFastPath:
    """A fast path that answers when it may."""

    def __init__(self) -> None:
        self.is_open, self.is_full = asyncio.Event(), asyncio.Event()
        self.entered: list[str] = []
        self.under_way = 0
        self.most = 0

    async def answer(self, call: Call, _waiting: Any) -> Answer | None:
        """Answer with the query of the request."""
        query = call.environ["QUERY_STRING"]
        if query:
            self.entered.append(query)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            if self.under_way == THREADS:
                self.is_full.set()
            await self.is_open.wait()
            self.under_way -= 1
        return Answer(200, [], query.encode())


async def test_as_many_fast_paths_are_under_way_as_there_are_threads(
    make_app: MakeApp, serve: Serve
):
    """Others wait, in their order, and so hold nothing that would slow down those under way."""
    path = SlowFastPath()
    app = make_app(plugins=[Plugin(Script())], THREADS=THREADS)

    @app.get("/fast")
    def fast() -> str:
        return "slow"

    set_fast_path(fast, lambda _app, _route: path)
    async with serve(app) as client:
        await client.ask("/fast")
        visits = [client.visit(f"/fast?{number}") for number in range(6)]
        await path.is_full.wait()
        visits[3].task.cancel()
        path.is_open.set()
        answers = [(await visit.answer()).body for visit in visits if visit is not visits[3]]
    assert [b"0", b"1", b"2", b"4", b"5"] == answers
    assert ["0", "1", "2", "4", "5"] == path.entered
    assert path.most == THREADS


async def test_a_fast_path_waits_for_another_request_without_a_thread(
    make_app: MakeApp, serve: Serve
):
    """All threads may wait for the same request, which needs one."""
    done: Future[None] = Future()
    begun, go_on = threading.Semaphore(0), threading.Event()
    app = make_app(plugins=[Plugin(Script())])

    class Following:
        async def answer(self, _call: Call, waiting: Any) -> Answer | None:
            await waiting.wait(Future(), 0.01)
            await waiting.wait(done, 60)
            return answering(b"done")() if done.done() else None

    @app.get("/slow")
    def slow() -> str:
        begun.release()
        go_on.wait()
        return "slow"

    @app.get("/fast")
    def fast() -> str:
        return "slow"

    done.set_result(None)
    set_fast_path(fast, lambda _app, _route: Following())
    async with serve(app, threads=2) as client:
        assert b"done" == (await client.ask("/fast")).body
        done = Future()
        slow_visits = [client.visit("/slow") for _ in range(2)]
        try:
            for _ in range(2):
                await asyncio.to_thread(begun.acquire)
            visits = [client.visit("/fast") for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.to_thread(done.set_result, None)
            async with asyncio.timeout(WAIT_TIMEOUT):
                assert [b"done"] * 3 == [(await visit.answer()).body for visit in visits]
        finally:
            go_on.set()
        for visit in slow_visits:
            await visit.answer()


# The stop


async def test_while_it_drains_answers_end_their_connections(make_app: MakeApp, serve: Serve):
    """Those of the loop and of threads, whole and in parts; none did before."""
    script = Script(
        prepares=lambda call: (
            answering(b"stage")() if call.environ["PATH_INFO"] == "/staged/1" else None
        )
    )
    app = make_app(plugins=[Plugin(script)])

    @app.get("/parts")
    def parts() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    async with serve(app) as client:
        paths = ("/staged/1", "/staged/2", "/parts", "/nothing")
        before = [await client.ask(path) for path in paths]
        client.gateway.is_draining = True
        after = [await client.ask(path) for path in paths]
    assert [None] * 4 == [answer.header("Connection") for answer in before]
    assert ["close"] * 4 == [answer.header("Connection") for answer in after]
    assert [(one.status, one.body) for one in before] == [(one.status, one.body) for one in after]
    assert [LOOP] * 4 == script.prepared[4:]


@pytest.mark.parametrize(
    "method,path,hosts,expected",
    [
        ("GET", "/health", [""], 400),  # Granian's, when there is none
        ("GET", "/health", ["a", "b"], 400),
        ("GET", "/health", ["a", "a"], 400),
        ("GET", "/health", ["", "a"], 400),
        ("GET", "/health", ["a b"], 400),
        ("get", "/health", ["a"], 501),
        ("OPTIONS", "*", ["a"], 204),
        ("GET", "/health", ["a"], 200),
    ],
)
async def test_what_no_view_may_see_is_answered_on_the_loop(
    make_app: MakeApp, serve: Serve, method: str, path: str, hosts: list[str], expected: int
):
    """No `Host` or several, a method in small letters, `OPTIONS *`."""
    script = Script()
    app = make_app(plugins=[Plugin(script)])
    async with serve(app) as client:
        answered = await client.ask(path, method, [("Host", host) for host in hosts])
    assert expected == answered.status
    assert answered.header("X-Request-ID")
    if expected in {400, 501}:
        assert expected == json.loads(answered.body)["status"]
    assert [] == script.prepared

"""Bodies of requests: received on the event loop, within bounds, before a thread is taken."""

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import flask
import pytest
from flask import Flask

from pegboard.server.requests import body as inlet
from pegboard.testing.fixtures import MakeApp

Serve = Callable[..., Any]
LIMIT = 1000
CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.fixture
def seen() -> list[bytes]:
    """The bodies that the view has read."""
    return []


@pytest.fixture
def body_timeout() -> float:
    """For how many seconds a body may stall."""
    return 0.1


@pytest.fixture
def app(make_app: MakeApp, seen: list[bytes], body_timeout: float) -> Flask:
    """An app that reads bodies of at most 1000 bytes; one view reads more."""
    app = make_app(
        MAX_CONTENT_LENGTH=LIMIT, BODY_TIMEOUT=body_timeout, TESTING=False, SECRET_KEY="k"
    )

    @app.post("/read")
    def read() -> str:
        seen.append(flask.request.get_data())
        return str(len(seen[-1]))

    @app.post("/large")
    def large() -> str:
        flask.request.max_content_length = 100 * LIMIT
        return read()

    @app.post("/blind")
    def blind() -> str:
        seen.append(b"not read")
        return "blind"

    @app.post("/copy")
    def copy() -> Iterator[bytes]:
        flask.request.max_content_length = 100 * LIMIT
        stream = flask.request.stream
        return iter(lambda: stream.read(10), b"")

    return app


def length(size: int) -> dict[str, str]:
    """Declare a length."""
    return {"Content-Length": str(size)}


@pytest.mark.parametrize("headers", [length(9), CHUNKED], ids=["declared", "chunked"])
@pytest.mark.parametrize(
    "parts",
    [[b"whole one"], [b"in ", b"par", b"ts."], [b"", b"with ", b"", b"none", b""]],
    ids=["whole", "parts", "empty parts"],
)
async def test_a_body_arrives_as_it_was_sent(
    app: Flask, serve: Serve, seen: list[bytes], headers: Mapping[str, str], parts: list[bytes]
):
    """However it is cut."""
    async with serve(app) as client:
        visit = client.visit("/read", "POST", headers)
        for part in parts[:-1]:
            visit.bring(part)
        answer = await visit.bring(parts[-1], more=False).answer()
    assert 200 == answer.status
    assert [b"".join(parts)] == seen


async def test_a_view_is_run_when_its_body_is_there(app: Flask, serve: Serve, seen: list[bytes]):
    """No thread waits for a slow client: the only one serves another meanwhile."""
    async with serve(app, threads=1) as client:
        slow = client.visit("/read", "POST", CHUNKED).bring(b"a")
        assert 200 == (await client.ask("/read", "POST", length(5), body=b"other")).status
        answer = await slow.bring(b"b", more=False).answer()
    assert 200 == answer.status
    assert [b"other", b"ab"] == seen


async def test_a_declared_body_over_the_limit_is_refused_without_being_received(
    app: Flask, serve: Serve, seen: list[bytes]
):
    """Not a byte of it is asked for; one of the limit is read."""
    async with serve(app) as client:
        visit = client.visit("/read", "POST", length(LIMIT + 1))
        refused = await visit.answer()
        assert 0 == visit.asked
        read = await client.ask("/read", "POST", length(LIMIT), body=b"x" * LIMIT)
    assert (413, 413) == (refused.status, json.loads(refused.body)["status"])
    assert (200, [b"x" * LIMIT]) == (read.status, seen)


async def test_a_chunked_body_over_the_limit_is_refused(
    app: Flask, serve: Serve, seen: list[bytes]
):
    """As soon as it is: the rest is not received; one of the limit is read."""
    async with serve(app) as client:
        visit = client.visit("/read", "POST", CHUNKED)
        for _ in range(100):
            visit.bring(b"x" * 100)
        refused = await visit.answer()
        assert 11 == visit.asked
        read = await client.ask("/read", "POST", CHUNKED, body=b"x" * LIMIT)
    assert (413, 413) == (refused.status, json.loads(refused.body)["status"])
    assert (200, [b"x" * LIMIT]) == (read.status, seen)


@pytest.mark.parametrize("headers", [length(20 * LIMIT), CHUNKED], ids=["declared", "chunked"])
async def test_a_view_that_raised_the_limit_reads_beyond_it(
    app: Flask, serve: Serve, seen: list[bytes], headers: Mapping[str, str]
):
    """What was received already, and what is still to come; in the view's thread."""
    body = bytes(range(250)) * 80

    async with serve(app) as client:
        visit = client.visit("/large", "POST", headers)
        for start in range(0, len(body), 333):
            visit.bring(body[start : start + 333], more=start + 333 < len(body))
        answer = await visit.answer()
    assert (200, b"20000") == (answer.status, answer.body)
    assert answer.header("X-Request-ID")
    assert [body] == seen


@pytest.mark.slow
async def test_a_view_that_answers_in_parts_reads_its_large_body_meanwhile(
    app: Flask, serve: Serve
):
    """Nobody else takes parts of it, as who watches for the client's end might."""
    body = bytes(range(250)) * 80

    async with serve(app) as client:
        visit = client.visit("/copy", "POST", length(len(body)))
        for start in range(0, len(body), 500):
            visit.bring(body[start : start + 500], more=start + 500 < len(body))
            await visit.next()
        answer = await visit.answer()
    assert (200, body) == (answer.status, answer.body)


@pytest.mark.parametrize("path", ["/read", "/blind"])
@pytest.mark.parametrize("headers", [length(9), CHUNKED], ids=["declared", "chunked"])
@pytest.mark.parametrize("parts", [[], [b"half"]])
async def test_who_goes_away_in_mid_body_has_asked_nothing(
    app: Flask,
    serve: Serve,
    seen: list[bytes],
    path: str,
    headers: Mapping[str, str],
    parts: list[bytes],
):
    """400, if the client still reads it; the view is never run, even if it would not read it."""
    async with serve(app) as client:
        visit = client.visit(path, "POST", headers)
        for part in parts:
            visit.bring(part)
        visit.leave()
        answer = await visit.answer()
    message = "The request's body ends too early."
    assert (400, {"message": message, "status": 400}) == (answer.status, json.loads(answer.body))
    assert answer.header("X-Request-ID")
    assert [] == seen


@pytest.mark.parametrize("size,status", [(9, 408), (LIMIT + 1, 408)], ids=["small", "large"])
async def test_a_body_that_stalls_is_given_up(
    app: Flask, serve: Serve, seen: list[bytes], size: int, status: int
):
    """408, and its connection ends; also when its view reads it."""
    async with serve(app) as client:
        answer = await client.visit("/large", "POST", length(size)).bring(b"half").answer()
    assert (status, status) == (answer.status, json.loads(answer.body)["status"])
    assert "close" == answer.header("Connection")
    assert [] == seen


@pytest.mark.parametrize("size", [9, LIMIT + 1], ids=["small", "large"])
async def test_a_body_that_is_given_up_is_forgotten_at_once(app: Flask, serve: Serve, size: int):
    """The server closes the connection only when nothing can ask for the body any more."""
    forgotten = asyncio.Event()
    set_forgotten = partial(asyncio.get_running_loop().call_soon_threadsafe, forgotten.set)
    async with serve(app) as client:
        visit = client.visit("/large", "POST", length(size)).bring(b"half")
        weakref.finalize(visit, set_forgotten)
        gc.disable()
        try:
            assert 408 == (await visit.answer()).status
            del visit
            async with asyncio.timeout(10):
                await forgotten.wait()
        finally:
            gc.enable()


@pytest.mark.parametrize("headers", [length(20 * LIMIT), CHUNKED], ids=["declared", "chunked"])
async def test_a_body_that_goes_away_from_its_view_is_cut(
    app: Flask, serve: Serve, seen: list[bytes], headers: Mapping[str, str]
):
    """400: what has arrived is not taken for the whole."""
    async with serve(app) as client:
        visit = client.visit("/large", "POST", headers).bring(b"x" * 5000)
        visit.leave()
        answer = await visit.answer()
    assert 400 == answer.status
    assert [] == seen


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process holds no more than two bodies."""
    monkeypatch.setattr(inlet, "MEMORY", 2 * LIMIT)


@pytest.mark.parametrize("body_timeout", [30.0])
@pytest.mark.usefixtures("little_memory")
async def test_the_slowest_of_more_bodies_than_a_process_holds_is_put_off(app: Flask, serve: Serve):
    """503 with Retry-After; the others are not disturbed, and afterwards there is room again."""
    async with serve(app) as client:
        for _ in range(2):
            held = []
            for _ in range(2):
                held.append(client.visit("/read", "POST", length(LIMIT)).bring(b"x" * (LIMIT - 1)))
                await held[-1].until_asked(2)
            small = await client.ask("/read", "POST", length(2), body=b"xx")
            young = await client.ask("/read", "POST", length(3), body=b"xxx")
            refused = await held[0].answer()
            served = await held[1].bring(b"x", more=False).answer()
            assert [200] * 3 == [answer.status for answer in (small, young, served)]
            assert (503, 503) == (refused.status, json.loads(refused.body)["status"])
            assert ("1", "close") == (refused.header("Retry-After"), refused.header("Connection"))


async def whole(client: Any) -> None:
    """Send a body that is read."""
    assert 200 == (await client.ask("/read", "POST", length(LIMIT), body=b"x" * LIMIT)).status


async def gone(client: Any) -> None:
    """Go away in mid-body."""
    visit = client.visit("/read", "POST", length(LIMIT)).bring(b"x" * (LIMIT - 1))
    visit.leave()
    assert 400 == (await visit.answer()).status


async def stalled(client: Any) -> None:
    """Stall in mid-body."""
    visit = client.visit("/read", "POST", length(LIMIT)).bring(b"x" * (LIMIT - 1))
    assert 408 == (await visit.answer()).status


async def too_large(client: Any) -> None:
    """Send more than is read."""
    visit = client.visit("/read", "POST", CHUNKED).bring(b"x" * LIMIT).bring(b"x" * 900)
    assert 413 == (await visit.answer()).status


async def refused(client: Any) -> None:
    """Send more than a process holds."""
    visit = client.visit("/read", "POST", CHUNKED).bring(b"x").bring(b"x" * 2 * LIMIT)
    assert 503 == (await visit.answer()).status


async def unknown(client: Any) -> None:
    """Send to nowhere."""
    assert 404 == (await client.ask("/no", "POST", length(LIMIT), body=b"x" * LIMIT)).status


async def failing(client: Any) -> None:
    """Send to a view that fails."""
    assert 500 == (await client.ask("/fail", "POST", length(LIMIT), body=b"x" * LIMIT)).status


async def cancelled(client: Any) -> None:
    """Be given up by the server."""
    visit = client.visit("/read", "POST", length(LIMIT)).bring(b"x" * (LIMIT - 1))
    await visit.until_asked(2)
    visit.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit.task


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    "fate", [whole, gone, stalled, too_large, refused, unknown, failing, cancelled]
)
async def test_nothing_of_a_body_is_held_when_its_request_is_over(
    app: Flask, serve: Serve, fate: Any
):
    """However it ends: all the memory is there for the next ones, and no more than that."""

    @app.post("/fail")
    def fail() -> str:
        raise SystemExit

    async with serve(app) as client:
        for _ in range(3):
            await fate(client)
        held = []
        for _ in range(2):
            held.append(client.visit("/read", "POST", length(LIMIT)).bring(b"x" * (LIMIT - 1)))
            await held[-1].until_asked(2)
        young = [
            (await client.ask("/read", "POST", length(size), body=b"x" * size)).status
            for size in (2, 3)
        ]
        slowest = (await held[0].answer()).status
        answers = [*young, slowest, (await held[1].bring(b"x", more=False).answer()).status]
    assert [200, 200, 503, 200] == answers


@pytest.mark.usefixtures("little_memory")
async def test_a_body_is_held_while_its_view_runs(app: Flask, serve: Serve):
    """Its thread has it in memory."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    @app.post("/slow")
    def slow() -> str:
        begun.release()
        go_on.wait()
        return "slow"

    async with serve(app) as client:
        visits = [
            client.visit("/slow", "POST", length(LIMIT)).bring(b"x" * LIMIT, more=False)
            for _ in range(2)
        ]
        try:
            for _ in visits:
                await asyncio.to_thread(begun.acquire)
            refused = await client.ask("/read", "POST", length(1), body=b"x")
            without = await client.ask("/read", "POST")
        finally:
            go_on.set()
        served = [await visit.answer() for visit in visits]
        after = await client.ask("/read", "POST", length(1), body=b"x")
        answers = [answer.status for answer in (refused, without, *served, after)]
    assert [503, 200, 200, 200, 200] == answers

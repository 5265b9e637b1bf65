"""A WSGI app on threads: answers whole and in parts, and whatever may happen to them."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask

from pegboard.logs import RequestFilter
from pegboard.testing.fixtures import MakeApp

Serve = Callable[..., Any]
WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app in which errors are answered."""
    return make_app(TESTING=False, SECRET_KEY="k")


def mount(app: Flask, view: WSGI) -> None:
    """Serve `/raw` by a WSGI app."""
    inner = app.wsgi_app

    def middleware(environ: Any, start_response: Any) -> Any:
        return (view if environ["PATH_INFO"] == "/raw" else inner)(environ, start_response)

    app.wsgi_app = middleware  # type: ignore[method-assign]  # Flask's way to add it


class Parts:
    """An iterable that gives its parts when told to, and remembers what was done to it."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = iter(parts)
        self.turns = threading.Semaphore(0)
        self.given = 0
        self.closed = threading.Semaphore(0)

    def __iter__(self) -> "Parts":
        return self

    def __next__(self) -> bytes:
        self.turns.acquire()
        part = next(self._parts)
        self.given += 1
        if isinstance(part, Exception):
            raise part
        return part

    def close(self) -> None:
        """Count."""
        self.closed.release()

    def go_on(self, turns: int = 100) -> "Parts":
        """Let it give so many parts more."""
        for _ in range(turns):
            self.turns.release()
        return self

    @property
    def times_closed(self) -> int:
        """Return how often it was closed."""
        count = 0
        while self.closed.acquire(blocking=False):
            count += 1
        return count


def giving(parts: Iterable[bytes], *headers: tuple[str, str]) -> WSGI:
    """Return an app that answers so."""

    def raw(_: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(headers))
        return parts

    return raw


class Ids(logging.Handler):
    """Errors that are logged, by request id."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.addFilter(RequestFilter())
        self.found: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        text = logging.Formatter().format(record)
        self.found.append((record.__dict__["request_id"], text))

    def of(self, text: str) -> list[str]:
        """Return the ids of those with a text in their message or trace."""
        return [identifier for identifier, found in self.found if text in found]


@pytest.fixture
def errors() -> Iterator[Ids]:
    """What is logged as an error."""
    handler = Ids()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def bug() -> RuntimeError:
    """Make an error."""
    return RuntimeError("a bug")


# Answers in parts


async def test_parts_are_sent_as_they_are_made(app: Flask, serve: Serve):
    """Each before the next is asked for; an empty one is no part."""
    parts = Parts(b"one", b"", b"two", b"three")
    mount(app, giving(parts, ("X-Kind", "raw")))

    async with serve(app) as client:
        visit = client.visit("/raw").bring(b"", more=False)
        parts.go_on(1)
        start, one = await visit.next(), await visit.next()
        assert ("http.response.start", 200) == (start["type"], start["status"])
        assert (b"x-kind", b"raw") in start["headers"]
        assert (b"one", True, 1) == (one["body"], one["more_body"], parts.given)
        parts.go_on(2)
        two = await visit.next()
        assert (b"two", True, 3) == (two["body"], two["more_body"], parts.given)
        parts.go_on()
        answer = await visit.answer()
    assert b"onetwothree" == answer.body
    assert 1 == parts.times_closed
    assert answer.header("Content-Length") is None


async def test_a_view_of_flasks_gives_parts(app: Flask, serve: Serve):
    """A generator, with the envelope's headers before the first part."""
    go_on = threading.Semaphore(0)

    @app.get("/parts")
    def parts() -> Iterator[str]:
        for number in range(3):
            go_on.acquire()
            yield str(number)

    async with serve(app) as client:
        visit = client.visit("/parts").bring(b"", more=False)
        for number in range(3):
            go_on.release()
            if number == 0:
                assert b"x-request-id" in dict((await visit.next())["headers"])
            assert b"%d" % number == (await visit.next())["body"]
        answer = await visit.answer()
    assert b"012" == answer.body


async def test_a_slow_client_is_waited_for(app: Flask, serve: Serve):
    """No part is made before the server has taken the one before."""
    parts = Parts(*[b"x"] * 10).go_on()
    mount(app, giving(parts))
    counts: list[int] = []

    async def take_time() -> None:
        counts.append(parts.given)
        for _ in range(3):
            await asyncio.to_thread(int)
        assert counts[-1] == parts.given

    async with serve(app) as client:
        visit = client.visit("/raw")
        visit.on_send = take_time
        answer = await visit.answer()
    assert b"x" * 10 == answer.body
    # At the start, at each of ten parts, and at the end.
    assert [1, *range(1, 11), 10] == counts


async def test_who_goes_away_ends_a_stream(app: Flask, serve: Serve):
    """The iterable is closed, however much it would have given."""
    parts = Parts(*[b"x"] * 10_000)
    mount(app, giving(parts))

    async with serve(app) as client:
        visit = client.visit("/raw").bring(b"", more=False)
        parts.go_on(2)
        for _ in range(3):
            await visit.next()
        visit.leave()
        parts.go_on(20_000)
        await visit.answer()
    assert 1 == parts.times_closed
    assert parts.given < 10_000


async def test_a_generator_is_closed_when_its_client_is_gone(app: Flask, serve: Serve):
    """Its `finally` is run, on a thread."""
    ended: list[str] = []

    @app.get("/endless")
    def endless() -> Iterator[bytes]:
        try:
            for _ in range(100_000):
                yield b"x"
            ended.append("by itself")
        finally:
            ended.append(threading.current_thread().name)

    async with serve(app) as client:
        visit = client.visit("/endless").bring(b"", more=False)
        for _ in range(2):
            await visit.next()
        visit.leave()
        await visit.answer()
    assert ["pegboard-request_0"] == ended


async def gone() -> None:
    """Be a server whose client is gone."""
    message = "gone"
    raise ConnectionError(message)


async def test_a_server_that_cannot_send_ends_a_stream(app: Flask, serve: Serve, errors: Ids):
    """Its error is raised to it, and the iterable is closed."""
    parts = Parts(*[b"x"] * 1000)
    mount(app, giving(parts))

    async with serve(app) as client:
        visit = client.visit("/raw").bring(b"", more=False)
        parts.go_on(1)
        for _ in range(2):
            await visit.next()
        visit.on_send = gone
        parts.go_on()
        with pytest.raises(ConnectionError):
            await visit.task
        assert 200 == (await client.ask("/health")).status
    assert 1 == parts.times_closed
    assert 2 == parts.given


async def test_an_error_in_mid_stream_breaks_the_connection(app: Flask, serve: Serve, errors: Ids):
    """It is logged, and raised to the server, which must not end the answer as if it were whole."""
    parts = Parts(b"one", bug())

    @app.get("/broken")
    def broken() -> Parts:
        return app.response_class(parts)  # type: ignore[return-value]  # as Flask takes it

    async with serve(app) as client:
        visit = client.visit("/broken", headers={"X-Request-ID": "mine"}).bring(b"", more=False)
        parts.go_on()
        with pytest.raises(RuntimeError, match="a bug"):
            await visit.task
        assert [True] == [one["more_body"] for one in visit.sent[1:]]
        assert 200 == (await client.ask("/health")).status
    assert 1 == parts.times_closed
    assert ["mine"] == errors.of("a bug")


async def test_an_error_before_the_first_part_is_a_500(app: Flask, serve: Serve, errors: Ids):
    """In the one format, with the id that the log has."""
    parts = Parts(bug()).go_on()

    @app.get("/broken")
    def broken() -> Parts:
        return app.response_class(parts)  # type: ignore[return-value]  # as Flask takes it

    async with serve(app) as client:
        answer = await client.ask("/broken")
        assert 200 == (await client.ask("/health")).status
    identifier = answer.header("X-Request-ID")
    message = f"Internal server error, request id {identifier}."
    assert (500, {"message": message, "status": 500}) == (answer.status, json.loads(answer.body))
    assert 1 == parts.times_closed
    assert [identifier] == errors.of("a bug")


# Answers as WSGI allows them


async def test_what_is_written_comes_before_what_is_returned(app: Flask, serve: Serve):
    """By the function that `start_response` returns (PEP 3333)."""

    def raw(_: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("201 Created", [("X-Kind", "raw")])
        write(b"one")
        write(b"two")
        return [b"three"]

    mount(app, raw)

    async with serve(app) as client:
        answer = await client.ask("/raw")
    assert (201, "raw", b"onetwothree") == (answer.status, answer.header("X-Kind"), answer.body)


async def test_start_response_may_be_called_when_the_first_part_is_made(app: Flask, serve: Serve):
    """As by a generator."""

    def raw(_: Any, start_response: Any) -> Iterable[bytes]:
        start_response("202 Accepted", [])
        yield b"late"

    mount(app, raw)

    async with serve(app) as client:
        answer = await client.ask("/raw")
    assert (202, b"late") == (answer.status, answer.body)


async def test_an_answer_may_be_replaced_until_it_is_sent(app: Flask, serve: Serve):
    """By a second call with `exc_info`; afterwards that raises the error."""
    raised: list[Exception] = []

    def raw(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["QUERY_STRING"] == "late":
            yield b"sent"
        try:
            raise bug()
        except RuntimeError:
            try:
                start_response("503 Service Unavailable", [("X-Kind", "second")], sys.exc_info())
            except RuntimeError as error:
                raised.append(error)
        yield b"second"

    mount(app, raw)

    async with serve(app) as client:
        early, late = await client.ask("/raw"), await client.ask("/raw?late")
    assert (503, "second", b"second") == (early.status, early.header("X-Kind"), early.body)
    assert (200, None, b"sentsecond") == (late.status, late.header("X-Kind"), late.body)
    assert ["a bug"] == [str(error) for error in raised]


@pytest.mark.parametrize("parts", [[], [b""], [b"text"]])
async def test_an_app_that_forgets_its_status_is_a_500(
    app: Flask, serve: Serve, errors: Ids, parts: list[bytes]
):
    """And what it returned is closed."""
    given = Parts(*parts).go_on()
    mount(app, lambda _environ, _start_response: given)

    async with serve(app) as client:
        answer = await client.ask("/raw")
    assert (500, 500) == (answer.status, json.loads(answer.body)["status"])
    assert 1 == given.times_closed
    assert [answer.header("X-Request-ID")] == errors.of("without a status")


@pytest.mark.parametrize(
    "value",
    ["\u20ac", "a\ud800", "a\0", "a\x01b"],
    ids=["no latin-1", "no character", "NUL", "a control character"],
)
async def test_a_header_that_cannot_be_sent_is_a_500(
    app: Flask, serve: Serve, errors: Ids, value: str
):
    """Not a broken connection, with nothing in the log."""

    @app.get("/header")
    def header() -> Any:
        return "text", 200, {"X-Name": value}

    async with serve(app) as client:
        answer = await client.ask("/header")
    assert (500, 500) == (answer.status, json.loads(answer.body)["status"])
    assert [answer.header("X-Request-ID")] == errors.of("is no value of a header")


def leave(_: Any, __: Any) -> Iterable[bytes]:
    """Be an app that would end the process."""
    sys.exit(3)


def interrupt(_: Any, __: Any) -> Iterable[bytes]:
    """Be an app that raises what Ctrl-C does."""
    raise KeyboardInterrupt


def leave_late(_: Any, start_response: Any) -> Iterator[bytes]:
    """Be an app that would end the process instead of giving its first part."""
    start_response("200 OK", [])
    yield sys.exit(3)


@pytest.mark.parametrize("exits", [leave, interrupt, leave_late])
async def test_a_view_that_exits_is_one_500(app: Flask, serve: Serve, errors: Ids, exits: WSGI):
    """The process lives on, and the thread as well."""
    mount(app, exits)

    @app.get("/exit")
    def leaving() -> str:
        sys.exit(3)

    async with serve(app, threads=1) as client:
        answers = [await client.ask(path) for path in ("/raw", "/exit", "/raw", "/exit")]
        assert 200 == (await client.ask("/health")).status
    for answer in answers:
        assert (500, 500) == (answer.status, json.loads(answer.body)["status"])
        assert [answer.header("X-Request-ID")] == [
            identifier
            for identifier, _ in errors.found
            if identifier == answer.header("X-Request-ID")
        ]


async def test_what_an_app_returns_is_closed_after_a_whole_answer(app: Flask, serve: Serve):
    """Once; an answer whose length is known is sent before it is closed, and whatever follows."""
    parts = Parts(b"whole", bug()).go_on()
    mount(app, giving(parts, ("Content-Length", "5")))

    async with serve(app) as client:
        answer = await client.ask("/raw")
    assert (200, b"whole") == (answer.status, answer.body)
    assert 1 == parts.times_closed


async def test_an_answer_that_cannot_be_closed_is_logged(app: Flask, serve: Serve, errors: Ids):
    """The client has it already; the next request is served."""

    @app.get("/close")
    def close() -> Any:
        response = app.response_class("text")
        response.call_on_close(fail)
        return response

    def fail() -> None:
        raise bug()

    async with serve(app) as client:
        answer = await client.ask("/close", headers={"X-Request-ID": "mine"})
        assert 200 == (await client.ask("/health")).status
    assert (200, b"text") == (answer.status, answer.body)
    assert ["mine"] == errors.of("could not be closed")
    assert ["mine"] == errors.of("a bug")


async def test_head_has_the_headers_and_no_body(app: Flask, serve: Serve):
    """Of an answer that is whole, and of one in parts, which is closed unread."""
    parts = Parts(b"never").go_on()

    @app.get("/text")
    def text() -> str:
        return "text"

    @app.get("/parts")
    def stream() -> Any:
        return app.response_class(parts)

    async with serve(app) as client:
        whole, streamed = [await client.ask(path, "HEAD") for path in ("/text", "/parts")]
    assert (200, "4", b"") == (whole.status, whole.header("Content-Length"), whole.body)
    assert (200, None, b"") == (streamed.status, streamed.header("Content-Length"), streamed.body)
    assert (0, 1) == (parts.given, parts.times_closed)


async def test_no_more_requests_than_threads_are_answered_at_once(app: Flask, serve: Serve):
    """Others wait for their turn."""
    running: set[str] = set()
    most: list[int] = []
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    @app.get("/view/<name>")
    def view(name: str) -> str:
        running.add(name)
        most.append(len(running))
        begun.release()
        go_on.acquire()
        running.remove(name)
        return name

    async with serve(app, threads=2) as client:
        visits = [client.visit(f"/view/{number}") for number in range(6)]
        for _ in range(2):
            await asyncio.to_thread(begun.acquire)
        for _ in visits:
            go_on.release()
        answers = [(await visit.answer()).body for visit in visits]
    assert [b"%d" % number for number in range(6)] == answers
    assert 2 == max(most)


@pytest.mark.parametrize("status", ["99 No", "100 Continue", "199 No", "1000 No"])
async def test_a_status_that_cannot_be_sent_is_a_500(app: Flask, serve: Serve, status: str):
    """What is below 200 would be no final answer (RFC 9110, section 15.2)."""

    def raw(_environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [("Content-Length", "0")])
        return [b""]

    mount(app, raw)

    async with serve(app) as client:
        answer = await client.ask("/raw")
    assert (500, 500) == (answer.status, json.loads(answer.body)["status"])


async def test_what_is_written_meanwhile_is_in_its_place(app: Flask, serve: Serve):
    """PEP 3333 allows `write` at any time before the end."""

    def raw(_environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        yield b"two "
        write(b"three ")
        yield b"four"

    mount(app, raw)

    async with serve(app) as client:
        answer = await client.ask("/raw")
    assert b"one two three four" == answer.body


@pytest.mark.parametrize("length", ["0", "4"])
async def test_a_client_that_leaves_ends_a_stream_with_a_body_that_is_not_read(
    app: Flask, serve: Serve, length: str
):
    """Else such clients would keep their threads for good."""
    parts = Parts(*[b"x"] * 1000).go_on()
    mount(app, giving(parts))

    async with serve(app) as client:
        visit = client.visit("/raw", headers={"Content-Length": length})
        await visit.next()
        visit.leave()
        await visit.task
    assert parts.given < 1000
    assert parts.closed.acquire(timeout=10)


async def test_a_large_part_is_sent_in_pieces(app: Flask, serve: Serve):
    """Who takes it slowly is seen to take it."""
    parts = Parts(b"x" * 200_000).go_on()
    mount(app, giving(parts))

    async with serve(app) as client:
        visit = client.visit("/raw")
        answer = await visit.answer()
        longest, length = max(len(one.get("body", b"")) for one in visit.sent), len(answer.body)
    assert longest <= 65_536
    assert 200_000 == length


async def test_who_takes_nothing_of_a_stream_gives_its_thread_back(make_app: MakeApp, serve: Serve):
    """Else a few such clients would silence the service."""
    app = make_app(TESTING=False, SECRET_KEY="k", BODY_TIMEOUT=0.1)
    parts = Parts(*[b"x"] * 3).go_on()
    mount(app, giving(parts))

    async with serve(app, threads=1) as client:
        visit = client.visit("/raw")
        await visit.next()
        visit.on_send = asyncio.Event().wait
        with pytest.raises(TimeoutError):
            await visit.task
        answer = await client.ask("/nowhere")
    assert 404 == answer.status
    assert parts.closed.acquire(timeout=10)

"""The first-party plugins on the server's event loop: the same answers as by WSGI, at less cost."""

import asyncio
import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from flask import Flask

from pegboard.cache import get_cache
from pegboard.server.requests import Gateway
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import wait_until

URL = "/api/items/1"
VARYING = {"date", "x-request-id", "ratelimit", "retry-after"}
"""Headers that differ in two answers: times, and the counts of two clients."""


@pytest.fixture
def app(make_app: MakeApp, sqlite_url: str, redis_url: str) -> Flask:
    """An app of all plugins with one item, which is cached; each client may ask it 30 times."""
    app = make_app(
        plugins=["items", "cache_redis", "ratelimit"],
        ENV="development",
        DATABASE_URL=sqlite_url,
        REDIS_URL=redis_url,
        REDIS_TIMEOUT=5.0,
        RATELIMIT_DEFAULT="30/hour",
        CACHE_STATUS_HEADER=True,
        CORS_ORIGINS="https://app.example",
    )
    client = app.test_client()
    item = {"name": "Hammer"}
    assert 201 == client.post("/api/items/", json=item, environ_base=address(99)).status_code
    strategy: Any = get_cache(app).strategy
    strategy._activation.begin()
    wait_until(
        lambda: (
            client.get(URL, environ_base=address(99)).headers["Cache-Status"] == "pegboard; hit"
        ),
        "the item is cached",
    )
    for method in ("GET", "HEAD", "OPTIONS", "PATCH"):
        for path in (URL, "/nothing"):
            client.open(path, method=method, environ_base=address(98))
    return app


def address(number: int) -> dict[str, str]:
    """Return the environment of a client of its own."""
    return {"REMOTE_ADDR": f"192.0.2.{number}"}


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths for which a thread was needed."""
    from pegboard.server.requests.pools import RequestThreads  # noqa: PLC0415 - to look inside

    paths: list[str] = []
    serve = RequestThreads.serve

    async def note(self: RequestThreads, environ: Any, *rest: Any, **options: Any) -> None:
        paths.append(environ["PATH_INFO"])
        await serve(self, environ, *rest, **options)

    monkeypatch.setattr(RequestThreads, "serve", note)
    return paths


Sent = tuple[int, list[tuple[str, str]], bytes]


class Service:
    """A gateway that is asked from outside its event loop."""

    def __init__(self, app: Flask) -> None:
        self._gateway = Gateway(app, threads=4)
        self._runner = asyncio.Runner()

    def ask(self, method: str, path: str, headers: dict[str, str], client: int) -> Sent:
        """Send a request without a body."""
        return self._runner.run(self._ask(method, path, headers, client))

    async def _ask(self, method: str, path: str, headers: dict[str, str], client: int) -> Sent:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope: Any = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                *((name.lower().encode(), value.encode()) for name, value in headers.items()),
            ],
            "client": (address(client)["REMOTE_ADDR"], 50000),
            "server": ("127.0.0.1", 80),
        }
        await self._gateway(scope, receive, send)
        start, *parts = sent
        found = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        return start["status"], found, b"".join(part["body"] for part in parts)

    def close(self) -> None:
        """End it."""
        self._runner.get_loop().call_soon(self._gateway.close)
        self._runner.run(asyncio.sleep(0))
        self._runner.close()


@pytest.fixture
def service(app: Flask) -> Iterator[Service]:
    """The gateway of the app."""
    with closing(Service(app)) as service:
        yield service


def visible(headers: Any) -> list[tuple[str, str]]:
    """Return the headers that two answers share, whatever their order."""
    pairs = ((name.lower(), value) for name, value in headers)
    return sorted((name, value) for name, value in pairs if name not in VARYING)


@pytest.mark.slow
@pytest.mark.parametrize("origin", [None, "https://app.example", "https://foreign.example"])
@pytest.mark.parametrize("is_refused", [False, True], ids=["admitted", "refused"])
@pytest.mark.parametrize(
    "method,path,is_known",
    [
        ("GET", URL, True),
        ("HEAD", URL, True),
        ("GET with ETag", URL, True),
        ("OPTIONS", URL, False),
        ("PATCH", URL, False),
        ("GET", "/nothing", False),
    ],
)
def test_an_answer_is_the_same_on_the_loop(
    app: Flask,
    service: Service,
    threads: list[str],
    method: str,
    path: str,
    origin: str | None,
    *,
    is_known: bool,
    is_refused: bool,
) -> None:
    """A hit, 304, 429, or an error, with the headers of CORS, of the limit and of the cache."""
    client = app.test_client()
    headers = {} if origin is None else {"Origin": origin}
    if method == "GET with ETag":
        method = "GET"
        tag = client.get(URL, environ_base=address(98)).headers["ETag"]
        headers["If-None-Match"] = tag
    began = time.monotonic()
    for number in (1, 2):
        for _ in range(30 if is_refused else 0):
            client.get("/nothing", environ_base=address(number))
    expected = client.open(path, method=method, headers=headers, environ_base=address(1))
    status, found, body = service.ask(method, path, headers, 2)

    assert (expected.status_code, expected.data) == (status, body)
    assert visible(expected.headers) == visible(found)
    assert is_refused is (status == 429)
    assert [name for name, _ in found].count("ratelimit") == 1
    if is_refused:
        # The window of one client began some time before that of the other.
        waits = int(expected.headers["Retry-After"]), int(dict(found)["retry-after"])
        assert abs(waits[0] - waits[1]) <= math.ceil(time.monotonic() - began)
    # What a stage answers needs no thread.
    assert bool(threads) is not (is_known or is_refused)


@pytest.mark.slow
def test_a_write_is_seen_by_the_loop(app: Flask, service: Service, threads: list[str]) -> None:
    """What it answered before is never answered again."""
    client = app.test_client()
    for number in range(5):
        body = service.ask("GET", URL, {}, 1)[2]
        before = threads.copy()
        assert body == service.ask("GET", URL, {}, 1)[2]
        assert before == threads  # a hit
        name = {"name": f"Hammer {number}"}
        assert 200 == client.put(URL, json=name, environ_base=address(3)).status_code
        assert name["name"].encode() in service.ask("GET", URL, {}, 1)[2]


@pytest.mark.slow
def test_the_loop_and_threads_count_together(app: Flask, service: Service) -> None:
    """Never more than the limit are admitted, by the loop and threads together."""
    client = app.test_client()
    statuses: list[int] = []

    def call() -> None:
        statuses.extend(client.get(URL, environ_base=address(1)).status_code for _ in range(30))

    thread = threading.Thread(target=call)
    thread.start()
    statuses.extend([service.ask("GET", URL, {}, 1)[0] for _ in range(30)])
    thread.join()
    assert (30, 30) == (statuses.count(200), statuses.count(429))

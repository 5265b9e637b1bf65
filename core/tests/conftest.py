"""Fixtures of this test tree."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import pytest
import trustme
from flask import Flask

from pegboard.server.requests import Gateway
from pegboard.testing.processes import WAIT_TIMEOUT
from pegboard.testing.servers import Certificates

pytest_plugins = ["pegboard.testing.fixtures", "pytester"]

logger = logging.getLogger(__name__)

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
with suppress(ImportError):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test that is a coroutine on an event loop of each kind that is installed."""
    return LOOPS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Files of an authority of the tests' own, and of a server on the loopback address."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    found = Certificates(*(directory / name for name in ("ca.pem", "cert.pem", "key.pem")))
    authority.cert_pem.write_to_path(found.authority)
    issued.cert_chain_pems[0].write_to_path(found.certificate)
    issued.private_key_pem.write_to_path(found.key)
    return found


class Answered(NamedTuple):
    """What a gateway has sent for one request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header, which is there once at most."""
        values = [value for found, value in self.headers if found == name.lower()]
        assert len(values) <= 1
        return values[0] if values else None


class Visit:
    """One request as an ASGI server brings it; parts of its body come when the test says so."""

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        self.asked = 0
        """How often the app has asked for a part of the body."""
        self.sent: list[dict[str, Any]] = []
        self._news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._is_asked = asyncio.Event()
        self.on_send: Callable[[], Awaitable[None]] | None = None
        """What the server does before it takes a part of the answer."""
        self.task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:
            logger.exception("the app has raised")  # as Granian does
            raise

    async def _receive(self) -> dict[str, Any]:
        self.asked += 1
        self._is_asked.set()
        return await self._parts.get()

    async def _send(self, message: dict[str, Any]) -> None:
        if self.on_send is not None:
            await self.on_send()
        self.sent.append(message)
        self._news.put_nowait(message)

    def bring(self, part: bytes, *, more: bool = True) -> "Visit":
        """Let a part of the body arrive."""
        self._parts.put_nowait({"type": "http.request", "body": part, "more_body": more})
        return self

    async def until_asked(self, times: int) -> None:
        """Wait until the app has asked so often for a part of the body."""
        while self.asked < times:
            self._is_asked.clear()
            await self._is_asked.wait()

    def leave(self) -> None:
        """Be gone, as a client that has closed its connection."""
        self._parts.put_nowait({"type": "http.disconnect"})

    async def next(self) -> dict[str, Any]:
        """Return what is sent next."""
        return await self._news.get()

    async def answer(self) -> Answered:
        """Return all that is sent, as soon as the request is done."""
        await self.task
        start, *parts = self.sent
        assert [False] == [part.get("more_body", False) for part in parts][-1:]
        headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        return Answered(start["status"], headers, b"".join(part["body"] for part in parts))


class Client:
    """Speaks ASGI to a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def visit(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        **scope: Any,
    ) -> Visit:
        """Begin a request to `localhost`, the body of which the test brings."""
        raw_path, _, query = path.partition("?")
        pairs = [*(headers.items() if isinstance(headers, Mapping) else headers)]
        if not any(name.lower() == "host" for name, _ in pairs):
            pairs.append(("Host", "localhost"))
        given = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": raw_path,
            "raw_path": raw_path.encode("latin-1"),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        return Visit(self.gateway, given | scope)

    async def ask(self, path: str, *arguments: Any, body: bytes = b"", **options: Any) -> Answered:
        """Send a request with its body, whole, and return the answer."""
        return await self.visit(path, *arguments, **options).bring(body, more=False).answer()


@asynccontextmanager
async def serving(app: Flask, *, threads: int = 4) -> AsyncIterator[Client]:
    """Serve an app by a gateway on the running loop, and yield a client of it."""
    gateway = Gateway(app, threads=threads)
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            yield Client(gateway)
            # What threads still do when all has been sent belongs to the test.
            await asyncio.to_thread(gateway._threads.join)
    finally:
        gateway.close()


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Serve an app as long as the block lasts, which begins with a client of its gateway."""
    return serving

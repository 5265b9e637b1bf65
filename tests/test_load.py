"""A service with more to do than it can: what is answered all the same, and what is not begun."""

import http.client
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import wait_until
from pegboard.testing.services import LiveServer

pytestmark = pytest.mark.slow

ITEM = "/api/items/1"

LONG = 6_000_000

HELD = '''
import socket

import flask
import pegboard

blueprint = flask.Blueprint("held", __name__)


@blueprint.route("/held/<name>", methods=["GET", "POST"])
def held(name):
    """Keep a thread until the test lets it go."""
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.sendall(name.encode() + b"\\n")
        connection.recv(1)
    return name


@blueprint.get("/long")
def long():
    """Give a long answer in parts."""
    return (b"x" * 50_000 for _ in range(130))


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
'''


class Holder:
    """Knows which views of the plugin `held` have begun, and lets them go."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port = listener.getsockname()[1]
        self.connections: dict[str, socket.socket] = {}

    def begun(self) -> str:
        """Wait until another view has begun; returns its name."""
        connection, _ = self._listener.accept()
        name = connection.makefile().readline().strip()
        self.connections[name] = connection
        return name

    def let_go(self, name: str) -> None:
        """Have a view answer."""
        self.connections.pop(name).close()


@pytest.fixture
def holder() -> Iterator[Holder]:
    """What holds the views of the service of `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        holder = Holder(listener)
        yield holder
        for name in [*holder.connections]:
            holder.let_go(name)


@pytest.fixture
def serve(
    live_server: StartService, plugin_folder: PluginFolder, holder: Holder
) -> Callable[..., LiveServer]:
    """Start a service whose views are held."""
    plugin_folder.add("held", HELD.replace("PORT", str(holder.port)))

    def run(plugins: str = "held", **settings: Any) -> LiveServer:
        has_tables = plugins != "held"
        return live_server(upgrade=has_tables, PEGBOARD_PLUGINS=plugins, **settings)

    return run


def get(
    server: LiveServer, path: str, timeout: float = 30.0, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Get a path on a connection of its own; returns status, headers and body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)) as one:
        one.request("GET", path, headers=named)
        response = one.getresponse()
        return response.status, response.headers, response.read()


def send(server: LiveServer, path: str) -> socket.socket:
    """Ask for a path, and return the connection."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def test_cached_answers_and_limits_need_no_thread(serve, holder: Holder, redis_url: str):
    """However long all threads are busy: the rules of limits are read again meanwhile."""
    server = serve(
        "held,items,cache_redis,ratelimit",
        REDIS_URL=redis_url,
        PEGBOARD_THREADS="2",
        PEGBOARD_CACHE_STATUS_HEADER="true",
        PEGBOARD_RATELIMIT_DEFAULT="100000/hour",
    )
    assert 201 == server.request("POST", "/api/items/", {"name": "Hammer"})[0]
    wait_until(lambda: "hit" in get(server, ITEM)[1]["Cache-Status"], "it is cached")
    with send(server, "/held/a"), send(server, "/held/b"):
        assert {"a", "b"} == {holder.begun(), holder.begun()}
        # Longer than the rules and the state of the cache are valid.
        end = time.monotonic() + 2.6
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=1)) as one:
            while time.monotonic() < end:
                one.request("GET", ITEM)
                response = one.getresponse()
                response.read()
                assert (200, "pegboard; hit") == (response.status, response.headers["Cache-Status"])
        assert holder.connections.keys() == {"a", "b"}


def refused(connections: list[socket.socket], count: int) -> list[socket.socket]:
    """Wait until so many requests are refused, as the queue is full; returns those that wait."""
    waiting = [*connections]
    for _ in range(count):
        answered, _, _ = select.select(waiting, [], [], 30)
        answer = answered[0].recv(1000)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert answer.endswith(b'"status":503}')
        waiting.remove(answered[0])
    return waiting


def test_requests_of_clients_that_have_gone_are_not_begun(serve, holder: Holder):
    """The next one is served as soon as a thread is free."""
    server = serve(PEGBOARD_THREADS="2", PEGBOARD_QUEUE="40", PEGBOARD_LOG_LEVEL="DEBUG")
    with send(server, "/held/a"), send(server, "/held/b"):
        assert {"a", "b"} == {holder.begun(), holder.begun()}
        gone = [send(server, "/held/gone") for _ in range(50)]
        # All have arrived: of a client that goes before that the service knows nothing.
        assert 40 == len(refused(gone, 10))
        for connection in gone:
            connection.close()
        dropped = "the client has gone before its request was begun"
        wait_until(lambda: 40 == server.output.count(dropped), "all are dropped")
        with send(server, "/held/next") as waiting:
            holder.let_go("a")
            assert "next" == holder.begun()
            holder.let_go("next")
            assert waiting.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_requests_beyond_the_queue_are_refused_at_once(serve, holder: Holder):
    """While those that wait in it stay; the process is alive."""
    server = serve(PEGBOARD_THREADS="1", PEGBOARD_QUEUE="2")
    with ExitStack() as stack:
        connections = [stack.enter_context(send(server, "/held/a")) for _ in range(5)]
        begun = holder.begun()
        waiting = refused(connections, 2)
        assert 200 == get(server, "/health")[0]
        assert ([], [], []) == select.select(waiting, [], [], 0)
        for number in range(3):
            holder.let_go(begun)
            begun = holder.begun() if number < 2 else ""
        for connection in waiting:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_only_idle_connections_live_longer_than_the_headers_may_take(serve, holder: Holder):
    """None on which headers arrive slowly, have begun at once and stopped, or never come."""
    server = serve(PEGBOARD_HEADER_TIMEOUT="1")
    with (
        send(server, "/health") as kept,
        send(server, "/health") as slow,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as silent,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as hasty,
        send(server, "/held/a") as served,
    ):
        hasty.sendall(b"GET /health HTTP/1.1\r\nHo")
        assert "a" == holder.begun()
        for one in (kept, slow):
            assert one.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert b"" == silent.recv(1)
        assert b"" == hasty.recv(1)
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        assert b"" == slow.recv(1)
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(1000).startswith(b"HTTP/1.1 200 ")
        holder.let_go("a")
        assert served.recv(1000).startswith(b"HTTP/1.1 200 ")


BODY_DUE = b"POST /held/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", BODY_DUE], ids=["nothing", "no body"])
def test_unused_connections_of_one_client_do_not_keep_others_out(
    serve, holder: Holder, sent: bytes
):
    """Of more than it may have, those go on which it has sent no request, or owes its body."""
    server = serve(PEGBOARD_BACKLOG="128", PEGBOARD_CONNECTIONS_PER_CLIENT="20")
    with ExitStack() as stack:
        served = stack.enter_context(send(server, "/held/a"))
        assert "a" == holder.begun()
        for _ in range(150):
            connection = socket.create_connection(("127.0.0.1", server.port))
            stack.enter_context(connection).sendall(sent)
        assert 200 == get(server, "/health")[0]
        assert "connections are closed: their clients have more than they may" in server.output
        holder.let_go("a")
        assert served.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_reads_steadily_is_not_given_up(serve):
    """However slowly, and however much of the answer the kernel keeps for it."""
    server = serve(PEGBOARD_BODY_TIMEOUT="1")
    with socket.socket() as client:
        client.settimeout(30)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = 0
        while part := client.recv(60_000):
            received += len(part)
            time.sleep(0.05)
    assert received > LONG, server.output

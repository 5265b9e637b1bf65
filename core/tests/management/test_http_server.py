"""The server of the management port: few connections, for a short time each."""

import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from pegboard.management import http_server
from pegboard.management.http_server import ManagementServer

started, released = threading.Event(), threading.Event()
"""Whether the app has begun to answer `/wait`, and may end."""
servers: list[ManagementServer] = []
"""The server of the test."""


@pytest.fixture
def connect() -> Iterator[Callable[[], socket.socket]]:
    """Return what connects to a server of an app that answers at once."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            started.set()
            released.wait(30)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Server", "x")])
        return [environ["PATH_INFO"].encode()]

    started.clear()
    released.clear()
    server = ManagementServer(listener, app)
    servers.append(server)
    server.start()
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(address, timeout=30))
        return opened[-1]

    yield connect
    released.set()
    for one in opened:
        one.close()
    servers.remove(server)
    server.shutdown()
    server.server_close()


def read_all(connection: socket.socket) -> bytes:
    """Return what is sent until the connection ends."""
    with connection.makefile("rb") as stream:
        try:
            return stream.read()
        except ConnectionResetError:
            return b""


def test_a_request_is_answered_and_its_connection_closed(connect):
    """One that is kept would take a thread."""
    connection = connect()
    connection.sendall(b"GET /path HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert b"/path" == body


@pytest.mark.parametrize(
    "sent,status",
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_what_cannot_be_read_is_an_error_in_the_format_of_all(connect, sent: bytes, status: int):
    """No page of HTML."""
    connection = connect()
    connection.sendall(sent)
    head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert f" {status} ".encode() in head
    assert b"Cache-Control: no-store" in head
    assert status == json.loads(body)["status"]


@pytest.mark.slow
def test_a_client_that_never_ends_its_request_is_cut(connect, monkeypatch: pytest.MonkeyPatch):
    """However slowly it goes on."""
    monkeypatch.setattr(http_server, "LONGEST", 0.1)
    connection = connect()
    connection.sendall(b"GET /path HTTP/1.1\r\nHost:")
    assert b"" == read_all(connection)


@pytest.mark.parametrize(
    "part",
    [b"", b"GET /path HTTP/1.1\r\n", b"PUT /path HTTP/1.1\r\nContent-Length: 9\r\n\r\nnot all"],
)
def test_clients_that_are_slow_keep_nobody_out(monkeypatch: pytest.MonkeyPatch, request, part):
    """The one that has been slow for longest is cut for a new one, in whatever it is slow."""
    monkeypatch.setattr(http_server, "CONNECTIONS", 2)
    connect = request.getfixturevalue("connect")
    slow = [connect() for _ in range(2)]
    for one in slow:
        one.sendall(part)
    new = connect()
    assert b"" == read_all(slow[0])
    new.sendall(b"GET /new HTTP/1.1\r\n\r\n")
    assert read_all(new).endswith(b"/new")


def test_no_answer_that_is_being_made_is_cut(monkeypatch: pytest.MonkeyPatch, request):
    """More connections are closed instead."""
    monkeypatch.setattr(http_server, "CONNECTIONS", 1)
    connect = request.getfixturevalue("connect")
    first = connect()
    first.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
    assert started.wait(30)
    assert b"" == read_all(connect())
    released.set()
    assert read_all(first).endswith(b"/wait")


@pytest.mark.slow
def test_a_body_that_does_not_arrive_is_cut(connect, monkeypatch: pytest.MonkeyPatch):
    """In the time for the headers."""
    monkeypatch.setattr(http_server, "LONGEST", 0.1)
    connection = connect()
    connection.sendall(b"PUT /path HTTP/1.1\r\nContent-Length: 9\r\n\r\nnot all")
    assert not read_all(connection).endswith(b"/path")


def test_it_stands_still_when_all_threads_stay_beyond_their_time(monkeypatch, request):
    """Then the process is replaced."""
    monkeypatch.setattr(http_server, "CONNECTIONS", 1)
    monkeypatch.setattr(http_server, "LONGEST_ANSWER", -http_server.LONGEST)
    connect = request.getfixturevalue("connect")
    server = servers[-1]
    assert not server.is_still()
    connect().sendall(b"GET /wait HTTP/1.1\r\n\r\n")
    assert started.wait(30)
    assert server.is_still()

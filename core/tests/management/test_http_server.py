"""The server of the management port: few connections, for a short time each."""

import json
import socket
from collections.abc import Callable, Iterator

import pytest

from pegboard.management import http_server
from pegboard.management.http_server import ManagementServer


@pytest.fixture
def connect() -> Iterator[Callable[[], socket.socket]]:
    """Return what connects to a server of an app that answers at once."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Server", "x")])
        return [environ["PATH_INFO"].encode()]

    server = ManagementServer(listener, app)
    server.start()
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(address, timeout=30))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()
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


def test_a_client_that_never_ends_its_request_is_cut(connect, monkeypatch: pytest.MonkeyPatch):
    """However slowly it goes on."""
    monkeypatch.setattr(http_server, "LONGEST", 0.1)
    connection = connect()
    connection.sendall(b"GET /path HTTP/1.1\r\nHost:")
    assert b"" == read_all(connection)


def test_more_connections_than_are_served_are_closed(monkeypatch: pytest.MonkeyPatch, request):
    """Those that are there are not touched."""
    monkeypatch.setattr(http_server, "CONNECTIONS", 1)
    connect = request.getfixturevalue("connect")
    first = connect()
    first.sendall(b"GET /first HTTP/1.1\r\n")
    assert b"" == read_all(connect())
    first.sendall(b"\r\n")
    assert read_all(first).endswith(b"/first")

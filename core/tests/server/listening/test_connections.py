"""Which connections are closed; `tests/test_load.py` has a service do it."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from pegboard.clients import TrustedProxies
from pegboard.server.listening import connections
from pegboard.server.listening.address import Address
from pegboard.server.listening.connections import ConnectionLimits, ConnectionWatch

pytestmark = pytest.mark.skipif(not connections.CAN_SEE_CONNECTIONS, reason="only on Linux")


@pytest.mark.parametrize(
    "network,proxies,left",
    [
        ("2001:db8::{}", (), 2),
        ("2001:db8:0:{}::1", (), 4),
        ("2001:db8::{}", ("2001:db8::/32",), 4),
        ("192.0.2.{}", (), 4),
        ("::ffff:192.0.2.{}", (), 4),
    ],
)
def test_a_client_of_ipv6_is_a_network(
    monkeypatch: pytest.MonkeyPatch, network: str, proxies: tuple[str, ...], left: int
) -> None:
    """As for limits: a customer has a /64, and may have two connections here."""
    monkeypatch.setattr(connections, "_UNUSED", 0)
    numbers: dict[int, int] = {}

    def peer_of(endpoint: socket.socket) -> connections.Peer:
        port = endpoint.getpeername()[1]
        return network.format(numbers[port]), str(port)

    monkeypatch.setattr(connections, "_peer_of", peer_of)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        clients = []
        for number in range(1, 5):
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            numbers[client.getsockname()[1]] = number
            stack.enter_context(listener.accept()[0])
            clients.append(client)
        watch = ConnectionWatch(
            Address("127.0.0.1", listener.getsockname()[1]),
            ConnectionLimits(30, 2, is_http2=False, proxies=TrustedProxies.parse(proxies)),
            {},
            {},
            set(),
        )
        watch.look(lambda close: close())
        for client in clients:
            client.settimeout(0)
        assert left == sum(_is_open(client) for client in clients)


@pytest.mark.parametrize(
    "steps,has_asked,is_http2,stays",
    [
        ("", False, False, False),
        ("in", False, False, False),
        ("in out", False, False, False),
        ("in out", False, True, False),
        ("in out in", False, True, False),
        ("in out", True, False, True),
        ("in out", True, True, True),
        ("out in", True, False, False),
        ("out in", True, True, True),
    ],
)
def test_a_connection_without_a_request_is_closed_whatever_was_sent(
    steps: str, *, has_asked: bool, is_http2: bool, stays: bool
) -> None:
    """As by TLS, and by HTTP/2; one that was answered is idle, or in the middle of headers."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as served,
    ):
        for step in steps.split():
            time.sleep(0.01)  # the kernel tells times in milliseconds
            sender, receiver = (client, served) if step == "in" else (served, client)
            sender.sendall(b"x")
            assert b"x" == receiver.recv(1)
        host, port = client.getsockname()
        gone: set[connections.Peer | None] = {("127.0.0.1", "1")}
        asked = {(host, str(port)), *gone} if has_asked else {*gone}
        watch = ConnectionWatch(
            Address("127.0.0.1", listener.getsockname()[1]),
            ConnectionLimits(0, 0, is_http2=is_http2, proxies=TrustedProxies.parse(())),
            {},
            {},
            asked,
        )
        watch.look(lambda close: close())
        client.settimeout(0)
        assert stays == _is_open(client)
        assert not asked & gone
        assert has_asked == bool(asked)


def test_a_byte_now_and_then_is_no_use() -> None:
    """Of a client that has too many connections, those go on which no request has been complete."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        watch = ConnectionWatch(
            Address("127.0.0.1", listener.getsockname()[1]),
            ConnectionLimits(30, 1, is_http2=False, proxies=TrustedProxies.parse(())),
            {},
            {},
            set(),
        )
        pairs = []
        for _ in range(3):
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            pairs.append((client, stack.enter_context(listener.accept()[0])))
            client.settimeout(0)
        began, are_open = time.monotonic(), 3
        while are_open == 3 and time.monotonic() < began + 30:
            for client, served in pairs:
                client.sendall(b"x")
                assert b"x" == served.recv(1)
            watch.look(lambda close: close())
            are_open = sum(_is_open(client) for client, _ in pairs)
        assert 1 == are_open


def test_idle_connections_go_before_requests_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the body of an upload has been coming."""
    monkeypatch.setattr(connections, "_UNUSED", 0)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        clients, asked = [], set[connections.Peer | None]()
        for steps in (("out", "in"), ("in", "out"), ("in", "out")):
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            served = stack.enter_context(listener.accept()[0])
            for step in steps:
                time.sleep(0.01)  # the kernel tells times in milliseconds
                sender, receiver = (client, served) if step == "in" else (served, client)
                sender.sendall(b"x")
                assert b"x" == receiver.recv(1)
            host, port = client.getsockname()
            asked.add((host, str(port)))
            client.settimeout(0)
            clients.append(client)
        watch = ConnectionWatch(
            Address("127.0.0.1", listener.getsockname()[1]),
            ConnectionLimits(30, 2, is_http2=False, proxies=TrustedProxies.parse(())),
            {},
            {},
            asked,
        )
        watch.look(lambda close: close())
        assert [True, False, True] == [_is_open(client) for client in clients]


def test_a_request_that_comes_meanwhile_keeps_its_connection() -> None:
    """It was looked at before, and is to be closed after the request has come."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0],
    ):
        host, port = client.getsockname()
        asked: set[connections.Peer | None] = set()
        watch = ConnectionWatch(
            Address("127.0.0.1", listener.getsockname()[1]),
            ConnectionLimits(0, 0, is_http2=False, proxies=TrustedProxies.parse(())),
            {},
            {},
            asked,
        )

        def close_later(close: Callable[[], None]) -> None:
            asked.add((host, str(port)))
            close()

        watch.look(close_later)
        client.settimeout(0)
        assert _is_open(client)


def _is_open(client: socket.socket) -> bool:
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True

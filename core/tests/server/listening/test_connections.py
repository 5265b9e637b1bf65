"""Which connections are closed; `tests/test_load.py` has a service do it."""

import socket
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
            set(),
        )
        watch.look(lambda close: close())
        for client in clients:
            client.settimeout(0)
        assert left == sum(_is_open(client) for client in clients)


def _is_open(client: socket.socket) -> bool:
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True

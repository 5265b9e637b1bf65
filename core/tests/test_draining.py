"""How a worker minds its connections; `tests/test_serve.py` has it do so in a real service."""

import socket
import sys

import pytest

from pegboard.draining import count_connections, hold_off

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tell")


@pytest.fixture
def listener():
    """A socket that listens on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_connections_are_counted_on_the_port_alone(listener):
    """The listening socket itself is none."""
    address = listener.getsockname()
    assert 0 == count_connections(address[1])
    with socket.create_connection(address), listener.accept()[0]:
        assert 1 == count_connections(address[1])
    assert 0 == count_connections(address[1])


def test_who_comes_late_is_held_off_and_who_is_there_is_served(listener):
    """A connection that waits to be accepted is not lost."""
    address = listener.getsockname()
    with socket.create_connection(address) as early:
        hold_off(address[1])
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.2)
        with listener.accept()[0] as accepted:
            early.sendall(b"hello")
            assert b"hello" == accepted.recv(5)

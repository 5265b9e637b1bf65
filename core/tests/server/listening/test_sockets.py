"""The sockets of a process on a port; those of a Unix socket are in `test_unix_socket.py`."""

import socket
import sys

import pytest

from pegboard.server import Address
from pegboard.server.listening import count_connections, hold_off

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tell")


@on_linux
def test_connections_are_counted_on_the_port_alone(listener):
    """The listening socket itself is none."""
    address = listener.getsockname()
    assert 0 == count_connections(Address(*address))
    with socket.create_connection(address), listener.accept()[0]:
        assert 1 == count_connections(Address(*address))
    assert 0 == count_connections(Address(*address))


@on_linux
def test_who_comes_late_is_held_off_and_who_is_there_is_served(listener):
    """A connection that waits to be accepted is not lost."""
    address = listener.getsockname()
    with socket.create_connection(address) as early:
        hold_off(Address(*address))
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.2)
        with listener.accept()[0] as accepted:
            early.sendall(b"hello")
            assert b"hello" == accepted.recv(5)

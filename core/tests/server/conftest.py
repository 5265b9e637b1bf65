"""What the tests of the server share."""

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server

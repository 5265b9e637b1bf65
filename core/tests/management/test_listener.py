"""The socket of the management port, which is there before any worker."""

import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pegboard import StartupError
from pegboard.http import Endpoint
from pegboard.management import open_socket
from pegboard.server import Address

SERVICE = Address("127.0.0.1", 8000)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def refuse(endpoint: Endpoint, service: Address = SERVICE) -> str:
    """Return the problem of an endpoint, with its hint."""
    with pytest.raises(StartupError, match="PEGBOARD_MANAGEMENT") as caught:
        open_socket(endpoint, service)
    [problem] = caught.value.problems
    assert "PB_ADDRESS_UNAVAILABLE" == problem.code
    return str(problem)


def test_any_port_is_chosen():
    """And told."""
    with closing(open_socket(Endpoint("127.0.0.1", 0), SERVICE)) as opened:
        assert opened.endpoint.port
        assert f"http://127.0.0.1:{opened.endpoint.port}" == opened.url


def test_an_address_that_is_taken_is_refused(taken: int):
    """The hint names the setting."""
    assert "choose another PEGBOARD_MANAGEMENT" in refuse(Endpoint("127.0.0.1", taken))


@pytest.mark.parametrize("host,service", [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_the_address_of_the_service_is_refused(host: str, service: str):
    """The service does not listen there yet, so the system would not notice."""
    said = refuse(Endpoint(host, 8000), Address(service, 8000))
    assert "the service itself listens there" in said


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 64])
def test_an_address_of_no_interface_is_refused(host: str):
    """Or a name that means none."""
    refuse(Endpoint(host, 0))


def test_a_socket_that_a_killed_service_has_left_is_replaced(tmp_path: Path):
    """It is for its owner and its group, and is removed at the end."""
    path = tmp_path / "management.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    opened = open_socket(Endpoint("", 0, str(path)), SERVICE)
    assert f"unix:{path}" == opened.url
    assert 0o660 == stat.S_IMODE(path.stat().st_mode)
    refuse(Endpoint("", 0, str(path)))  # now it is used
    opened.remove()
    assert not path.exists()


def test_a_file_that_is_no_socket_stays(tmp_path: Path):
    """It may be anything; nothing listens there that could be stopped."""
    path = tmp_path / "notes"
    path.write_text("precious")
    said = refuse(Endpoint("", 0, str(path)))
    assert "it is a file of another kind" in said
    assert "Nothing but a socket is replaced: choose another path in PEGBOARD_MANAGEMENT." in said
    assert "precious" == path.read_text()


@pytest.mark.parametrize(
    "path,hint", [("no/such/a.sock", "Make the folder"), ("x" * 200, "A path of a socket has")]
)
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, path: str, hint: str):
    """As it is for the service itself."""
    assert hint in refuse(Endpoint("", 0, str(tmp_path / path)))


def test_the_file_of_another_server_stays(tmp_path: Path):
    """One that has taken the path meanwhile."""
    path = tmp_path / "management.sock"
    opened = open_socket(Endpoint("", 0, str(path)), SERVICE)
    path.unlink()
    with closing(open_socket(Endpoint("", 0, str(path)), SERVICE)):
        opened.remove()
        assert path.exists()

"""A Unix socket to listen on; `tests/` has a service listen there."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pegboard import StartupError
from pegboard.server import UnixAddress, find_endpoint
from pegboard.server.listening import count_connections, hold_off


@pytest.fixture
def path() -> Iterator[Path]:
    """A path that is short enough for a socket."""
    with TemporaryDirectory() as folder:
        yield Path(folder, "a.sock")


def find(path: Path) -> UnixAddress:
    """Find the address of a socket."""
    found = find_endpoint(f"unix:{path}", 8000, scheme="http", mode=0o660)
    assert isinstance(found, UnixAddress)
    return found


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """Connect to a socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        yield client


def test_the_file_has_its_permissions_from_the_start_and_is_removed(path: Path) -> None:
    """Whatever the umask."""
    address = find(path)
    mask = os.umask(0)
    try:
        with address.reserved(128):
            assert 0o660 == stat.S_IMODE(path.stat().st_mode)
            assert address.is_listening()
    finally:
        os.umask(mask)
    assert not path.exists()
    assert not address.is_listening()


def test_what_a_dead_server_left_is_replaced(path: Path) -> None:
    """A file on which nobody listens."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with find(path).reserved(128), connected(path):
        pass


def test_a_live_server_is_refused_and_keeps_its_file(path: Path) -> None:
    """Also one whose queue is full, and also when the first check was before it began."""
    address = find(path)
    with socket.socket(socket.AF_UNIX) as live, socket.socket(socket.AF_UNIX) as waiting:
        live.bind(str(path))
        live.listen(0)
        waiting.setblocking(False)  # noqa: FBT003
        for is_full in (False, True):
            with pytest.raises(StartupError, match="Address already in use") as caught:
                find(path)
            assert "PB_ADDRESS_UNAVAILABLE" == caught.value.problems[0].code
            with pytest.raises(StartupError, match="Address already in use"), address.reserved(128):
                pytest.fail("it listens, too")
            if not is_full:
                waiting.connect_ex(str(path))
        assert path.exists()


def test_the_file_of_another_server_is_not_removed(path: Path) -> None:
    """One that has taken the place, as after the file was removed by hand."""
    with find(path).reserved(128):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.exists()


@pytest.mark.parametrize(
    "name, message",
    [
        ("none/a.sock", "No such file or directory"),
        ("text", "a file of another kind"),
        ("text/a.sock", "Not a directory"),
        ("x" * 108, "File name too long"),
    ],
)
def test_where_it_cannot_listen_is_a_problem(path: Path, name: str, message: str) -> None:
    """Nothing but a socket is ever removed."""
    text = path.with_name("text")
    text.write_text("kept")
    with pytest.raises(StartupError, match=message):
        find(path.parent / name)
    assert "kept" == text.read_text()


def test_connections_are_counted(path: Path) -> None:
    """The listening socket itself is none."""
    address = find(path)
    with address.reserved(128) as listener:
        assert 0 == count_connections(address)
        with connected(path), listener.socket.accept()[0]:
            assert 1 == count_connections(address)


def test_a_worker_that_is_replaced_accepts_nobody(path: Path) -> None:
    """A client that waits is left to the other workers, which share the socket."""
    address = find(path)
    with address.reserved(128) as listener, connected(path):
        hold_off(address)
        with pytest.raises(BlockingIOError):
            listener.socket.accept()

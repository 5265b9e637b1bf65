"""A service whose output nobody reads any longer: it goes on."""

import os
import select
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.client import HTTPException

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.processes import WAIT_TIMEOUT, free_port, wait_until
from pegboard.testing.services import LiveServer

pytestmark = pytest.mark.slow

SIZE = 600_000
"""More than a pipe takes; twice that is more than a process keeps."""

LOUD = f'''
import logging
import os
import re

import flask

blueprint = flask.Blueprint("loud", __name__)


@blueprint.get("/pid")
def pid():
    return str(os.getpid())


@blueprint.get("/loud")
def be_loud():
    print("p" * {SIZE})
    logging.getLogger("loud").error("l" * {SIZE})
    return "loud"


@blueprint.get("/stuck")
def stick():
    """Hold the interpreter's lock for ever."""
    re.match("(a*)*b", "a" * 60)


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
'''


@pytest.fixture
def server(plugin_folder: PluginFolder) -> LiveServer:
    """A service that writes to a pipe."""
    plugin_folder.add("loud", LOUD)
    server = LiveServer(
        PEGBOARD_PLUGINS="loud",
        PEGBOARD_MANAGEMENT=str(free_port()),
        PEGBOARD_WORKER_TIMEOUT="2",
        PYTHONPATH=str(plugin_folder.path),
    )
    os.mkfifo(server.log)
    return server


@pytest.fixture
def reader(server: LiveServer) -> Iterator[int]:
    """The end at which nobody reads yet; the pipe is full."""
    reader = os.open(server.log, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(server.log, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"before\n")
    os.set_blocking(reader, True)
    try:
        yield reader
    finally:
        os.close(writer)
        os.close(reader)


def test_a_service_whose_reader_has_stopped_goes_on(server: LiveServer, reader: int):
    """It starts, answers, finds a stuck worker, says what it has dropped, and ends when told to."""
    with server:
        worker = _worker(server)
        threading.Thread(target=_get, args=(server, "/stuck"), daemon=True).start()
        wait_until(lambda: _worker(server) not in {None, worker}, "a stuck worker is replaced")
        assert b"loud" == _get(server, "/loud")
        # Each process writes what it has kept when it is its turn.
        messages = (
            "were dropped, as nobody read them: 1\n",
            "still for 2 s, and is killed",
            "serves at",
        )
        read = _read_until(reader, messages)
        assert b"\n" + b"p" * SIZE + b"\n" in read
        assert b"l" * SIZE not in read
        assert b"loud" == _get(server, "/loud")  # the pipe is full again
        server.stop()


def _get(server: LiveServer, path: str) -> bytes | None:
    """Return the body of an answer; None without one."""
    with suppress(OSError, HTTPException):
        status, body = server.request("GET", path, timeout=WAIT_TIMEOUT)
        assert 200 == status
        return body
    return None


def _worker(server: LiveServer) -> bytes | None:
    return _get(server, "/pid")


def _read_until(reader: int, messages: Sequence[str]) -> bytes:
    """Read until all of these have come; returns what was read."""
    found = b""
    while not all(one.encode() in found for one in messages):
        assert select.select([reader], [], [], WAIT_TIMEOUT)[0]
        found += os.read(reader, 65536)
    return found

"""Workers that stand still, or have served enough, and the signals that tell more of them."""

import http.client
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path

import psutil
import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import free_port, is_listening, wait_until
from pegboard.testing.services import LiveServer

pytestmark = pytest.mark.slow

SHORT = 0.5
"""Seconds for which a connection that is kept is idle at most, half of what a stop waits for it."""


def ask(server: LiveServer, path: str, timeout: float = 30.0) -> tuple[int, str]:
    """Get a path on a connection of its own."""
    with closing(
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    ) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def begin(server: LiveServer, path: str) -> threading.Thread:
    """Ask on a thread, for an answer that never comes."""

    def run() -> None:
        with suppress(OSError, http.client.HTTPException):
            ask(server, path)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def answers(server: LiveServer) -> bool:
    """Return whether a view is served at once."""
    try:
        return ask(server, "/pid", timeout=0.5)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def listening(server: LiveServer) -> list[psutil.Process]:
    """Return the workers that serve."""
    return [one for one in psutil.Process(server.pid).children() if is_listening(one)]


def test_a_worker_whose_loop_stands_still_is_replaced(serve_stuck):
    """The log says where its threads were; the other worker is not touched."""
    server = serve_stuck(WORKERS="2", PEGBOARD_WORKER_TIMEOUT="2")
    wait_until(lambda: 2 == len(listening(server)), "both workers serve")
    begin(server, "/backtrack")
    killed = r"worker (\d) \(process (\d+)\) stands still for 2 s, and is killed"
    wait_until(lambda: bool(re.search(killed, server.output)), "it is killed", timeout=20)
    assert "in backtrack" in server.output
    wait_until(lambda: "has ended; it is replaced at once" in server.output, "replaced")
    wait_until(lambda: all(answers(server) for _ in range(8)), "all workers serve", timeout=20)
    assert 1 == len(re.findall(killed, server.output))
    assert "SIGKILL" not in server.output, "nobody else has killed it"
    assert "Unexpected exit" not in server.output


@pytest.mark.parametrize("path,frame", [("/wait", "in wait"), ("/staged", "in prepare")])
def test_a_worker_whose_threads_all_stand_still_is_replaced(serve_stuck, path: str, frame: str):
    """In a view or a stage, and though no client waits for long; its probe fails before."""
    server = serve_stuck(
        PEGBOARD_THREADS="2", PEGBOARD_WORKER_TIMEOUT="2", PEGBOARD_REQUEST_TIMEOUT="2"
    )

    def is_stuck() -> bool:
        # A busy machine may give one of them up before a thread takes it.
        for _ in range(2):
            begin(server, path)
        return not answers(server)

    wait_until(is_stuck, "a client has left in vain")
    seen = set()

    def is_replaced() -> bool:
        with suppress(OSError, http.client.HTTPException):
            seen.add(ask(server, "/health", timeout=1)[0])
        return "stands still for 2 s, and is killed" in server.output

    wait_until(is_replaced, "it is killed", timeout=20)
    assert frame in server.output
    assert 200 in seen
    wait_until(lambda: answers(server), "a new worker serves", timeout=20)


def test_a_worker_that_is_busy_or_whose_threads_have_nobody_waiting_stays(serve_stuck):
    """However long its views take; a stop that may cut them is told of at the start."""
    server = serve_stuck(
        PEGBOARD_THREADS="2", PEGBOARD_WORKER_TIMEOUT="2", PEGBOARD_SHUTDOWN_TIMEOUT="1"
    )
    pid = ask(server, "/pid")
    begin(server, "/wait")
    assert (200, "done") == ask(server, "/busy")
    assert pid == ask(server, "/pid")
    assert "stands still" not in server.output
    assert 1 == server.output.count("[PB_SETTINGS_CONTRADICT]")


@pytest.fixture
def delayed(serve_stuck) -> LiveServer:
    """A service of two workers that goes on serving for two seconds of its stop."""
    server: LiveServer = serve_stuck(WORKERS="2", PEGBOARD_DRAIN_DELAY="2")
    wait_until(lambda: 2 == len(listening(server)), "both workers serve")
    return server


STARTING = '''
import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import flask
import pegboard

FOLDER = Path("%s")
blueprint = flask.Blueprint("starting", __name__)


@blueprint.get("/pid")
def pid():
    return str(os.getpid())


@pegboard.hookimpl
def pegboard_setup(app):
    """Send the service signals at its start; later wait, and fail, as the test says."""
    if "serve" in sys.argv and not FOLDER.joinpath("begun").exists():
        FOLDER.joinpath("begun").touch()
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getppid(), number)
    while FOLDER.joinpath("wait").exists():
        time.sleep(0.02)
    if FOLDER.joinpath("fail").exists():
        raise RuntimeError("no start")


@pegboard.hookimpl
def pegboard_health_checks():
    """Check something with an event loop of its own, and what may hang, as it is not required."""
    return [
        pegboard.HealthCheck("own", lambda: asyncio.run(asyncio.sleep(0))),
        pegboard.HealthCheck("other", hang, is_required=False),
    ]


def hang():
    while FOLDER.joinpath("hang").exists():
        time.sleep(0.02)


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
'''


def test_a_worker_serves_until_the_one_that_replaces_it_does(
    live_server: StartService, plugin_folder: PluginFolder, tmp_path: Path
):
    """However long that takes to start, and if it fails. Signals before the start end nothing."""
    plugin_folder.add("starting", STARTING % tmp_path)
    management = f"127.0.0.1:{free_port()}"
    server = live_server(plugins=["starting"], PEGBOARD_MANAGEMENT=management)
    pid = ask(server, "/pid")

    def is_managed() -> bool:
        """The process of the management port has an app, and finds that all is well."""
        with suppress(OSError), closing(http.client.HTTPConnection(management)) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().status == HTTPStatus.OK
        return False

    wait_until(is_managed, "the management port has an app")

    def serves_until(happens: Callable[[], bool], what: str) -> None:
        def is_over() -> bool:
            assert pid == ask(server, "/pid")  # on a new connection
            return happens()

        wait_until(is_over, what)

    tmp_path.joinpath("wait").touch()
    os.kill(server.pid, signal.SIGHUP)
    # Beside both there is the process of the management port.
    serves_until(lambda: 3 == len(server.workers), "the new one starts")
    living = time.monotonic() + 4.0  # longer than Granian gives a new worker
    serves_until(lambda: time.monotonic() >= living, "the new one has lived for a while")
    tmp_path.joinpath("fail").touch()
    tmp_path.joinpath("wait").unlink()
    serves_until(lambda: "ended with exit code 1; it is replaced" in server.output, "it fails")
    assert "reloaded\n" not in server.output
    assert is_managed()
    tmp_path.joinpath("hang").touch()
    tmp_path.joinpath("fail").unlink()

    def is_reloaded() -> bool:
        assert 200 == ask(server, "/pid")[0]
        return "reloaded\n" in server.output

    wait_until(is_reloaded, "the next one serves")
    tmp_path.joinpath("hang").unlink()
    assert pid != ask(server, "/pid")
    wait_until(is_managed, "the management port has an app again")


def test_a_stop_is_told_before_anything_ends(delayed: LiveServer):
    """New connections are served all the same until the delay is over."""
    assert 200 == ask(delayed, "/health/ready")[0]
    os.kill(delayed.pid, signal.SIGTERM)
    wait_until(lambda: 503 == ask(delayed, "/health/ready")[0], "the stop is told")
    assert "not ready: the service is stopping" in ask(delayed, "/health/ready")[1]
    assert [200, 200] == [ask(delayed, path)[0] for path in ("/pid", "/health")]
    wait_until(lambda: not answers(delayed), "the service ends")


def test_a_worker_that_is_replaced_does_not_tell_of_a_stop(delayed: LiveServer):
    """As the service goes on."""
    os.kill(delayed.pid, signal.SIGHUP)

    def is_reloaded() -> bool:
        assert 200 == ask(delayed, "/health/ready")[0]
        return "reloaded" in delayed.output

    wait_until(is_reloaded, "the workers are replaced")


def test_a_worker_with_a_view_that_never_returns_ends_with_its_parent(serve_stuck):
    """When the time for a stop is over: an orphan would keep the port for good."""
    server = serve_stuck(PEGBOARD_SHUTDOWN_TIMEOUT="1")
    wait_until(lambda: 1 == len(listening(server)), "it serves")
    begin(server, "/wait")
    [worker] = listening(server)
    assert (200, str(worker.pid)) == ask(server, "/pid")
    os.kill(server.pid, signal.SIGKILL)
    worker.wait(timeout=30)


@pytest.mark.parametrize(
    "settings,reason",
    [
        ({"PEGBOARD_WORKER_LIFETIME": "2"}, r"it is \d s old"),
        ({"PEGBOARD_WORKER_MAX_REQUESTS": "20"}, r"it has taken \d+ requests"),
        ({"PEGBOARD_WORKER_MAX_RSS": "150"}, r"it has \d+ MiB of memory"),
    ],
)
def test_a_worker_that_has_served_enough_is_replaced(
    serve_stuck, settings: dict[str, str], reason: str
):
    """No request is lost: neither a new one nor one on a connection that is kept."""
    server = serve_stuck(**settings)
    first = ask(server, "/pid")
    ask(server, "/grow")
    kept_connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def get(connection: http.client.HTTPConnection) -> tuple[int, str]:
        connection.request("GET", "/pid")  # reconnects where the last answer said so
        response = connection.getresponse()
        return response.status, response.read().decode()

    def is_replaced(connection: http.client.HTTPConnection) -> bool:
        kept = get(connection)
        asked = time.monotonic()
        new = ask(server, "/pid")
        if time.monotonic() - asked > SHORT:
            connection.close()  # a stop waits for idle ones no longer than that
        assert {200} == {kept[0], new[0]}
        return first not in (kept, new)

    with closing(kept_connection) as connection:
        wait_until(lambda: is_replaced(connection), "another worker serves", timeout=30)
    assert re.search(rf"worker 1 \(process {first[1]}\) is replaced, as {reason}", server.output)


def test_a_worker_that_stands_still_does_not_hold_up_a_stop(serve_stuck):
    """It is killed as at any other time, and the log says where it was."""
    server = serve_stuck(PEGBOARD_WORKER_TIMEOUT="2", PEGBOARD_SHUTDOWN_TIMEOUT="600")
    begin(server, "/backtrack")
    wait_until(lambda: not answers(server), "it stands still")
    server.stop()
    assert "stands still for 2 s, and is killed" in server.output
    assert "in backtrack" in server.output
    assert "have not ended" not in server.output


def test_a_worker_that_dies_in_a_stop_is_told(serve_stuck):
    """As when the kernel needs its memory: the requests that it had are lost."""
    server = serve_stuck()
    wait_until(lambda: 1 == len(listening(server)), "it serves")
    begin(server, "/wait")
    [worker] = listening(server)
    os.kill(server.pid, signal.SIGTERM)

    def is_closed() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=0.5):
            return False
        return True

    wait_until(is_closed, "the worker has been told to stop")
    worker.kill()
    told = f"worker 1 (process {worker.pid}) was killed by SIGKILL, as it was about to stop"
    wait_until(lambda: told in server.output, "it is told")


def test_a_stop_waits_for_a_view_whose_client_has_left(serve_stuck):
    """The worker's loop has ended by then, and beats no more."""
    server = serve_stuck(PEGBOARD_WORKER_TIMEOUT="2")
    with suppress(OSError):
        ask(server, "/slow", timeout=1.0)
    server.stop()
    assert "is killed" not in server.output
    assert "the slow view has ended" in server.output


def test_a_signal_has_the_stacks_of_all_workers_logged(serve_stuck):
    """Nothing else happens to them."""
    server = serve_stuck(WORKERS="2")
    wait_until(lambda: 2 == len(listening(server)), "both workers serve")
    workers = listening(server)
    os.kill(server.pid, signal.SIGUSR1)
    wait_until(lambda: 2 == len(re.findall("threads of worker", server.output)), "both are logged")
    assert workers == listening(server)
    assert "most recent call first" in server.output
    assert answers(server)


def test_a_signal_has_more_logged_until_the_next(serve_stuck):
    """In all workers, and in the process that supervises them."""
    server = serve_stuck(PEGBOARD_LOG_LEVEL="ERROR")
    for level in ("DEBUG", "ERROR"):
        os.kill(server.pid, signal.SIGUSR2)
        wait_until(partial(is_told, server, f"the log has lines from {level} on"), level)


def is_told(server: LiveServer, message: str) -> bool:
    """Return whether the worker and the process above it have logged a message."""
    return 2 == server.output.count(message)

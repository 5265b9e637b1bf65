"""The management port of `pegboard serve`, while its workers stand still, are busy, and stop."""

import http.client
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pegboard.testing.processes import wait_until
from pegboard.testing.services import LiveServer, run_pegboard

pytestmark = pytest.mark.slow


@pytest.fixture
def serve(serve_stuck: Callable[..., LiveServer]) -> Callable[..., LiveServer]:
    """Start a service whose views stand still, with a management port on any free port."""

    def run(**settings: Any) -> LiveServer:
        return serve_stuck(
            **{"PEGBOARD_MANAGEMENT": "0", "PEGBOARD_SHUTDOWN_TIMEOUT": "1", **settings}
        )

    return run


class Management:
    """A client of the management port of a service."""

    def __init__(self, server: LiveServer) -> None:
        wait_until(lambda: "Management: " in server.output, "the port is announced")
        found = re.search(r"Management: http://127\.0\.0\.1:(\d+)", server.output)
        assert found is not None
        self.port = int(found[1])

    def ask(
        self, path: str, method: str = "GET", body: object = None
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Return the status, the body and the headers of an answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
            is_json = response.headers["Content-Type"] == "application/json"
            return response.status, json.loads(text) if is_json else text, response.headers

    def get(self, path: str) -> Any:
        """Return the body of an answer."""
        return self.ask(path)[1]

    def states(self) -> list[str]:
        """Return the states of the workers."""
        return [one["state"] for one in self.get("/workers")["workers"]]


def begin(server: LiveServer, path: str) -> None:
    """Ask on a thread, for an answer that never comes."""

    def run() -> None:
        with suppress(OSError):
            server.request("GET", path, timeout=60)

    threading.Thread(target=run, daemon=True).start()


def test_a_worker_that_stands_still_is_seen_and_its_threads_are(serve):
    """All is told meanwhile; who replaces it logs from the level on that was set."""
    server = serve(WORKERS="2", PEGBOARD_WORKER_TIMEOUT="8")
    management = Management(server)
    wait_until(lambda: ["serving"] * 2 == management.states(), "both serve")
    wait_until(lambda: 200 == management.ask("/health")[0], "it is healthy")
    answer = management.ask("/log-level", "PUT", {"level": "DEBUG"})[1]
    assert ["DEBUG"] * 2 == [one["level"] for one in answer["workers"]]
    wait_until(lambda: 3 < server.output.count("from DEBUG on"), "all four processes follow")

    begin(server, "/backtrack")
    wait_until(lambda: "still" in management.states(), "one stands still", timeout=30)
    status, ready, headers = management.ask("/health/ready")
    assert (200, ["all_workers"]) == (status, ready["degraded"])
    assert ("no-store", "Pegboard") == (headers["Cache-Control"], headers["Server"])
    workers = management.get("/workers")["workers"]
    [still] = [one for one in workers if one["state"] == "still"]
    assert still["memory_bytes"] > 2**20
    assert still["still_seconds"] >= 5
    [stacks] = [one for one in management.get("/threads")["workers"] if one["pid"] == still["pid"]]
    frames = [frame for thread in stacks["threads"] for frame in thread["frames"]]
    assert [frame for frame in frames if frame.endswith("in backtrack")]
    assert "stuck_up 1\n" == management.get("/metrics")
    assert "stuck" in [one["name"] for one in management.get("/plugins")["plugins"]]
    assert "PORT" in [one["setting"] for one in management.get("/config")["settings"]]

    def is_replaced() -> bool:
        found = management.get("/workers")["workers"]
        return still["pid"] not in [one["pid"] for one in found] and len(found) == 2

    wait_until(is_replaced, "it is replaced", timeout=40)
    wait_until(lambda: ["serving"] * 2 == management.states(), "both serve", timeout=30)
    levels = {one["log_level"] for one in management.get("/workers")["workers"]}
    assert {"DEBUG"} == levels


def test_all_is_told_while_no_thread_is_free(serve):
    """Also of each thread, and of a process of the port that was killed."""
    server = serve(PEGBOARD_THREADS="2", PEGBOARD_WORKER_TIMEOUT="0")
    management = Management(server)
    for _ in range(3):
        begin(server, "/wait")

    def waiting() -> int:
        [worker] = management.get("/threads")["workers"]
        return str(worker).count("in wait'")

    wait_until(lambda: waiting() >= 2, "both threads wait")
    wait_until(lambda: ["still"] == management.states(), "it stands still", timeout=30)
    assert 503 == management.ask("/health/ready")[0]
    assert 200 == management.ask("/health/live")[0]
    [worker] = management.get("/workers")["workers"]
    [beside] = [one for one in psutil.Process(server.pid).children() if one.pid != worker["pid"]]
    os.kill(beside.pid, signal.SIGKILL)
    assert 503 == management.ask("/health/ready")[0]
    assert "the process of the management port was killed by SIGKILL" in server.output


def test_a_stop_is_told_until_its_end(serve, tmp_path: Path):
    """A signal to all processes at once, as a service manager sends it, ends the port last."""
    path = tmp_path / "management.sock"
    path.write_bytes(b"")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server = serve(PEGBOARD_MANAGEMENT=f"unix:{path}", PEGBOARD_DRAIN_DELAY="2")
    wait_until(lambda: "Management: unix:" in server.output, "the socket is announced")

    def get(what: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(f"GET {what} HTTP/1.1\r\nHost: any\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                return answer.read().decode()

    wait_until(lambda: "200 OK" in get("/health/ready"), "it is ready")
    for process in [psutil.Process(server.pid), *psutil.Process(server.pid).children()]:
        process.send_signal(signal.SIGTERM)
    wait_until(lambda: "not ready: running" in get("/health/ready"), "the stop is told")
    assert '"leaving"' in get("/workers")
    assert 200 == server.request("GET", "/pid")[0]
    wait_until(lambda: not psutil.pid_exists(server.pid) or not path.exists(), "it ends")
    assert not path.exists()


def test_an_address_that_is_taken_stops_the_start(tmp_path: Path):
    """With the setting's name, before any worker is there."""
    settings = {"PEGBOARD_PLUGINS": "", "DATABASE_URL": "sqlite://"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = run_pegboard(
            "serve", "--port", "0", directory=tmp_path, PEGBOARD_MANAGEMENT=port, **settings
        )
    assert 1 == done.returncode
    assert f"cannot listen on 127.0.0.1:{port} (PEGBOARD_MANAGEMENT)" in done.stdout
    assert "PB_ADDRESS_UNAVAILABLE" in done.stdout
    assert "Pegboard serves" not in done.stdout

"""The metrics of a service with several workers, one of which is killed."""

import json
import os
import signal
import urllib.request
from collections.abc import Callable

import pytest

from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import free_port, wait_until
from pegboard_observe.folder import VARIABLE

COUNT = "pegboard_http_request_duration_seconds_count"
Read = Callable[..., float]


@pytest.mark.slow
def test_all_workers_are_told_of_and_none_is_forgotten(
    live_server: StartService, read: Read, monkeypatch: pytest.MonkeyPatch
):
    """By the management port; no counter goes back when one dies, and each has a line."""
    port = free_port()
    monkeypatch.delenv(VARIABLE)  # the service itself names the folder
    server = live_server(
        plugins=["observe"],
        WORKERS=2,
        MANAGEMENT=f"127.0.0.1:{port}",
        LOG_LEVEL="INFO",
        LOG_FORMAT="json",
    )

    def told(name: str = COUNT, **labels: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return read(answer.read(), name, **labels)

    asked: list[int] = []

    def have_both_served() -> bool:
        # On a busy machine one of them may serve long before the other.
        asked.append(server.request("GET", "/nothing")[0])
        return told("pegboard_workers") == 2

    wait_until(have_both_served, "both workers have served")
    assert {404} == {*asked}
    wait_until(lambda: told(status="404") == len(asked), "all are counted")
    assert 0 == told("pegboard_requests_given_up_total", reason="refused")
    os.kill(server.workers[0], signal.SIGKILL)
    wait_until(lambda: told("pegboard_workers") == 1, "its gauges are gone")
    assert len(asked) == told(status="404")
    assert 404 == server.request("GET", "/metrics")[0]
    server.stop()
    lines = [json.loads(line) for line in server.output.splitlines()]
    assert len(asked) + 1 == sum(line.get("status") == 404 for line in lines)

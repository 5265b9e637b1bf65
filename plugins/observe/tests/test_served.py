"""The metrics of a service with several workers, one of which is killed."""

import json
import os
import signal
from collections.abc import Callable

import pytest

from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import wait_until
from pegboard_observe.folder import VARIABLE

COUNT = "pegboard_http_request_duration_seconds_count"
Read = Callable[..., float]


def test_all_workers_are_told_of_and_none_is_forgotten(
    live_server: StartService, read: Read, monkeypatch: pytest.MonkeyPatch
):
    """Whichever is asked; no counter goes back when one dies, and the log has a line of each."""
    monkeypatch.delenv(VARIABLE)  # the service itself names the folder
    server = live_server(
        plugins=["observe"], WORKERS=2, OBSERVE_PUBLIC=True, LOG_LEVEL="INFO", LOG_FORMAT="json"
    )

    def told(name: str = COUNT, **labels: str) -> float:
        _, text = server.request("GET", "/metrics")
        return read(text, name, **labels)

    for _ in range(20):
        assert 404 == server.request("GET", "/nothing")[0]
    wait_until(lambda: told(status="404") == 20, "all are counted")
    wait_until(lambda: told("pegboard_workers") == 2, "both workers have served")
    os.kill(server.workers[0], signal.SIGKILL)
    wait_until(lambda: told("pegboard_worker_starts_total") == 3, "another one has served")
    assert 20 == told(status="404")
    server.stop()
    lines = [json.loads(line) for line in server.output.splitlines()]
    assert 20 == sum(line.get("status") == 404 for line in lines)

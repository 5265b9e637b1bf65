"""Workers that are stopped, or replaced; `tests/` has a service do it."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pegboard.server.workers.reload import Reload, has_ended


@pytest.fixture
def sleeper() -> Iterator[Any]:
    """A process that sleeps until it is killed."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    process.start()
    yield process
    process.kill()
    process.join()


def test_a_process_has_ended_before_its_exit_code_is_known(sleeper: Any) -> None:
    """As when another thread was told, and has not noted it yet: it is not killed for that."""
    worker: Any = SimpleNamespace(inner=sleeper)
    assert not has_ended(worker, by=time.monotonic())
    sleeper.kill()
    os.waitpid(sleeper.pid, 0)
    assert sleeper.is_alive(), "as far as Python knows"
    assert has_ended(worker, by=time.monotonic() + 60)
    sleeper._popen.returncode = -signal.SIGKILL


def test_a_worker_that_does_not_end_is_killed_once(caplog) -> None:
    """The log says which, and for how long it was waited for."""
    calls: list[str] = []
    inner = SimpleNamespace(pid=4711, is_alive=lambda: True, exitcode=None)

    def worker(name: str) -> Any:
        return SimpleNamespace(
            idx=0,
            inner=inner,
            terminate=lambda: calls.append(f"{name} is told"),
            kill=lambda: calls.append(f"{name} is killed"),
        )

    watch: Any = SimpleNamespace(
        is_serving=lambda _: True,
        mark_replaced=lambda _: None,
        note_kill=lambda _: None,
    )
    workers = [worker("old")]
    steps = Reload(watch, 1e-9, lambda: None)
    steps.begin([0])

    def start(index: int) -> None:
        workers[index] = worker("new")

    with caplog.at_level(logging.INFO, "pegboard"):
        assert not any(steps.advance(workers, start) for _ in range(6))
    assert ["old is told", "old is killed"] == calls
    [record] = caplog.records
    expected = "worker 1 (process 4711) has requests that have not ended after 1e-09 s"
    assert record.getMessage().startswith(expected)

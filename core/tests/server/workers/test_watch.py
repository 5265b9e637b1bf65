"""Workers that do not start, or have too much memory; `tests/` has them serve."""

import dataclasses
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pegboard.server import Limits, Roster
from pegboard.server.workers import watch
from pegboard.server.workers.pulse import Pulse
from pegboard.server.workers.watch import Watch
from pegboard.testing.processes import wait_until

LIMITS = Limits(
    workers=1,
    threads=1,
    backlog=1,
    header_timeout=1,
    keep_alive_timeout=1,
    connections_per_client=1,
    shutdown_timeout=1,
)

Begin = Callable[..., tuple[Watch, Any]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start a process in the place of a worker, which is watched."""
    roster, processes = Roster(1), []

    def start(
        run: Callable[[Pulse], object], beside: Watch | None = None, **limits: Any
    ) -> tuple[Watch, Any]:
        pulse = roster.take(1)
        process = multiprocessing.get_context("fork").Process(target=run, args=(pulse,))
        process.start()
        processes.append(process)
        watched = beside or Watch(dataclasses.replace(LIMITS, **limits), roster)
        worker: Any = Worker(idx=0, inner=process, birth=time.monotonic())
        watched.add(worker, pulse)
        return watched, worker

    yield start
    for process in processes:
        process.kill()
        process.join()
    roster.close()


class Worker(SimpleNamespace):
    """What Granian has of a worker, as far as it is watched."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def never_start(pulse: Pulse) -> None:
    """Stand still before the first beat."""
    pulse.begin()
    threading.Event().wait()


def serve(pulse: Pulse) -> None:
    """Serve, with the memory that a new worker has."""
    pulse.begin()
    pulse.vitals.fresh_memory = 80 * 2**20
    for _ in range(2):
        pulse.beat()
    threading.Event().wait()


@pytest.mark.slow
def test_a_worker_that_does_not_start_is_killed(begin: Begin, caplog):
    """The log says where it is; it does not serve, so that no other one is stopped for it."""
    watched, worker = begin(never_start, worker_start_timeout=0.2, worker_timeout=0.1)

    def is_killed() -> bool:
        watched.kill_still()
        assert not watched.is_serving(worker)
        return bool(worker.inner.exitcode == -signal.SIGKILL)

    wait_until(is_killed, "it is killed")
    assert "worker 1" in caplog.text
    assert "does not serve after 0.2 s, and is killed" in caplog.text
    assert "in never_start" in caplog.text


def test_a_worker_whose_memory_was_too_much_from_the_start_stays(begin: Begin, caplog, monkeypatch):
    """The next one would have as much; an operator is told once."""
    watched, worker = begin(serve, worker_max_rss=60)
    monkeypatch.setattr(watch, "memory_of", lambda _: {1: 85 * 2**20})
    wait_until(lambda: watched.is_serving(worker), "it serves")
    assert [None, None] == [watched.find_old([worker]) for _ in range(2)]
    [warning] = caplog.messages
    assert "80 MiB, and PEGBOARD_WORKER_MAX_RSS is 60; raise PEGBOARD_WORKER_MAX_RSS" in warning


@pytest.mark.parametrize("age,level", [(10.0, "WARNING"), (61.0, "INFO")])
def test_a_worker_whose_memory_has_grown_is_replaced(
    begin: Begin, caplog, monkeypatch: pytest.MonkeyPatch, age: float, level: str
):
    """With a warning if that was so soon that all workers will be replaced again and again."""
    watched, worker = begin(serve, worker_max_rss=81)
    monkeypatch.setattr(watch, "memory_of", lambda _: {1: 85 * 2**20})
    wait_until(lambda: watched.is_serving(worker), "it serves")
    worker.birth -= age
    with caplog.at_level("INFO"):
        assert worker is watched.find_old([worker])
    [record] = caplog.records
    assert level == record.levelname
    assert "is replaced, as it has 85 MiB of memory" in record.message


def test_the_oldest_that_has_served_enough_is_replaced(begin: Begin, caplog):
    """Else the first, which soon has served enough again, would keep the others waiting."""
    watched, young = begin(serve, worker_lifetime=0.1)
    _, old = begin(serve, watched)
    workers = [young, old]
    wait_until(lambda: all(map(watched.is_serving, workers)), "both serve")
    old.birth -= 5.0
    young.birth -= 1.0
    assert old is watched.find_old(workers)
    [warning] = caplog.messages
    assert "s after its start; raise PEGBOARD_WORKER_LIFETIME" in warning

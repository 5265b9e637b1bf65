"""The process beside the workers, in real forks."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pegboard.server import companion
from pegboard.server.companion import Companion, Leash
from pegboard.testing.processes import wait_until

Keep = Callable[[Callable[[Leash], object]], Companion]


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keep]:
    """Start what may stand still for a tenth of a second."""
    monkeypatch.setattr(companion, "PAUSE", 0.0)
    kept: list[Companion] = []

    def start(run: Callable[[Leash], object]) -> Companion:
        kept.append(Companion("the process", run, 0.1))
        kept[-1].keep()
        return kept[-1]

    yield start
    for one in kept:
        one.close()


def stand_still(leash: Leash) -> None:
    """Beat once, and then never."""
    leash.beat()
    threading.Event().wait()


def test_one_that_stands_still_is_killed_and_replaced(keep: Keep, caplog):
    """The log says where it stood."""
    kept = keep(stand_still)

    def is_replaced() -> bool:
        kept.keep()
        return "the process was killed by SIGKILL; it is replaced" in caplog.text

    wait_until(is_replaced, "it is replaced")
    assert "the process stands still for 0.1 s, and is killed" in caplog.text
    assert "in stand_still" in caplog.text


def test_one_that_goes_on_stays(keep: Keep, caplog):
    """As long as it beats, whatever the time."""

    def go_on(leash: Leash) -> None:
        while not leash.wait(0.01):
            leash.beat()

    kept, end = keep(go_on), time.monotonic() + 0.5

    def is_over() -> bool:
        kept.keep()
        return time.monotonic() >= end

    wait_until(is_over, "it would have been killed")
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]

"""The process beside the workers, in real forks."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from pegboard.server.workers import companion
from pegboard.server.workers.companion import Companion, Leash
from pegboard.testing.processes import wait_until

Keep = Callable[[Callable[[Leash], object], float], Companion]


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keep]:
    """Start what may stand still for some seconds."""
    monkeypatch.setattr(companion, "PAUSE", 0.0)
    kept: list[Companion] = []

    def start(run: Callable[[Leash], object], still_timeout: float) -> Companion:
        kept.append(Companion("the process", run, still_timeout))
        kept[-1].keep()
        return kept[-1]

    yield start
    for one in kept:
        one.close()


def stand_still(leash: Leash) -> None:
    """Beat once, and then never."""
    leash.beat()
    threading.Event().wait()


@pytest.mark.slow
def test_one_that_stands_still_is_killed_and_replaced(keep: Keep, caplog):
    """The log says where it stood."""
    kept = keep(stand_still, 1.0)

    def is_replaced() -> bool:
        kept.keep()
        where = caplog.text.partition("in stand_still")[2]  # a slow one is killed before it begins
        return "the process was killed by SIGKILL; it is replaced" in where

    wait_until(is_replaced, "it is replaced")
    assert "the process stands still for 1 s, and is killed" in caplog.text
    assert "SIGUSR1" not in caplog.text


def test_one_that_goes_on_stays(keep: Keep, caplog):
    """As long as it beats."""

    def go_on(leash: Leash) -> None:
        while not leash.wait(0.01):
            leash.beat()

    kept = keep(go_on, 60.0)

    def goes_on() -> bool:
        kept.keep()
        return kept._pulse.vitals.beats > 2

    wait_until(goes_on, "it beats")
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_one_that_has_ended_by_itself_is_stopped(keep: Keep):
    """Before anybody has noticed it: the service stops just then."""
    kept = keep(lambda _leash: None, 60.0)
    process = kept._process
    assert process is not None
    process.join()
    kept.stop()
    assert kept._process is None

"""Functions in processes of their own."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import click
import pytest

from pegboard import StartupError
from pegboard.problems import Code, Problem
from pegboard.server import call_isolated


def nothing() -> None:
    """Do nothing."""


def test_the_result_is_that_of_another_process():
    """The caller does something else meanwhile."""
    done: list[int] = []
    found = call_isolated(os.getpid, meanwhile=lambda: done.append(os.getpid()))
    assert os.getpid() != found
    assert [os.getpid()] == done


def test_a_thread_that_goes_on_is_not_waited_for():
    """Its process ends with the function."""

    def start() -> str:
        threading.Thread(target=threading.Event().wait).start()
        return "done"

    assert "done" == call_isolated(start, meanwhile=nothing)


def cannot_start() -> NoReturn:
    """Find a problem."""
    raise StartupError([Problem(Code.DATABASE_BEHIND, "a problem", "a hint")])


def fail() -> NoReturn:
    """Have a bug."""
    raise ZeroDivisionError


def refuse() -> NoReturn:
    """Refuse an argument."""
    message = "an argument"
    raise click.UsageError(message)


def be_killed() -> NoReturn:
    """End by a signal."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(
    "function,code,text",
    [
        (cannot_start, 1, "  - a problem"),
        (fail, 1, "Traceback"),
        (refuse, 2, "Error: an argument"),
        (lambda: sys.exit(3), 3, ""),
        (lambda: sys.exit("a reason"), 1, "a reason"),
        (sys.exit, 0, ""),
    ],
    ids=["problem", "bug", "usage", "code", "text", "no code"],
)
def test_an_error_is_told_once_with_its_code(
    capfd: pytest.CaptureFixture[str], function: Callable[[], object], code: int, text: str
):
    """By the process that meets it; the caller exits with the same code."""
    with pytest.raises(SystemExit) as caught:
        call_isolated(function, meanwhile=nothing)
    told = capfd.readouterr().err
    assert code == caught.value.code
    assert told.count(text) == 1 if text else told == ""


def test_a_process_that_is_killed_is_told():
    """As when the kernel has no memory left."""
    with pytest.raises(SystemExit, match="ended by signal 9"):
        call_isolated(be_killed, meanwhile=nothing)


def test_an_interrupted_caller_does_not_wait():
    """The other process is stopped."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_isolated(threading.Event().wait, meanwhile=interrupt)

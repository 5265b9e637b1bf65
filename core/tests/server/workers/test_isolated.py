"""Functions in processes of their own."""

import atexit
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click
import psutil
import pytest

from pegboard import StartupError
from pegboard.logs import init_logs
from pegboard.problems import Code, Problem
from pegboard.server import call_isolated
from pegboard.server.workers import isolated


@pytest.mark.slow
def test_the_result_is_that_of_another_process():
    """It has ended when its result is returned."""
    found = call_isolated(os.getpid)
    assert os.getpid() != found
    assert not psutil.pid_exists(found)


def test_a_thread_that_goes_on_is_not_waited_for():
    """Its process ends with the function."""

    def start() -> str:
        threading.Thread(target=threading.Event().wait).start()
        return "done"

    assert "done" == call_isolated(start)


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
        (lambda: sys.exit(-1), 255, ""),
    ],
    ids=["problem", "bug", "usage", "code", "text", "no code", "negative code"],
)
def test_an_error_is_told_once_with_its_code(
    capfd: pytest.CaptureFixture[str], function: Callable[[], object], code: int, text: str
):
    """By the process that meets it; the caller exits with the same code."""
    with pytest.raises(SystemExit) as caught:
        call_isolated(function)
    told = capfd.readouterr().err
    assert code == caught.value.code
    assert told.count(text) == 1 if text else told == ""


@pytest.mark.parametrize("function", [cannot_start, fail, refuse, lambda: sys.exit("a reason")])
def test_an_error_is_a_line_of_a_log_that_is_json(
    capfd: pytest.CaptureFixture[str], function: Callable[[], object]
):
    """So that what collects logs can read it."""

    def run() -> None:
        init_logs("INFO", "json", ())
        function()

    with pytest.raises(SystemExit):
        call_isolated(run)
    line = json.loads(capfd.readouterr().err)
    assert "CRITICAL" == line["level"]
    if function is cannot_start:
        assert (Code.DATABASE_BEHIND, "a hint") == (line["code"], line["hint"])


def test_a_process_that_is_killed_is_told(capfd: pytest.CaptureFixture[str]):
    """As when the kernel has no memory left; with the exit code that a shell would see."""
    with pytest.raises(SystemExit) as caught:
        call_isolated(be_killed)
    assert 128 + signal.SIGKILL == caught.value.code
    assert "ended by signal 9" in capfd.readouterr().err


@pytest.mark.slow
def test_an_interrupted_caller_does_not_wait():
    """The other process is stopped."""

    def interrupt_the_caller() -> None:
        os.kill(os.getppid(), signal.SIGINT)
        threading.Event().wait()

    # A shell lets commands in the background ignore this signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            call_isolated(interrupt_the_caller)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, EOFError, click.Abort])
def test_an_interrupted_function_aborts_its_caller(
    capfd: pytest.CaptureFixture[str], error: type[BaseException]
):
    """As a command does that is interrupted itself; click tells it, once."""

    def interrupt() -> NoReturn:
        raise error

    with pytest.raises(click.Abort):
        call_isolated(interrupt)
    assert not capfd.readouterr().err


@pytest.mark.slow
def test_a_function_can_read_standard_input():
    """So a debugger can be used in it."""
    reader, writer = os.pipe()
    os.write(writer, b"continue\n")
    os.close(writer)
    before = os.dup(0)
    try:
        os.dup2(reader, 0)
        assert "continue" == call_isolated(input)
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reader)


@pytest.mark.parametrize("fails", [False, True])
def test_exit_handlers_of_the_function_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
):
    """Of it alone: those of its caller are for the caller's own end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = tempfile.TemporaryDirectory()
    made: list[object] = []

    def make() -> None:
        made.append(tempfile.TemporaryDirectory())
        atexit.register((tmp_path / "exited").touch)
        threading.Thread(target=threading.Event().wait).start()
        assert not fails

    with kept:
        with suppress(SystemExit):
            call_isolated(make)
        assert {"exited", Path(kept.name).name} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_an_exit_handler_that_waits_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """After a time."""
    monkeypatch.setattr(isolated, "EXIT_TIME", 0.1)

    def register() -> str:
        atexit.register(threading.Event().wait)
        return "done"

    assert "done" == call_isolated(register)


def test_processes_of_the_function_end_with_it():
    """Although multiprocessing would wait for them."""

    def start() -> int | None:
        process = multiprocessing.get_context("fork").Process(target=signal.pause)
        process.start()
        return process.pid

    assert not psutil.pid_exists(call_isolated(start) or 0)

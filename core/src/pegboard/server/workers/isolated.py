"""Calling a function in a process of its own, so that nothing it does lasts in this one.

To check a service means to build its app, and plugins register names and start threads when it is
built. Workers that forked from a process which has done so would do it a second time.
"""

import atexit
import faulthandler
import logging
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from pegboard.server.workers.refusal import tell, tell_error
from pegboard.server.workers.stopping import stop_with_parent

T = TypeVar("T")

EXIT_TIME = 5.0
"""Seconds that exit handlers may take in the process of a function."""

_INTERRUPT_TIME = 1.0
"""Seconds that the process of a function may go on after Ctrl-C, which reaches it as well."""

# A fork shares what is imported already; elsewhere than on Linux it is not safe.
_CONTEXT = (
    multiprocessing.get_context("fork")
    if sys.platform == "linux"
    else multiprocessing.get_context("spawn")
)


def call_isolated(
    function: Callable[[], T], *, meanwhile: Callable[[], object] = lambda: None
) -> T:
    """Return what a function returns in a process of its own, which has ended by then.

    `meanwhile` is called here, while that process works.
    The function and its result must be picklable; it may read standard input. Exit handlers
    (`atexit`) that it registers are run, threads that it starts are not waited for. If it raises,
    its process prints the error as a command does, and `SystemExit` is raised here: with its exit
    code, or with 128 and the number of the signal that ended it. `click.Abort` is raised when it is
    interrupted.
    """
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_call, args=(function, sender), name="pegboard-check")
    process.start()
    sender.close()
    try:
        meanwhile()
        with suppress(EOFError):
            result: T = receiver.recv()
            process.join()
            return result
        process.join()
    except BaseException:  # as KeyboardInterrupt
        try:
            process.join(_INTERRUPT_TIME)
        finally:
            process.terminate()
            process.join(_INTERRUPT_TIME)
            process.kill()
        raise
    finally:
        receiver.close()
    code = process.exitcode or 0
    if code == -signal.SIGINT:
        raise click.Abort
    if code < 0:
        tell(f"Error: the process that checks the service ended by signal {-code}")
        code = 128 - code
    sys.exit(code)


@contextmanager
def ended_after(seconds: float, stacks: str) -> Iterator[None]:
    """End this process if the block takes longer, though a call holds the interpreter's lock.

    Where its threads were is then in the file `stacks`. After 0 seconds nothing is ended.
    """
    if not seconds:
        yield
        return
    with Path(stacks).open("w") as file:
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _call(function: Callable[[], object], sender: Connection) -> NoReturn:
    code = 1
    try:
        _begin()
        sender.send(function())
        code = 0
    except click.ClickException as error:
        tell_error(error)
        code = error.exit_code
    except SystemExit as error:
        code = error.code & 0xFF if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            tell(error.code)
    except (KeyboardInterrupt, EOFError, click.Abort):  # which click takes for the same
        code = -signal.SIGINT
    except BaseException as error:  # noqa: BLE001 - no process is above this one to tell it
        tell_error(error)
    finally:
        _end(code)


def _begin() -> None:
    """Forget the exit handlers of the parent, and read its standard input."""
    atexit._clear()  # noqa: SLF001 - there is no public way, here and below
    # They are run by one exit handler, which the next finalizer then registers anew.
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]  # noqa: SLF001
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]  # noqa: SLF001
    atexit.register(logging.shutdown)
    if sys.__stdin__ is not None:  # `multiprocessing` has put /dev/null in its place
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays open
    stop_with_parent()


def _end(code: int) -> NoReturn:
    """Run exit handlers, for `EXIT_TIME` at most, and end with an exit code or by a signal.

    `sys.exit` would also wait for threads and processes that plugins have started.
    """
    try:
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
        late = threading.Timer(EXIT_TIME, _exit, (code,))
        late.daemon = True
        late.start()
        for child in multiprocessing.active_children():
            child.terminate()
        atexit._run_exitfuncs()  # noqa: SLF001
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]  # noqa: SLF001
    finally:
        _exit(code)


def _exit(code: int) -> NoReturn:
    with suppress(AttributeError, OSError, ValueError):  # they are closed, or not read any more
        sys.stdout.flush()
        sys.stderr.flush()
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)

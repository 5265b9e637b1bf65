"""Calling a function in a process of its own, so that nothing it does lasts in this one.

To check a service means to build its app, and plugins register names and start threads when it is
built. Workers that forked from a process which has done so would do it a second time.
"""

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NoReturn, TypeVar

import click

from pegboard.server.shutdown import stop_with_parent

T = TypeVar("T")

# A fork shares what is imported already; elsewhere than on Linux it is not safe.
_CONTEXT = (
    multiprocessing.get_context("fork")
    if sys.platform == "linux"
    else multiprocessing.get_context("spawn")
)


def call_isolated(function: Callable[[], T], *, meanwhile: Callable[[], None]) -> T:
    """Return what a function returns in a process of its own, which ends at once.

    The function and its result must be picklable. If it raises, its process prints the error as a
    command does, and `SystemExit` with the exit code is raised here. This process calls `meanwhile`
    before it waits.
    """
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_call, args=(function, sender), name="pegboard-check")
    process.start()
    sender.close()
    try:
        meanwhile()
        result: T = receiver.recv()
    except EOFError:
        process.join()
        code = process.exitcode or 0
        if code < 0:
            sys.exit(f"Error: the process that checks the service ended by signal {-code}")
        sys.exit(code)
    except BaseException:  # as KeyboardInterrupt
        process.terminate()
        raise
    process.join()
    return result


def _call(function: Callable[[], object], sender: Connection) -> NoReturn:
    stop_with_parent()
    code = 1
    try:
        sender.send(function())
        code = 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            click.echo(error.code, err=True)
    except BaseException as error:  # noqa: BLE001 - no process is above this one to tell it
        if not isinstance(error, KeyboardInterrupt):  # the parent is interrupted, too
            traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not `sys.exit`: that would wait for threads that plugins have started.
        os._exit(code)

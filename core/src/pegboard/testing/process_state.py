"""What all code of a process shares, compared before and after a plugin is used."""

import asyncio
import builtins
import csv
import decimal
import faulthandler
import gc
import locale
import logging
import mimetypes
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from pegboard.grading import HOSTS

_LOGGERS = sorted({*HOSTS, "sqlalchemy.engine", "sqlalchemy.orm", "sqlalchemy.pool"})


def process_state() -> dict[str, str]:
    """Return what all code of a process shares, by what to call it."""
    variables = {
        f"os.environ[{name!r}]": repr(value)
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    signals = {f"the handler of {one.name}": repr(signal.getsignal(one)) for one in signal.Signals}
    limits = {
        f"the limit {name}": repr(resource.getrlimit(getattr(resource, name)))
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    }
    loggers = {f"the logger {name}": _describe(logging.getLogger(name)) for name in _LOGGERS}
    return {
        "the variables of os.environ": ", ".join(sorted(variables)),
        **variables,
        **signals,
        **limits,
        **loggers,
        "the root logger": _describe(logging.getLogger()),
        "the level up to which logging is disabled": repr(logging.root.manager.disable),
        "the working directory": str(Path.cwd()),
        "sys.path": repr(sys.path),
        "the default time-out of sockets": repr(socket.getdefaulttimeout()),
        "sys.excepthook": repr(sys.excepthook),
        "threading.excepthook": repr(threading.excepthook),
        "sys.unraisablehook": repr(sys.unraisablehook),
        "sys.displayhook": repr(sys.displayhook),
        "sys.settrace and sys.setprofile": repr((sys.gettrace(), sys.getprofile())),
        "sys.tracebacklimit": repr(getattr(sys, "tracebacklimit", None)),
        "the hooks of asynchronous generators": repr(tuple(sys.get_asyncgen_hooks())),
        "the tracking of coroutines": repr(sys.get_coroutine_origin_tracking_depth()),
        "the tracing of memory": repr(tracemalloc.is_tracing()),
        "faulthandler": "on" if faulthandler.is_enabled() else "off",
        "the writing of bytecode": repr((sys.dont_write_bytecode, sys.pycache_prefix)),
        "sys.meta_path": _names(sys.meta_path),
        "sys.path_hooks": _names(sys.path_hooks),
        "sys.stdin, sys.stdout and sys.stderr": repr((sys.stdin, sys.stdout, sys.stderr)),
        "the names of builtins": ", ".join(sorted(vars(builtins))),
        "the names of log levels": _pairs(logging.getLevelNamesMapping()),
        "the class of loggers": repr(logging.getLoggerClass()),
        "the factory of log records": repr(logging.getLogRecordFactory()),
        "the types of files": _pairs(_file_types()),
        "the context of decimals": repr(decimal.getcontext()),
        "decimal.DefaultContext": repr(decimal.DefaultContext),
        "the mask of new files": oct(_umask()),
        "the time zone": repr(time.tzname),
        "the priority": repr(os.getpriority(os.PRIO_PROCESS, 0)),
        "the timers": repr([bool(signal.getitimer(one)[0]) for one in _TIMERS]),
        "the blocked signals": repr(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "the threads": repr(sorted(one.name for one in threading.enumerate() if not one.daemon)),
        "the stack of new threads": repr(threading.stack_size()),
        "the policy of event loops": _event_loop_policy(),
        "the start of new processes": _start_method(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the garbage collector": f"{gc.isenabled()}, {gc.get_threshold()}, {gc.get_debug()}",
        "the recursion limit": repr(sys.getrecursionlimit()),
        "the switch interval": repr(sys.getswitchinterval()),
        "the digits of numbers in texts": repr(sys.get_int_max_str_digits()),
        "the dialects of csv": repr(csv.list_dialects()),
        "the longest field of csv": repr(csv.field_size_limit()),
    }


_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


_LISTS = {
    *("the variables of os.environ", "the names of builtins", "the names of log levels"),
    "the types of files",
}
"""What is long: of these a message shows what differs."""


def changed_state(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return what is otherwise than before, as a sentence each."""
    found = []
    for name, was in before.items():
        now = after.get(name, "not there")
        if was != now and name in _LISTS:
            old, new = {*was.split(", ")}, {*now.split(", ")}
            told = [f"have {', '.join(sorted(new - old))}"] if new - old else []
            told += [f"lack {', '.join(sorted(old - new))}"] if old - new else []
            found.append(f"{name} {' and '.join(told)}")
        elif was != now:
            found.append(f"{name} was {was} and is {now}")
    return found


def _pairs(found: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(found.items()))


def _names(found: Iterable[object]) -> str:
    """Return names by which objects without one of their own can be told apart."""
    return ", ".join(getattr(one, "__qualname__", type(one).__qualname__) for one in found)


def _file_types() -> dict[str, str]:
    if not mimetypes.inited:
        mimetypes.init()
    return mimetypes.types_map


def _event_loop_policy() -> str:
    with warnings.catch_warnings():  # it is deprecated, and has an effect as long as it is there
        warnings.simplefilter("ignore", DeprecationWarning)
        return _names([asyncio.get_event_loop_policy()])


def _start_method() -> str:
    """Return how new processes are started; whoever starts one chooses the default for all."""
    return (
        multiprocessing.get_start_method(allow_none=True)
        or (multiprocessing.get_all_start_methods()[0])
    )


def _umask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _describe(logger: logging.Logger) -> str:
    handlers = ", ".join(type(one).__name__ for one in logger.handlers) or "none"
    is_off = "" if logger.propagate and not logger.disabled else ", cut off"
    filters = f" and the filters {_names(logger.filters)}" if logger.filters else ""
    return f"{logging.getLevelName(logger.level)} with the handlers {handlers}{filters}{is_off}"

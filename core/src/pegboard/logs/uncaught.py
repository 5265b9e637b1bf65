"""What Python itself writes to standard error: warnings, and errors that nothing handles.

Where the log is JSON these are lines of it, too, so that a collector of logs can read every line.
Hooks that other packages have put in place of Python's own stay as they are.
"""

import logging
import sys
import threading
import warnings
from types import ModuleType, TracebackType
from typing import Any, TextIO

logger = logging.getLogger("pegboard.uncaught")


def log_uncaught() -> None:
    """Log it from now on."""
    for module, name, theirs, ours in _HOOKS:
        if getattr(module, name) is theirs:
            setattr(module, name, ours)


def print_uncaught() -> None:
    """Have Python print it, as it does at first."""
    for module, name, theirs, ours in _HOOKS:
        if getattr(module, name) is ours:
            setattr(module, name, theirs)


def _end(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    logger.critical("the process ends by an error", exc_info=(kind, error, place))


def _end_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    name = "of no name" if args.thread is None else args.thread.name
    error = args.exc_value or args.exc_type()
    logger.error("a thread ends by an error: %s", name, exc_info=error)


def _ignore(args: "sys.UnraisableHookArgs") -> None:
    """Log an error in a place from which none can be raised, as in `__del__`."""
    try:
        place = repr(args.object)
    except Exception:  # noqa: BLE001 - it may be half gone
        place = type(args.object).__name__
    reason = args.err_msg or "Exception ignored in"
    logger.error("%s: %s", reason, place, exc_info=args.exc_value)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if file is None:
        logger.warning("%s: %s (%s:%d)", category.__name__, message, filename, lineno)
    else:
        file.write(warnings.formatwarning(message, category, filename, lineno, line))


_HOOKS: tuple[tuple[ModuleType, str, Any, Any], ...] = (
    (sys, "excepthook", sys.__excepthook__, _end),
    (sys, "unraisablehook", sys.__unraisablehook__, _ignore),
    (threading, "excepthook", threading.__excepthook__, _end_thread),
    (warnings, "showwarning", warnings.showwarning, _warn),
)

"""The log: from which level on, of whom, and to where; `lines` has how one is written."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from pegboard.logs.lines import MachineFormatter, formatter_of
from pegboard.logs.uncaught import log_uncaught, print_uncaught

logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("pegboard_request_id", default="-")
trace_id: ContextVar[str] = ContextVar("pegboard_trace_id", default="-")
_told: ContextVar[set[str] | None] = ContextVar("pegboard_told", default=None)

LEVELS = ("", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""The levels from which on can be logged; the first one is as configured."""

_BROKEN = "pegboard.logs.broken"
"""The logger of records that could not be written as they were."""


class RequestFilter(logging.Filter):
    """Adds the ids of the current request to a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set `request_id` and `trace_id`; no record is dropped."""
        record.request_id = request_id.get()
        record.trace_id = trace_id.get()
        return True


def _is_new(record: logging.LogRecord) -> bool:
    """Return whether a record is none that `warnings_once` leaves out."""
    told = _told.get()
    if told is None or record.levelno < logging.WARNING:
        return True
    message = record.getMessage()
    is_new = message not in told
    told.add(message)
    return is_new


class PlatformHandler(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, which a test or a server may replace."""

    def __init__(self, level: str = "INFO", packages: Iterable[str] = ()) -> None:
        logging.Handler.__init__(self)
        self.levels = dict.fromkeys(("pegboard", *packages), level)
        """The configured level of each package that is the platform's or a plugin's."""
        self.addFilter(RequestFilter())
        self.addFilter(_is_new)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute in the parent
        """The current standard error of the process."""
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Log that a record cannot be written as its code wants it; else it would be text."""
        if not isinstance(self.formatter, MachineFormatter) or record.name == _BROKEN:
            super().handleError(record)
            return
        place = f"{record.pathname}:{record.lineno}"
        message = f"a line of the log cannot be made of {str(record.msg)[:200]!r} ({place})"
        error = sys.exc_info()
        self.handle(logging.LogRecord(_BROKEN, logging.ERROR, "", 0, message, None, error))


def init_logs(level: str, style: str, packages: Iterable[str]) -> None:
    """Log the core and the `packages` of plugins from `level` on, other libraries from WARNING on.

    `style` is `human` or `json`. All apps of a process share its logging: the last call decides.
    """
    handler = PlatformHandler(level, packages)
    handler.setFormatter(formatter_of(style))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, PlatformHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    for package in handler.levels:
        logging.getLogger(package).setLevel(level)
    if style == "json":
        log_uncaught()
    else:
        print_uncaught()


def is_json() -> bool:
    """Return whether the log is JSON, and so everything that the process tells has to be."""
    return any(
        isinstance(handler, PlatformHandler) and isinstance(handler.formatter, MachineFormatter)
        for handler in logging.getLogger().handlers
    )


def set_level(level: str | None) -> None:
    """Log from this level on, one of `LEVELS`; None is as configured."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PlatformHandler):
            logging.getLogger("pegboard").setLevel(logging.DEBUG)
            logger.warning("the log has lines from %s on", level or handler.levels["pegboard"])
            for package, configured in handler.levels.items():
                logging.getLogger(package).setLevel(level or configured)


@contextmanager
def no_warnings() -> Iterator[None]:
    """Log nothing below errors, while an app is built that serves nothing."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def warnings_once(told: set[str]) -> Iterator[None]:
    """Log no warning or error that is in `told`, and add to it those that are logged.

    It concerns the current thread. Each process of a service builds the same app, and logs the
    same warnings while it does so.
    """
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


@contextmanager
def not_logged(kind: type[object]) -> Iterator[None]:
    """Keep out of the log what a command prints itself: records with an argument of the kind."""

    def keep(record: logging.LogRecord) -> bool:
        return not any(isinstance(one, kind) for one in record.args or ())

    logger = logging.getLogger("pegboard")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)

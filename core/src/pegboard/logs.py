"""Log lines: readable in development, JSON in production, each with its request's id."""

import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("pegboard_request_id", default="-")
trace_id: ContextVar[str] = ContextVar("pegboard_trace_id", default="-")

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


class RequestFilter(logging.Filter):
    """Adds the ids of the request that is being served to a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, with `request_id` and `trace_id`."""
        record.request_id = request_id.get()
        record.trace_id = trace_id.get()
        return True


class HumanFormatter(logging.Formatter):
    """One line a record; control characters of a message are escaped, so none can forge a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the line, to which `logging` appends a trace where there is one."""
        record.message = record.message.translate(_CONTROLS)
        return super().formatMessage(record)


class PlatformHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the time, as a test or a server may replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.addFilter(RequestFilter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute in the parent
        """The process's standard error."""
        return sys.stderr


def init_logs(level: str, style: str, packages: Iterable[str]) -> None:
    """Log the core and the plugins' packages from `level` on, other libraries from WARNING on.

    Logging belongs to the process: the app that was built last decides.
    """
    handler = PlatformHandler()
    handler.setFormatter(_formatter(style))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, PlatformHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    for package in ("pegboard", *packages):
        logging.getLogger(package).setLevel(level)


def _formatter(style: str) -> logging.Formatter:
    if style == "json":
        return JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s %(trace_id)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    line = "%(asctime)s %(levelname)-7s [%(request_id)s] %(name)s: %(message)s"
    return HumanFormatter(line, datefmt="%H:%M:%S")

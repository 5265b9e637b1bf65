"""Log lines: plain text in development, JSON in production, each with the id of its request."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from pegboard.uncaught import log_uncaught, print_uncaught

logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("pegboard_request_id", default="-")
trace_id: ContextVar[str] = ContextVar("pegboard_trace_id", default="-")
_told: ContextVar[set[str] | None] = ContextVar("pegboard_told", default=None)

LEVELS = ("", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""The levels from which on can be logged; the first one is as configured."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in _CONTROLS}
_BROKEN = "pegboard.logs.broken"
"""The logger of records that could not be written as they were."""

_UTF8 = frozenset({"utf-8", "utf8"})
_encode_text = json.encoder.encode_basestring
_LITERALS = {True: "true", False: "false", None: "null"}
_REQUEST_RECORD = {
    **logging.makeLogRecord({}).__dict__,
    "msg": "request",
    "levelno": logging.INFO,
    "levelname": "INFO",
    "pathname": __file__,
    "filename": Path(__file__).name,
    "module": __name__,
    "relativeCreated": 0.0,
}


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


class RequestRecord(logging.LogRecord):
    """The record of a request: each field is an attribute, and the message is made of them."""

    def __init__(self, logger: str, fields: Mapping[str, Any]) -> None:
        """`fields` are those of the access log."""
        # What `logging` finds out about each record, as its caller's line, takes longer than that.
        created = time.time()
        self.__dict__ = {
            **_REQUEST_RECORD,
            **fields,
            "name": logger,
            "created": created,
            "msecs": int(created % 1 * 1000) + 0.0,
            "process": os.getpid(),
        }
        self.fields = fields

    def getMessage(self) -> str:  # noqa: N802 - logging's own name
        """Return a line for people."""
        one = self.fields
        cached = {True: " hit", False: " miss", None: ""}[one["cached"]]
        return (
            f"{one['method']} {one['path']} {one['status']} {one['milliseconds']:.1f} ms "
            f"{one['bytes']} B {one['plugin']}{cached}"
        )


class HumanFormatter(logging.Formatter):
    """Formats a record as one line; escapes control characters, so no message forges a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the line, to which `logging` appends the traceback if there is one."""
        record.message = record.message.translate(_CONTROLS)
        return super().formatMessage(record)


class MachineFormatter(JsonFormatter):
    """Formats a record as JSON; its time is in UTC, as `2026-01-31T23:59:59.999Z` (RFC 3339)."""

    converter = time.gmtime  # type: ignore[assignment]  # its argument is optional, for mypy
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    _second = 0, ""
    """The last second of a request's line, and how it is told."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; that of a request is put together faster."""
        if type(record) is not RequestRecord:
            return super().format(record)
        second, told = self._second
        if second != int(record.created):
            told = time.strftime(self.default_time_format, time.gmtime(record.created))
            self._second = int(record.created), told
        ids = record.__dict__
        head = (
            f'{{"time": "{told}.{int(record.msecs):03d}Z", "level": "INFO", "logger": '
            f'"{record.name}", "message": "request", "request_id": "{ids["request_id"]}", '
            f'"trace_id": "{ids["trace_id"]}", '
        )
        return head + self._encode(record.fields)

    @staticmethod
    def _encode(one: Mapping[str, Any]) -> str:
        quoted, route, agent = _quoted, one["route"], one["user_agent"]
        return (
            f'"method": {quoted(one["method"])}, "route": {quoted(route)}, '
            f'"path": {quoted(one["path"])}, "status": {one["status"]}, "bytes": {one["bytes"]}, '
            f'"milliseconds": {one["milliseconds"]}, "client": {quoted(one["client"])}, '
            f'"identity": {quoted(one["identity"])}, "user_agent": {quoted(agent)}, '
            f'"plugin": {quoted(one["plugin"])}, "cached": {_LITERALS[one["cached"]]}}}'
        )


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
    handler.setFormatter(_formatter(style))
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


def _formatter(style: str) -> logging.Formatter:
    if style == "json":
        return MachineFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s %(trace_id)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    line = "%(asctime)s %(levelname)-7s [%(request_id)s] %(name)s: %(message)s"
    return HumanFormatter(line, datefmt="%H:%M:%S")


def _quoted(text: str | None) -> str:
    """Return a text as JSON, readable where standard error is UTF-8, without control characters."""
    if text is None:
        return "null"
    if text.isascii():
        return _encode_text(text).replace("\x7f", "\\u007f")
    if (sys.stderr.encoding or "").lower() not in _UTF8:
        return json.dumps(text)
    return _encode_text(text).translate(_JSON_CONTROLS)


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

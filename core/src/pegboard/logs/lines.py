"""How a record becomes a line: plain text in development, JSON in production."""

import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pythonjsonlogger.json import JsonFormatter

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}

_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in _CONTROLS}

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

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Add what is logged; a field that has the name of one of the line's own is `extra_…`."""
        super().add_fields(log_data, record, message_dict)
        own = {
            "time": record.asctime,
            "level": record.levelname,
            "logger": record.name,
            "request_id": record.__dict__["request_id"],
            "trace_id": record.__dict__["trace_id"],
        }
        for key, value in own.items():
            if log_data[key] != value:
                log_data[f"extra_{key}"], log_data[key] = log_data[key], value

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


def formatter_of(style: str) -> logging.Formatter:
    """Return what formats records in a style, `human` or `json`."""
    if style == "json":
        return MachineFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s %(trace_id)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            json_serializer=_dump,
        )
    line = "%(asctime)s %(levelname)-7s [%(request_id)s] %(name)s: %(message)s"
    return HumanFormatter(line, datefmt="%H:%M:%S")


def _dump(fields: Any, **options: Any) -> str:
    """Return fields as JSON, which has no number that is infinite or none: it is a text then."""
    try:
        return json.dumps(fields, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_finite(fields), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [*map(_finite, value)] if isinstance(value, list | tuple) else value


def _quoted(text: str | None) -> str:
    """Return a text as JSON, readable where standard error is UTF-8, without control characters."""
    if text is None:
        return "null"
    if text.isascii():
        return _encode_text(text).replace("\x7f", "\\u007f")
    if (sys.stderr.encoding or "").lower() not in _UTF8:
        return json.dumps(text)
    return _encode_text(text).translate(_JSON_CONTROLS)

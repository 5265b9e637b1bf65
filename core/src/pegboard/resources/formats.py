"""Rows in files: JSON lines, and CSV (RFC 4180) whose columns are the fields of an answer.

An empty cell is null, a quoted empty one the empty text. The cells of fields with texts hold these
as they are; other cells hold JSON, or a text that is no JSON.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from flask.json.provider import DefaultJSONProvider
from marshmallow import Schema, fields

from pegboard.api import client_name, quick_schema
from pegboard.http import InvalidJSONError, encode_json, load_json
from pegboard.resources.fields import Decimal, Moment

_PART_SIZE = 64 * 1024
_NEEDS_QUOTES = frozenset('",\r\n')


class Format(StrEnum):
    """A file format."""

    JSONL = "jsonl"
    """JSON lines: an object on each."""
    CSV = "csv"
    """Comma-separated values (RFC 4180)."""

    @property
    def media_type(self) -> str:
        """The media type of such a file."""
        return "text/csv" if self is Format.CSV else "application/x-ndjson"

    @classmethod
    def of(cls, path: str) -> "Format | None":
        """Return the format for the suffix of a file name; None if it is unknown."""
        suffix = PurePath(path).suffix.lower()
        return {".jsonl": cls.JSONL, ".ndjson": cls.JSONL, ".csv": cls.CSV}.get(suffix)


def holds_text(field: fields.Field[Any]) -> bool:
    """Return whether the values of a field are texts in JSON, even one such as "12"."""
    return isinstance(field, fields.String | Moment | Decimal) or getattr(field, "as_string", False)


def value_of_cell(cell: str | None) -> Any:
    """Return the value of a cell whose field does not hold texts only."""
    if cell is None:
        return None
    try:
        return load_json(cell.encode())
    except InvalidJSONError:
        return cell


class RowWriter:
    """Writes rows in the form of a schema for answers."""

    def __init__(self, schema: Schema) -> None:
        dumped = schema.dump_fields
        self.names = {name: client_name(name, field) for name, field in dumped.items()}
        self._columns = [
            (self.names[name], _text_cell if holds_text(field) else _cell)
            for name, field in dumped.items()
        ]
        self._plain = quick_schema(schema).dump

    def write(self, rows: Iterable[Any], form: Format) -> Iterator[bytes]:
        """Yield the bytes of a file, in parts of some size."""
        lines = self._csv(rows) if form is Format.CSV else self._jsonl(rows)
        part = bytearray()
        for line in lines:
            part += line
            if len(part) >= _PART_SIZE:
                yield bytes(part)
                part.clear()
        if part:
            yield bytes(part)

    def _jsonl(self, rows: Iterable[Any]) -> Iterator[bytes]:
        plain = self._plain
        for row in rows:
            yield _json_line(plain(row))

    def _csv(self, rows: Iterable[Any]) -> Iterator[bytes]:
        plain, columns = self._plain, self._columns
        yield _csv_line(_name_cell(name) for name, _ in columns)
        for row in rows:
            found = plain(row)
            yield _csv_line([write(found.get(name)) for name, write in columns])


_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=DefaultJSONProvider.default
).encode
"""What `encode_json` makes an encoder for in each call."""


def _json_line(value: Mapping[str, Any]) -> bytes:
    try:
        return _encode(value).encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair
        return encode_json(value) + b"\n"


def _csv_line(cells: Iterable[str]) -> bytes:
    return ",".join(cells).encode(errors="replace") + b"\r\n"


def _name_cell(name: str) -> str:
    return name if _NEEDS_QUOTES.isdisjoint(name) else _quoted(name)


def _text_cell(value: object) -> str:
    return "" if value is None else _quoted(str(value))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value_of_cell(value) == value:
        return _quoted(value)
    text = encode_json(value).decode()
    return text if _NEEDS_QUOTES.isdisjoint(text) else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'

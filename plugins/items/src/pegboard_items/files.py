"""Reading and writing files of items: JSON lines and CSV (RFC 4180).

CSV is not left to the standard library, as that does not tell an empty cell from a quoted empty
string: no description, and an empty one.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import IO, Any

from pegboard.resources import InvalidJSONError, load_json
from pegboard_items.models import table
from pegboard_items.representation import ItemLike, plain

_BOM = b"\xef\xbb\xbf"
_OPENING = re.compile(rb'(?:\A|,)"')
_CLOSING = re.compile(rb'(?:[^"]|"")*"(?!")')
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",]*))(,|\Z)')


class Format(StrEnum):
    """A file format."""

    JSONL = "jsonl"
    CSV = "csv"

    @classmethod
    def of(cls, path: str) -> "Format | None":
        """Return the format for the suffix of a file name; None if it is unknown."""
        suffix = PurePath(path).suffix.lower()
        return {".jsonl": cls.JSONL, ".ndjson": cls.JSONL, ".csv": cls.CSV}.get(suffix)


class RowError(ValueError):
    """Raised for a row that cannot be read; the message says why."""


class HeaderError(ValueError):
    """Raised for a CSV file whose first line is not a list of item columns."""


@dataclass(frozen=True)
class Row:
    """A row of a file, not yet validated."""

    line: int
    """Number of its first line, from 1."""
    content: Any
    """The parsed row, or the `RowError` that says why it cannot be parsed."""


class Lines:
    """The lines of a file with their numbers, each read into memory only up to `limit` bytes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self.limit = limit
        self.number = 0
        self.position = 0
        """Bytes read so far."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines; of a longer line only the first bytes, one more than the limit."""
        while line := self._read():
            self.number += 1
            rest = line
            while len(line) > self.limit and rest and not rest.endswith(b"\n"):
                rest = self._read()
            yield line.removeprefix(_BOM) if self.number == 1 else line

    def _read(self) -> bytes:
        piece = self._file.readline(self.limit + 1)
        self.position += len(piece)
        return piece


def read_rows(lines: Lines, form: Format) -> Iterator[Row]:
    """Yield the rows of a file. Raises `HeaderError` for a CSV file without a valid first line."""
    return _read_csv(lines) if form is Format.CSV else _read_jsonl(lines)


def _read_jsonl(lines: Lines) -> Iterator[Row]:
    for line in lines:
        if line.strip():
            yield Row(lines.number, _attempt(_parse_object, _bounded(line, lines.limit)))


def _parse_object(line: bytes) -> Any:
    try:
        return load_json(line)
    except InvalidJSONError as error:
        message = f"not valid JSON: {error}"
        raise RowError(message) from None


def _read_csv(lines: Lines) -> Iterator[Row]:
    records = _csv_records(lines)
    header = _read_header(next(records, None))
    for number, record in records:
        yield Row(number, _attempt(lambda text: _assign(header, _split(text)), record))


def _csv_records(lines: Lines) -> Iterator[tuple[int, bytes | RowError]]:
    """Yield each record with the number of its first line; quoted cells may span lines."""
    parts: list[bytes] = []
    size = first = 0
    is_open = False
    for line in lines:
        if not parts and not line.strip():
            continue
        first = first if parts else lines.number
        parts.append(line)
        size += len(line)
        is_open = _ends_in_a_quoted_cell(line, is_open)
        if size <= lines.limit and is_open:
            continue
        yield first, _bounded(b"".join(parts), lines.limit)
        parts, size, is_open = [], 0, False
    if parts:
        yield first, RowError("the file ends inside a quoted cell")


def _ends_in_a_quoted_cell(line: bytes, is_open: bool) -> bool:  # noqa: FBT001 - the previous result
    """Tell whether a quoted cell is open after the line; `is_open`: whether one was before it."""
    position = 0
    while True:
        if not is_open:
            # A quote inside an unquoted cell is an error of this row only; it opens no cell.
            opening = _OPENING.search(line, position)
            if opening is None:
                return False
            position = opening.end()
        closing = _CLOSING.match(line, position)
        if closing is None:
            return True
        position, is_open = closing.end(), False


def _read_header(record: tuple[int, bytes | RowError] | None) -> list[str]:
    try:
        header = [cell or "" for cell in _split(record[1])] if record else []
    except RowError as error:
        raise HeaderError(str(error)) from None
    unknown = sorted(set(header) - set(table.columns.keys()))
    if "name" not in header or unknown or len(set(header)) != len(header):
        message = (
            f"The first line of a CSV file names its columns, each once, out of "
            f"{', '.join(table.columns.keys())}; name must be among them."
        )
        raise HeaderError(message)
    return header


def _split(record: bytes | RowError) -> list[str | None]:
    if isinstance(record, RowError):
        raise record
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        message = f"not UTF-8: {error.reason} at byte {error.start + 1}"
        raise RowError(message) from None
    text = text.removesuffix("\n").removesuffix("\r")
    cells: list[str | None] = []
    position = 0
    while True:
        found = _CELL.match(text, position)
        if found is None:
            message = f"cell {len(cells) + 1} has a quote in a place where none is allowed"
            raise RowError(message)
        quoted, bare, end = found.groups()
        cells.append(bare or None if quoted is None else quoted.replace('""', '"'))
        if not end:
            return cells
        position = found.end()


def _assign(header: list[str], cells: list[str | None]) -> dict[str, str | None]:
    if len(cells) != len(header):
        message = f"{len(cells)} cells, where the first line has {len(header)}"
        raise RowError(message)
    return dict(zip(header, cells, strict=True))


def _bounded(data: bytes, limit: int) -> bytes | RowError:
    return data if len(data) <= limit else RowError(f"longer than {limit} bytes")


def _attempt(parse: Callable[[Any], Any], record: bytes | RowError) -> Any:
    """Return the parsed record, or the `RowError`, so that reading continues after a bad row."""
    try:
        if isinstance(record, RowError):
            return record
        return parse(record)
    except RowError as error:
        return error


def write_rows(items: Iterable[ItemLike], form: Format) -> Iterator[bytes]:
    """Yield the bytes of a file, in the form that `read_rows` reads."""
    if form is Format.CSV:
        yield _csv_line(table.columns.keys())
    write = _csv_item if form is Format.CSV else _json_item
    for item in items:
        yield write(plain(item))


def _json_item(item: Mapping[str, Any]) -> bytes:
    return json.dumps(item, ensure_ascii=False).encode() + b"\n"


def _csv_item(item: Mapping[str, Any]) -> bytes:
    return _csv_line([_csv_cell(value) for value in item.values()])


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace('"', '""')
    return f'"{escaped}"'


def _csv_line(cells: Iterable[str]) -> bytes:
    return ",".join(cells).encode() + b"\r\n"

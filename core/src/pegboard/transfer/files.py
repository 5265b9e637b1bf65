"""Reading files of rows: JSON lines and CSV (RFC 4180).

CSV is not left to the standard library, as that does not tell an empty cell from a quoted empty
string: null, and an empty text.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from pegboard.resources import Format, InvalidJSONError, load_json, value_of_cell

_BOM = b"\xef\xbb\xbf"
_CLOSING = re.compile(rb'[^"]*(?:""[^"]*)*"(?!")')
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",]*))(,|\Z)')


class RowError(ValueError):
    """Raised for a row that cannot be read; the message says why."""


class HeaderError(ValueError):
    """Raised for a CSV file whose first line is not a list of columns of the resource."""


@dataclass(frozen=True)
class Columns:
    """The columns that a CSV file may have."""

    names: Sequence[str]
    required: Collection[str] = ()
    ignored: Collection[str] = ()
    """Those whose cells are not read."""
    texts: Collection[str] = ()
    """Those whose cells are texts; other cells hold JSON, or a text that is none."""

    def check(self, header: Sequence[str]) -> None:
        """Raise `HeaderError` for a first line that does not say what the cells are."""
        if (
            set(header) <= set(self.names)
            and set(header) >= set(self.required)
            and len(set(header)) == len(header)
        ):
            return
        message = (
            "The first line of a CSV file names its columns, each once, out of "
            f"{', '.join(self.names)}"
        )
        needed = f"; {listed(self.required)} must be among them" if self.required else ""
        raise HeaderError(message + needed + ".")


def listed(names: Collection[str]) -> str:
    """Return names as a sentence has them: `a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


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
        self._ahead = b""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines; of a longer line only the first bytes, one more than the limit."""
        return (piece for piece, is_beginning in self.pieces() if is_beginning)

    def pieces(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the lines, longer ones in pieces, and whether a line begins with the piece."""
        is_beginning = True
        while piece := self._read():
            self.number += is_beginning
            yield piece.removeprefix(_BOM) if self.number == 1 else piece, is_beginning
            is_beginning = piece.endswith(b"\n")

    def sniff(self) -> Format:
        """Return the format of the file, by its first byte that is not white space.

        To be called before the lines are read. An empty file is one of JSON lines.
        """
        while piece := self._read():
            content = piece.removeprefix(_BOM) if not self.number else piece
            if content.strip():
                self._ahead = piece
                return Format.JSONL if content.lstrip()[:1] in {b"{", b"["} else Format.CSV
            self.number += piece.endswith(b"\n")
        return Format.JSONL

    def _read(self) -> bytes:
        if self._ahead:
            piece, self._ahead = self._ahead, b""
            return piece
        piece = self._file.readline(self.limit + 1)
        self.position += len(piece)
        return piece


def read_rows(lines: Lines, form: Format, columns: Columns) -> Iterator[Row]:
    """Yield the rows of a file. Raises `HeaderError` for a CSV file without a valid first line."""
    return _read_csv(lines, columns) if form is Format.CSV else _read_jsonl(lines)


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


def _read_csv(lines: Lines, columns: Columns) -> Iterator[Row]:
    records = _csv_records(lines)
    header = _Header.read(next(records, None), columns)
    for number, record in records:
        yield Row(number, _attempt(header.assign, record))


def _csv_records(lines: Lines) -> Iterator[tuple[int, bytes | RowError]]:
    """Yield each record with the number of its first line; quoted cells may span lines."""
    parts: list[bytes] = []
    size = first = 0
    quoting = _Quoting()
    for piece, _ in lines.pieces():
        if not size:
            if not piece.strip() and len(piece) <= lines.limit:
                continue
            first = lines.number
        size += len(piece)
        if size <= lines.limit:
            parts.append(piece)
        # A record that is too long is read to its end: what its cells hold are no rows.
        if quoting.is_open_after(piece) or not piece.endswith(b"\n"):
            continue
        yield first, _joined(parts, size, lines.limit)
        parts, size, quoting = [], 0, _Quoting()
    if quoting.is_unfinished:
        yield first, RowError("the file ends inside a quoted cell")
    elif size:
        yield first, _joined(parts, size, lines.limit)


class _Quoting:
    """Follows the pieces of a record, to tell whether a quoted cell is open."""

    def __init__(self) -> None:
        self._is_open = False
        self._before = b","
        """The last byte before the piece."""
        self._is_closing = False
        """Whether that is a quote that closes the cell, unless another one follows."""

    @property
    def is_unfinished(self) -> bool:
        """Whether a quoted cell is open if nothing follows."""
        return self._is_open and not self._is_closing

    def is_open_after(self, piece: bytes) -> bool:
        """Read the next piece; return whether what follows is in a quoted cell, or may be."""
        if self._is_closing or b'"' in piece:
            self._read(piece)
        self._before = piece[-1:]
        return self._is_open

    def _read(self, piece: bytes) -> None:
        begins_with_quote = piece.startswith(b'"')
        position = 0
        if self._is_closing:
            self._is_open = begins_with_quote
            position = int(begins_with_quote)
        elif not self._is_open and self._before == b"," and begins_with_quote:
            self._is_open = True
            position = 1
        self._is_closing = False
        while True:
            if not self._is_open:
                # A quote inside an unquoted cell is an error of this row only; it opens no cell.
                opening = piece.find(b',"', position)
                if opening < 0:
                    return
                position, self._is_open = opening + 2, True
            closing = _CLOSING.match(piece, position)
            if closing is None:
                return
            position = closing.end()
            if position == len(piece):
                self._is_closing = True
                return
            self._is_open = False


@dataclass(frozen=True)
class _Header:
    """The first line of a CSV file."""

    names: Sequence[str]
    ignored: Sequence[str]
    parsed: Sequence[str]

    @classmethod
    def read(cls, record: tuple[int, bytes | RowError] | None, columns: Columns) -> "_Header":
        """Return the header of a record. Raises `HeaderError`."""
        try:
            names = [cell or "" for cell in _split(record[1])] if record else []
        except RowError as error:
            raise HeaderError(str(error)) from None
        columns.check(names)
        ignored = [name for name in names if name in columns.ignored]
        parsed = [name for name in names if name not in {*columns.texts, *ignored}]
        return cls(names, ignored, parsed)

    def assign(self, record: bytes | RowError) -> dict[str, Any]:
        """Return the values of a record by the names of their columns."""
        cells = _split(record)
        if len(cells) != len(self.names):
            message = f"{len(cells)} cells, where the first line has {len(self.names)}"
            raise RowError(message)
        row: dict[str, Any] = dict(zip(self.names, cells, strict=True))
        for name in self.ignored:
            del row[name]
        for name in self.parsed:
            row[name] = value_of_cell(row[name])
        return row


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


def _joined(parts: Sequence[bytes], size: int, limit: int) -> bytes | RowError:
    """Return a record of some size; `parts` are its beginning, up to the limit."""
    return _too_long(limit) if size > limit else b"".join(parts)


def _bounded(data: bytes, limit: int) -> bytes | RowError:
    return data if len(data) <= limit else _too_long(limit)


def _too_long(limit: int) -> RowError:
    return RowError(f"longer than {limit} bytes")


def _attempt(parse: Callable[[Any], Any], record: bytes | RowError) -> Any:
    """Return the parsed record, or the `RowError`, so that reading continues after a bad row."""
    try:
        if isinstance(record, RowError):
            return record
        return parse(record)
    except RowError as error:
        return error

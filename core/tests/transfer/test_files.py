"""Reading and writing files of rows."""

import csv
import io
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import Schema, fields

from pegboard.http import encode_json
from pegboard.resources import Format, Moment, RowWriter
from pegboard.transfer.files import Columns, HeaderError, Lines, RowError, read_rows

HEADER = ["id", "name", "description", "created_at", "updated_at"]
COLUMNS = Columns(HEADER, required=["name"], texts=HEADER)

CELL = st.text(
    st.one_of(st.sampled_from('",\n\r \\'), st.characters(exclude_categories=["Cs"])), max_size=8
)


def read(data: bytes, form: str, limit: int = 10_000) -> list[tuple[int, Any]]:
    """The rows of a file: line and content, of an error its text."""
    rows = read_rows(Lines(io.BytesIO(data), limit), Format(form), COLUMNS)
    return [
        (row.line, str(row.content) if isinstance(row.content, RowError) else row.content)
        for row in rows
    ]


class ThingSchema(Schema):
    """A thing."""

    id = fields.Integer()
    name = fields.String()
    description = fields.String()
    created_at = Moment()
    updated_at = Moment()


def thing(**values: object) -> SimpleNamespace:
    """Something with these values."""
    return SimpleNamespace(**{**dict.fromkeys(HEADER), "id": 1, **values})


def write(rows: Any, form: Format) -> bytes:
    """A file of such things."""
    return b"".join(RowWriter(ThingSchema()).write(rows, form))


@pytest.mark.parametrize(
    "path, form",
    [
        ("a.csv", "csv"),
        ("A.CSV", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.txt", None),
        ("-", None),
        ("csv", None),
    ],
)
def test_the_name_of_a_file_says_its_format(path, form):
    """By its suffix, in whatever case."""
    assert form == Format.of(path)


def test_json_lines_are_numbered():
    """From 1; blank ones count but hold nothing; the last needs no end; a BOM is no content."""
    data = b'\xef\xbb\xbf{"name": "a"}\n\n  \r\n{"name": "b"}\r\n[1]'

    assert [(1, {"name": "a"}), (4, {"name": "b"}), (5, [1])] == read(data, "jsonl")


@pytest.mark.parametrize(
    "line, complaint",
    [
        (b"{", "not valid JSON"),
        (b'{"name": "a", "name": "b"}', "stands twice"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b'{"name": NaN}', "NaN"),
        (b"{} {}", "Extra data"),
        (b"[" * 9_000, "not valid JSON"),
        (b"1" * 9_000, "longer than 100"),
        (b"\x00", "not valid JSON"),
        (b'{"name": "' + b"x" * 10_000 + b'"}', "longer than 10000 bytes"),
        (b"x" * 1_000_000, "longer than 10000 bytes"),
    ],
    ids=range(10),
)
def test_a_bad_line_does_not_end_the_reading(line, complaint):
    """It is reported by its number, and the next one is read."""
    (first, text), (second, content) = read(line + b'\n{"name": "b"}\n', "jsonl")

    assert 1 == first
    assert complaint in text
    assert (2, {"name": "b"}) == (second, content)


def test_a_line_at_the_limit_is_read():
    """One byte more is too long."""
    assert [(1, "xxx")] == read(b'"xxx"', "jsonl", limit=5)
    assert [(1, "xx")] == read(b'"xx"\n', "jsonl", limit=5)
    assert [(1, "longer than 5 bytes")] == read(b'"xxxx"', "jsonl", limit=5)


def test_csv_cells_may_span_lines():
    """A record has the number of its first line."""
    data = b'\xef\xbb\xbfname,description\r\n\r\na,"one\r\ntwo\n""three"""\r\nb,\nc,""\n"d, e",f'

    assert [
        (3, {"name": "a", "description": 'one\r\ntwo\n"three"'}),
        (6, {"name": "b", "description": None}),
        (7, {"name": "c", "description": ""}),
        (8, {"name": "d, e", "description": "f"}),
    ] == read(data, "csv")


@pytest.mark.parametrize(
    "record, complaint",
    [
        (b"a", "1 cells"),
        (b"a,b,c", "3 cells"),
        (b'a"b",c', "cell 1 has a quote"),
        (b'a,"b"c', "cell 2 has a quote"),
        (b"\xff,b", "not UTF-8"),
        (b'a,"' + b"x" * 10_000 + b'"', "longer than 10000 bytes"),
        (b'a,"' + b"x\n" * 10_000 + b'"', "longer than 10000 bytes"),
    ],
    ids=range(7),
)
def test_a_bad_record_does_not_end_the_reading(record, complaint):
    """It is reported by its line, and what follows is read."""
    rows = read(b"name,description\n" + record + b"\nlast,one\n", "csv")

    assert 2 == rows[0][0]
    assert complaint in rows[0][1]
    assert {"name": "last", "description": "one"} == rows[-1][1] or b"\n" in record


def test_a_quote_that_is_never_closed_is_reported():
    """Where it was opened."""
    assert [(2, "the file ends inside a quoted cell")] == read(b'name\n"a\nb\n', "csv")


@pytest.mark.parametrize("limit", [5, 6, 7, 8, 9, 10, 11, 12])
@pytest.mark.parametrize(
    "record",
    [
        b'"a\nb\nc\nd\ne\nf\ng\n"',
        b'x,"aaaaaaaaaaaaa\nb\nc"',
        b'"aaa","b,""bbbb""bb\nc"',
        b'"""""""""""""""",b',
        b'"",' + b'"' * 17 + b'\n"',
        b'xxxxxxxxxxxxxxxxxxxxx",x',
        b"               x",
    ],
)
def test_a_record_that_is_too_long_is_one_bad_row(record, limit):
    """What its cells hold is not read as rows, wherever the limit cuts it; what follows it is."""
    rows = read(b"name\n" + record + b"\nend\n", "csv", limit)

    assert [(2, f"longer than {limit} bytes"), (record.count(b"\n") + 3, {"name": "end"})] == rows


@pytest.mark.parametrize("limit", [5, 6, 7, 10_000])
def test_a_quote_that_is_never_closed_is_reported_however_long_the_file(limit):
    """A quote at the very end closes the cell."""
    rows = [(2, "the file ends inside a quoted cell")]

    assert rows == read(b'name\n"aaaaaaaaaaaaaa\nb\n', "csv", limit)
    assert rows == read(b'name\n"aaaaaaaaaaaaaa""', "csv", limit)
    assert rows != read(b'name\n"aaaaaaaaaaaaaa"', "csv", limit)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\n",
        b"description\n",
        b"name,color\n",
        b"name,name\n",
        b"\xff\n",
        b'"name\n',
        b"Name\n",
    ],
)
def test_a_csv_file_names_its_columns(header):
    """Without that, or with one that is unknown, nothing of it can be understood."""
    with pytest.raises(HeaderError):
        read(header + b"a,b\n", "csv")


@settings(deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_what_the_standard_library_writes_is_read(rows):
    """With its minimal quoting; it cannot tell an empty cell from an empty string."""
    file = io.StringIO()
    csv.writer(file).writerows([("name", "description"), *rows])

    contents = [content for _, content in read(file.getvalue().encode(), "csv")]

    assert [
        {"name": name or None, "description": description or None} for name, description in rows
    ] == contents


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@settings(deadline=None)
@given(texts=st.lists(st.tuples(CELL, st.none() | CELL), max_size=5))
def test_reading_is_the_inverse_of_writing(form, texts):
    """Whatever the texts hold; nothing and empty stay apart."""
    moment = datetime(2024, 1, 1)  # noqa: DTZ001 - as stored
    rows = [
        thing(name=name, description=description, created_at=moment) for name, description in texts
    ]

    contents = [content for _, content in read(write(rows, Format(form)), form)]

    assert texts == [(content["name"], content["description"]) for content in contents]
    assert ["2024-01-01T00:00:00"] * len(texts) == [each["created_at"] for each in contents]
    assert [None] * len(texts) == [each["updated_at"] for each in contents]


def test_what_is_written_is_what_others_read():
    """CSV as the standard library reads it."""
    data = write([thing(name='a "b", c', description="one\ntwo")], Format.CSV)

    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))

    assert [HEADER, ["1", 'a "b", c', "one\ntwo", "", ""]] == rows


class MixedSchema(Schema):
    """Values of every kind."""

    text = fields.String(data_key="the, text")
    number = fields.Integer(strict=True)
    flag = fields.Boolean(truthy={True}, falsy={False})
    anything = fields.Raw()
    tags = fields.List(fields.String())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | CELL | st.sampled_from(["5", "null", "a,b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(CELL, inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None)
@given(
    st.builds(
        SimpleNamespace,
        text=st.none() | CELL | st.sampled_from(["5", "null", "true"]),
        number=st.none() | st.integers(-(10**20), 10**20),
        flag=st.none() | st.booleans(),
        anything=ANYTHING,
        tags=st.none() | st.lists(CELL, max_size=3),
    )
)
def test_cells_keep_what_is_no_text(row):
    """Numbers, booleans, lists and objects are JSON; a text that looks like it stays a text."""
    names = ["the, text", "number", "flag", "anything", "tags"]
    columns = Columns(names, texts=["the, text"])
    file = b"".join(RowWriter(MixedSchema()).write([row], Format.CSV))

    [read_row] = read_rows(Lines(io.BytesIO(file), 10_000), Format.CSV, columns)

    assert dict(zip(names, vars(row).values(), strict=True)) == read_row.content


@pytest.mark.parametrize(
    "data, form, first_line",
    [
        (b'{"name": 1}\n', "jsonl", 1),
        (b'\xef\xbb\xbf \n\n  {"name": 1}', "jsonl", 3),
        (b"[1]\n", "jsonl", 1),
        (b"name\na\n", "csv", 2),
        (b'\n"name"\n"a"\n', "csv", 3),
        (b"\xef\xbb\xbfname\na\n", "csv", 2),
        (b"", "jsonl", None),
        (b" \r\n \n", "jsonl", None),
    ],
    ids=range(8),
)
def test_a_file_shows_its_format(data, form, first_line):
    """By the first byte that is not white space; nothing of it is lost, and lines keep numbers."""
    lines = Lines(io.BytesIO(data), 1000)

    assert form == lines.sniff()
    assert [first_line] * (first_line is not None) == [
        row.line for row in read_rows(lines, Format(form), COLUMNS)
    ]


class Picky(fields.Field[str]):
    """A field of an author's own."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return f"<{value}>"


class DerivedSchema(Schema):
    """Fields that are written as they are, and others."""

    id = fields.Integer()
    size = fields.Integer(as_string=True)
    name = fields.String(data_key="Name")
    alias = fields.String(attribute="name", dump_only=True)
    at = Moment()
    price = fields.Decimal(as_string=True)
    picky = Picky()
    doubled = fields.Function(lambda row: f"{row.id}{row.id}")


VALUES = st.none() | st.integers() | st.text(max_size=3) | st.booleans()


@pytest.mark.slow
@settings(deadline=None)
@given(VALUES.filter(lambda value: value in (None, True, 5)), VALUES, st.none() | st.datetimes())
def test_rows_are_written_as_the_schema_does(number, name, at):
    """The values and their order, whatever is in the way of the shorter path."""
    row = SimpleNamespace(id=number, size=3, name=name, at=at, price=None, picky="x")
    for schema in (DerivedSchema(), DerivedSchema(exclude=["doubled"])):
        [line] = RowWriter(schema).write([row], Format.JSONL)

        assert encode_json(schema.dump(row)) + b"\n" == line

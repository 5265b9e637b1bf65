"""Strict parsing of JSON (RFC 8259)."""

import pytest

from pegboard.resources import InvalidJSONError, load_json


@pytest.mark.parametrize(
    "data,why",
    [
        (b"", "line 1"),
        (b"{", "line 1"),
        (b"[" * 100_000, "nested"),
        (b"1" * 5000, "longer than"),
        (b"1." + b"1" * 5000, "longer than"),
        (b"1e999", "out of range"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 2}}', "twice"),
        (b"{} {}", "Extra data"),
        (b'"\xff"', "UTF-8"),
        (b'\xef\xbb\xbf"a"', "byte order mark"),
        ('"é"'.encode("utf-16"), "UTF-8"),
        (b'"a\nb"', "control character"),
    ],
)
def test_what_is_not_one_json_text_is_refused(data, why):
    """The message says what is wrong."""
    with pytest.raises(InvalidJSONError, match=why):
        load_json(data)


@pytest.mark.parametrize(
    "data,value",
    [
        (b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', {"a": [1, 2.5, None, True, "é"]}),
        (b" -12 ", -12),
        (b"1e3", 1000.0),
    ],
)
def test_what_is_json_is_read(data, value):
    """Nothing that the RFC allows is refused, up to the limits."""
    assert value == load_json(data)

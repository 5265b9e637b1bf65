"""What a list answers as a file with all rows, in CSV and in JSON lines."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
from marshmallow import fields
from werkzeug.test import TestResponse

from pegboard.resources import Comparison, Operation, holds_text
from pegboard.testing.contracts.resources.api import (
    JSON,
    ResourceClient,
    assert_error,
    by_name,
    parameter,
)

_ROWS = 5
_PAGE = 2

MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
"""The media type of each form of a file, which is named after the form."""

AWKWARD_TEXTS = (
    "a,b",
    'say "no"',
    '"',
    "=1+1",
    "+1",
    "-1",
    "@here",
    "12",
    "true",
    "null",
    "[1]",
    "two\nlines",
    "Größe 😀",
    "",
)
"""Texts that a file must not mix up with its own form, with other values or with formulas."""

_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)')
"""A cell of RFC 4180: the text between quotes, or the bare one; and what ends it."""


class Exports:
    """Lists as files, where the resource says `export=True`; elsewhere a list stays JSON."""

    def test_a_file_has_each_row_once_in_the_order_of_the_list(self, api: ResourceClient) -> None:
        """Whatever the size of a page is; with a media type, a name, and the columns in CSV."""
        _needs_export(api)
        api.create_several(_ROWS)
        for form, sort in product(MEDIA_TYPES, api.sort_names):
            _assert_is_as_the_list(api, {"sort": sort, "page_size": _PAGE}, form)
        for form in MEDIA_TYPES:
            response = _exported(api, {}, form)
            expected = f'attachment; filename="{api.resource.name}.{form}"'
            assert expected == response.headers.get("Content-Disposition"), (
                f"the {form} export is not named as a file to be saved"
            )
            assert "Accept" in response.vary, (
                f"the {form} export lacks Vary: Accept; a cache may give it to clients of JSON"
            )
            assert "X-Pagination" not in response.headers, f"the {form} export says it has pages"

    def test_a_file_without_rows_is_whole(self, api: ResourceClient) -> None:
        """CSV has its line of names, JSON lines nothing."""
        _needs_export(api)
        for form in MEDIA_TYPES:
            _assert_is_as_the_list(api, {}, form)

    def test_a_file_has_what_filters_and_search_leave(self, api: ResourceClient) -> None:
        """The same rows, and the same fields, as the list for the same query."""
        _needs_export(api)
        rows = api.create_several(_ROWS)
        for form, query in product(MEDIA_TYPES, _queries(api, rows)):
            _assert_is_as_the_list(api, query, form)

    def test_texts_are_in_a_file_as_they_are(self, api: ResourceClient) -> None:
        """Commas, quotes, lines, and what a spreadsheet or a reader could take for a value.

        In CSV each text is in quotes, so that it is no number, no null and no JSON.
        """
        _needs_export(api)
        written = 0
        for name, text in product(_texts(api), AWKWARD_TEXTS):
            body = {**api.body(), name: text}
            status = api.client.post(api.url, json=body).status_code
            assert status in {201, 409, 422}, f"POST of {body!r:.200} is answered with {status}"
            written += status == 201
        if not written:
            pytest.skip("no field takes an awkward text")
        for form in MEDIA_TYPES:
            _assert_is_as_the_list(api, {}, form)

    def test_a_file_has_no_pages(self, api: ResourceClient) -> None:
        """Another page or a cursor is a 422, or a client that asks for the next never ends."""
        _needs_export(api)
        for form, (name, value) in product(MEDIA_TYPES, (("page", "2"), ("after", ""))):
            response = _requested(api, {name: value}, form)
            assert_error(response, 422, name, why=f"the {form} export with {name}={value}")

    def test_an_error_is_no_file(self, api: ResourceClient) -> None:
        """It is JSON, whatever the client accepts."""
        _needs_export(api)
        for form in MEDIA_TYPES:
            response = _requested(api, {"surely_unknown": "1"}, form)
            assert_error(response, 422, "surely_unknown", why=f"the {form} export with an unknown")

    def test_a_list_is_json_unless_a_file_is_named(self, api: ResourceClient) -> None:
        """Wildcards mean what they always did; where there is no export, so does every name."""
        _needs_list(api)
        row = api.create().get_json()
        files = [] if api.resource.export else MEDIA_TYPES.values()
        for accept in ("*/*", "text/*", "application/json", "text/csv;q=0", *files):
            response = api.client.get(api.url, headers={"Accept": accept})
            assert (response.status_code, response.mimetype) == (200, "application/json"), (
                f"the list for Accept: {accept} is {response.mimetype}, not JSON; "
                "`export=True` of the resource gives files, to those who name one"
            )
            assert [row] == response.get_json()
            assert "Accept" in response.vary or not api.resource.export, (
                "the list in JSON lacks Vary: Accept; a cache may give it to clients of files"
            )

    def test_the_document_has_the_files(self, api: ResourceClient) -> None:
        """Their media types, for a list that is exported, and for no other."""
        _needs_list(api)
        document = api.client.get("/openapi.json").get_json()
        answer = document["paths"][api.url]["get"]["responses"]["200"]
        files = MEDIA_TYPES.values() if api.resource.export else ()
        assert {"application/json", *files} == set(answer["content"]), (
            "the document has other media types of the list than those that it is answered with"
        )


def _needs_list(api: ResourceClient) -> None:
    if not api.has(Operation.LIST, Operation.CREATE):
        pytest.skip("the resource has no list of rows that were created")


def _needs_export(api: ResourceClient) -> None:
    _needs_list(api)
    if not api.resource.export:
        pytest.skip("the list is not exported")


def _requested(api: ResourceClient, query: Mapping[str, object], form: str) -> TestResponse:
    headers = {"Accept": MEDIA_TYPES[form]}
    # Whole, as one that is not read to its end would hold a connection of the database.
    return api.client.get(api.url, query_string=dict(query), headers=headers, buffered=True)


def _exported(api: ResourceClient, query: Mapping[str, object], form: str) -> TestResponse:
    """Return an export. Raises `AssertionError` if it is an error or of another media type."""
    response = _requested(api, query, form)
    assert response.status_code == 200, (
        f"the {form} export of {dict(query)}: {response.status_code}, {response.text[:500]}"
    )
    assert MEDIA_TYPES[form] == response.mimetype, (
        f"the list for Accept: {MEDIA_TYPES[form]} is {response.mimetype}; it is a file of the "
        "media type that was asked for"
    )
    return response


def _queries(api: ResourceClient, rows: list[JSON]) -> Iterator[JSON]:
    """Yield queries for what each filter, the search and the choice of fields leave of rows."""
    for name, condition in api.conditions.items():
        values = [row.get(name.partition("[")[0]) for row in rows]
        value = next((one for one in values if one is not None), None)
        if condition.comparison is Comparison.NULL:
            yield {name: "true"}
        elif condition.comparison is Comparison.IN and value is not None:
            escaped = parameter(value).replace('"', '""')
            yield {name: f'"{escaped}"'}
        elif value is not None:
            yield {name: parameter(value)}
    for one in api.resource.search:
        text = next((row[one.key] for row in rows if row.get(one.key)), None)
        if isinstance(text, str):
            yield {"q": text[:200]}
    if api.resource.sparse:
        yield {"fields": ",".join(api.output_names[:2])}


def _texts(api: ResourceClient) -> list[str]:
    """Return the fields of texts that clients write and read."""
    return [
        name
        for name, field in api.input_fields.items()
        if isinstance(field, fields.String) and name in api.output_names
    ]


def _assert_is_as_the_list(api: ResourceClient, query: JSON, form: str) -> None:
    """Check that a file has the rows that the pages of the list have together."""
    expected = [row for page in api.walk({"page_size": _PAGE, **query}) for row in page]
    response, why = _exported(api, query, form), f"the {form} export of {query}"
    if form == "jsonl":
        assert response.text.endswith("\n") or not expected, f"{why}: its last line has no end"
        found = [json.loads(line) for line in response.text.split("\n")[:-1]]
        assert expected == found, (
            f"{why}: its lines are not the rows that all pages of the list have for this query"
        )
        return
    names, *rows = _cells(response.text, why)
    columns = list(expected[0]) if expected else api.output_names
    assert columns == [name for name, _ in names], (
        f"{why}: its first line is not the fields of a row"
    )
    assert len(expected) == len(rows), (
        f"{why}: it has {len(rows)} rows, and the pages of the list have {len(expected)}"
    )
    shown = by_name(api.resource.output())
    for row, cells in zip(expected, rows, strict=True):
        for (name, value), cell in zip(row.items(), cells, strict=True):
            _assert_cell(value, cell, is_text=holds_text(shown[name]), why=f"{why}: {name}")


def _cells(text: str, why: str) -> list[list[tuple[str, bool]]]:
    """Return the cells of each line of CSV, and whether they are in quotes."""
    lines: list[list[tuple[str, bool]]] = [[]]
    end = 0
    while end < len(text):
        match = _CELL.match(text, end)
        assert match, f"{why}: no CSV at {text[end : end + 40]!r}; quote commas, quotes and lines"
        quoted, bare, separator = match.groups()
        lines[-1].append((bare, False) if quoted is None else (quoted.replace('""', '"'), True))
        if separator != ",":
            lines.append([])
        end = match.end()
    assert not lines.pop(), f"{why}: its last line has no end"
    return lines


def _assert_cell(value: Any, cell: tuple[str, bool], *, is_text: bool, why: str) -> None:
    text, is_quoted = cell
    if value is None:
        assert cell == ("", False), f"{why}: null is an empty cell without quotes, not {text!r}"
    elif isinstance(value, str):
        assert is_quoted, f"{why}: the text {value!r} is not in quotes"
        assert value == text or (not is_text and value == _loaded(text)), (
            f"{why}: the text {value!r} is {text!r} in the file; texts are written as they are"
        )
    else:
        assert value == _loaded(text), f"{why}: {value!r} is {text!r} in the file, not its JSON"


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

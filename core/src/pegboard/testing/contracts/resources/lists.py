"""What the lists of a resource do: pages, orders, filters, search, fields."""

import json
import operator
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pegboard.resources import Comparison, Operation
from pegboard.testing.contracts.resources.api import JSON, ResourceClient, assert_error, parameter

_ROWS = 7


def _needs_list(api: ResourceClient) -> None:
    if not api.has(Operation.LIST, Operation.CREATE):
        pytest.skip("the resource has no list of rows that were created")


def _key(value: Any) -> tuple[bool, Any]:
    """Return what a value is sorted by: a missing one is the lowest."""
    return (value is not None, 0 if value is None else value)


class Lists:
    """Pages of a list, and their order."""

    def test_pages_by_number_have_each_row_once(self, api: ResourceClient) -> None:
        """`X-Pagination` and `Link` say where they are."""
        _needs_list(api)
        rows = api.create_several(_ROWS)
        pages = list(api.walk({"page": 1, "page_size": 3}))
        assert [len(page) for page in pages] == [3, 3, 1]
        found = [row for page in pages for row in page]
        assert sorted(map(_text, rows)) == sorted(map(_text, found))
        first = api.listed({"page_size": 3})
        pagination = json.loads(first.headers["X-Pagination"])
        expected = {
            "total": _ROWS,
            "total_pages": 3,
            "first_page": 1,
            "last_page": 3,
            "page": 1,
            "next_page": 2,
        }
        assert expected == pagination
        relations = [part.split('rel="')[1][:-1] for part in first.headers["Link"].split(", <")]
        assert relations == ["first", "next", "last"]

    def test_a_page_beyond_the_end_is_empty(self, api: ResourceClient) -> None:
        """And has links to the first and the last."""
        _needs_list(api)
        api.create()
        response = api.listed({"page": 1000})
        assert (response.status_code, response.get_json()) == (200, [])
        assert 'rel="first"' in response.headers["Link"]
        assert 'rel="last"' in response.headers["Link"]

    def test_each_order_is_the_same_by_number_and_by_cursor(self, api: ResourceClient) -> None:
        """In both directions; a missing value is the lowest, and equal ones follow the id."""
        _needs_list(api)
        api.create_several(_ROWS)
        for sort in api.sort_names:
            by_number = [row for page in api.walk({"sort": sort, "page_size": 3}) for row in page]
            by_cursor = [
                row
                for page in api.walk({"sort": sort, "page_size": 2, "after": ""})
                for row in page
            ]
            assert len(by_number) == _ROWS, f"sort={sort} loses rows"
            assert by_number == by_cursor, f"sort={sort} differs by number and by cursor"
            values = [row.get(sort.removeprefix("-")) for row in by_number]
            if all(isinstance(one, int | float | type(None)) for one in values):
                expected = sorted(values, key=_key, reverse=sort.startswith("-"))
                assert expected == values, f"sort={sort} is not in order"

    def test_several_sort_keys(self, api: ResourceClient) -> None:
        """Of every pair, in any directions, by number and by cursor."""
        _needs_list(api)
        names = api.sort_names[::2]
        if api.resource.sort_keys < 2 or len(names) < 2:
            pytest.skip("one sort key at a time")
        api.create_several(_ROWS)
        for first, second in zip(names[1:], names, strict=False):
            for sort in (f"{first},{second}", f"-{first},{second}", f"{first},-{second}"):
                by_number = [one for page in api.walk({"sort": sort}) for one in page]
                walk = api.walk({"sort": sort, "page_size": 2, "after": ""})
                assert by_number == [one for page in walk for one in page], f"sort={sort}"

    def test_a_walk_by_cursor_is_not_disturbed(self, api: ResourceClient) -> None:
        """Rows that are created or deleted meanwhile make it skip and repeat nothing."""
        _needs_list(api)
        before = api.create_several(_ROWS)
        seen: list[str] = []
        for number, page in enumerate(api.walk({"page_size": 2, "after": ""})):
            seen += map(_text, page)
            if number < 2:
                api.create()
        missed = [row for row in map(_text, before) if row not in seen]
        assert not missed, "a walk by cursor skips rows when others are created"
        assert len(set(seen)) == len(seen), "a walk by cursor repeats rows"

    @pytest.mark.parametrize(
        "name, values",
        [
            ("page", ["0", "-1", "x", "1.0", "+1", "01", "9" * 30, ""]),
            ("page_size", ["0", "-1", "x", "9" * 30]),
            ("after", ["?", "!", "a b", "\0", "x" * 5000]),
            ("sort", ["surely_unknown", "", ",", "id,", "--id"]),
        ],
    )
    def test_a_bad_parameter_is_a_422(
        self, api: ResourceClient, name: str, values: list[str]
    ) -> None:
        """Under its own name."""
        _needs_list(api)
        for value in values:
            assert_error(api.listed({name: value}), 422, name, why=f"{name}={value[:30]!r}")

    def test_a_page_is_not_larger_than_the_largest(self, api: ResourceClient) -> None:
        """One more is a 422."""
        _needs_list(api)
        with api.client.application.app_context():
            _, largest = api.resource.page_sizes()
        assert api.listed({"page_size": largest}).status_code == 200
        response = api.listed({"page_size": largest + 1})
        assert_error(response, 422, "page_size", why="one row more than the largest page")

    def test_unknown_and_repeated_parameters_are_a_422(self, api: ResourceClient) -> None:
        """Under their own names."""
        _needs_list(api)
        assert_error(api.listed({"surely_unknown": "1"}), 422, "surely_unknown", why="an unknown")
        repeated = api.client.get(f"{api.url}?page=1&page=2")
        assert_error(repeated, 422, "page", why="page twice")

    def test_sort_keys_are_named_once_and_not_too_many(self, api: ResourceClient) -> None:
        """422 that names `sort`."""
        _needs_list(api)
        names, most = api.sort_names[::2], api.resource.sort_keys
        twice = f"{names[0]},{names[0]}"
        assert_error(api.listed({"sort": twice}), 422, "sort", why=f"sort={twice}")
        if len(names) > most:
            many = ",".join(names[: most + 1])
            assert_error(api.listed({"sort": many}), 422, "sort", why=f"sort={many}")

    def test_a_cursor_is_a_place_in_every_order(self, api: ResourceClient) -> None:
        """Also of another sort, and after its row is gone."""
        _needs_list(api)
        api.create_several(3)
        cursor = json.loads(api.listed({"after": "", "page_size": 1}).headers["X-Pagination"])
        for sort in api.sort_names:
            response = api.listed({"after": cursor["next_after"], "sort": sort})
            assert response.status_code == 200, f"sort={sort} with a cursor of another"


_MATCHES: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.EQ: operator.eq,
    Comparison.NE: operator.ne,
    Comparison.LT: operator.lt,
    Comparison.LTE: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GTE: operator.ge,
}


class Filters:
    """Filters, search and the choice of fields."""

    def test_each_filter_finds_what_it_says(self, api: ResourceClient) -> None:
        """The rows whose value compares as its operator says, and no others."""
        _needs_list(api)
        api.create_several(_ROWS)
        rows = api.listed({"page_size": _ROWS}).get_json()
        for name, condition in api.conditions.items():
            field = name.partition("[")[0]
            if field not in api.output_names:
                continue
            texts = [row[field] for row in rows]
            if condition.comparison is Comparison.NULL:
                for wanted in ("true", "false"):
                    expected = [one for one in texts if (one is None) == (wanted == "true")]
                    self._assert_found(api, {name: wanted}, field, expected)
                continue
            for given in {parameter(one) for one in texts if one is not None}:
                if condition.comparison is Comparison.IN:
                    quoted = '"' + given.replace('"', '""') + '"'
                    expected = [one for one in texts if parameter(one) == given]
                    self._assert_found(api, {name: quoted}, field, expected)
                    continue
                is_ordered = condition.comparison not in {Comparison.EQ, Comparison.NE}
                if is_ordered and condition.column.type.python_type is str:
                    continue  # a collation decides on the order of texts
                value = condition.field.deserialize(given)
                matches = _MATCHES[condition.comparison]
                expected = [
                    one
                    for one in texts
                    if (
                        condition.comparison is Comparison.NE
                        if one is None
                        else matches(condition.field.deserialize(parameter(one)), value)
                    )
                ]
                self._assert_found(api, {name: given}, field, expected)

    def _assert_found(
        self, api: ResourceClient, query: JSON, field: str, expected: list[Any]
    ) -> None:
        response = api.listed({**query, "page_size": _ROWS})
        assert response.status_code == 200, f"the filter {query}: {response.get_json()}"
        found = [row[field] for row in response.get_json()]
        assert sorted(map(_text, expected)) == sorted(map(_text, found)), f"the filter {query}"
        total = json.loads(response.headers["X-Pagination"])["total"]
        assert len(expected) == total, f"the total of the filter {query}"

    def test_other_operators_are_a_422(self, api: ResourceClient) -> None:
        """Under the name of the parameter; so is a filter that is not declared."""
        _needs_list(api)
        declared = api.conditions
        for field in api.output_names:
            for suffix in ("", *(f"[{one}]" for one in Comparison if one), "[like]", "[]"):
                name = f"{field}{suffix}"
                if name not in declared and name not in {"page", "sort", "q", "fields"}:
                    assert_error(api.listed({name: "1"}), 422, name, why=f"the filter {name}")

    def test_too_many_values_are_a_422(self, api: ResourceClient) -> None:
        """More than a hundred of `[in]`."""
        _needs_list(api)
        for name, condition in api.conditions.items():
            if condition.comparison is Comparison.IN:
                many = ",".join("1" for _ in range(101))
                assert_error(api.listed({name: many}), 422, name, why=f"101 values of {name}")

    def test_search_ignores_case_and_has_no_wildcards(self, api: ResourceClient) -> None:
        """Each searched column is looked into."""
        _needs_list(api)
        names = [api.resource.shown.name_of(one.key) for one in api.resource.search]
        if not names:
            assert_error(api.listed({"q": "x"}), 422, "q", why="q of a list without search")
            pytest.skip("the list has no search")
        for name in names:
            row = api.create().get_json()
            text = row.get(name)
            if isinstance(text, str) and text:
                for wanted in (text, text.upper(), text.lower()):
                    found = api.listed({"q": wanted[:200], "page_size": 100}).get_json()
                    assert row in found, f"q does not find {name}"
        for wildcard in ("%", "_%", "\\"):
            found = api.listed({"q": wildcard, "page_size": 100}).get_json()
            assert all(any(wildcard in str(row.get(name)) for name in names) for row in found), (
                f"q={wildcard} is taken for a wildcard"
            )

    def test_fields_are_chosen(self, api: ResourceClient) -> None:
        """Only those that are named; an unknown one is a 422."""
        _needs_list(api)
        api.create()
        names = api.output_names
        if not api.resource.sparse:
            assert_error(api.listed({"fields": names[0]}), 422, "fields", why="fields=")
            pytest.skip("the list has no choice of fields")
        for name in names:
            (row, *_) = api.listed({"fields": name}).get_json()
            assert [name] == list(row), f"fields={name} shows {list(row)}"
        (row, *_) = api.listed({"fields": ",".join(reversed(names))}).get_json()
        assert names == list(row)
        unknown = f"{names[0]},surely_unknown"
        assert_error(api.listed({"fields": unknown}), 422, "fields", why=f"fields={unknown}")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

"""What a resource does for one row: get, create, replace, change, delete."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pegboard.resources import Operation
from pegboard.testing.contracts.resources.api import (
    JSON,
    OTHER_BODIES,
    ResourceClient,
    assert_error,
)

_WRITERS = 8


def _needs(api: ResourceClient, *operations: Operation) -> None:
    if not api.has(*operations):
        pytest.skip(f"the resource lacks {', '.join(operations)}")


class Reading:
    """Getting a row."""

    def test_a_created_row_is_found(self, api: ResourceClient) -> None:
        """At its `Location`, with the same body and the same strong `ETag`."""
        _needs(api, Operation.CREATE, Operation.GET)
        created = api.create()
        found = api.client.get(created.headers["Location"])
        assert found.status_code == 200, "the Location of a new row is not found"
        assert created.data == found.data, "the answer to POST shows another row than GET"
        assert created.headers["ETag"] == found.headers["ETag"]
        assert not found.headers["ETag"].startswith("W/"), "the ETag is weak"
        assert found.headers["ETag"].startswith('"')

    def test_head_is_get_without_a_body(self, api: ResourceClient) -> None:
        """With the same headers."""
        _needs(api, Operation.CREATE, Operation.GET)
        url = api.create().headers["Location"]
        get, head = api.client.get(url), api.client.head(url)
        assert head.data == b""
        assert get.headers["ETag"] == head.headers["ETag"]
        assert get.headers["Content-Length"] == head.headers["Content-Length"]

    def test_an_unchanged_row_is_a_304(self, api: ResourceClient) -> None:
        """With its `ETag` and no body; a changed one is a 200."""
        _needs(api, Operation.CREATE, Operation.GET)
        created = api.create()
        url, etag = created.headers["Location"], created.headers["ETag"]
        unchanged = api.client.get(url, headers={"If-None-Match": etag})
        assert unchanged.status_code == 304, "If-None-Match with the current ETag is no 304"
        assert unchanged.data == b""
        assert etag == unchanged.headers["ETag"]
        assert api.client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


class Creating:
    """Creating a row, and what is refused of a body."""

    @pytest.mark.parametrize("body", OTHER_BODIES)
    def test_json_that_is_no_object_is_a_422(self, api: ResourceClient, body: bytes) -> None:
        """Null, an array, a text and a number."""
        _needs(api, Operation.CREATE)
        response = api.client.post(api.url, data=body, content_type="application/json")
        assert_error(response, 422, why=f"POST of {body!r}")

    @pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff"])
    def test_what_is_no_json_is_a_400(self, api: ResourceClient, body: bytes) -> None:
        """Empty, unfinished, not a number, a name twice, not UTF-8."""
        _needs(api, Operation.CREATE)
        response = api.client.post(api.url, data=body, content_type="application/json")
        assert_error(response, 400, why=f"POST of {body!r}")

    def test_another_content_type_is_a_415(self, api: ResourceClient) -> None:
        """Or none at all."""
        _needs(api, Operation.CREATE)
        body = json.dumps(api.body())
        for content_type in ("text/plain", "application/xml", None):
            response = api.client.post(api.url, data=body, content_type=content_type)
            assert_error(response, 415, why=f"POST of {content_type}")

    def test_a_field_that_is_required_is_missed(self, api: ResourceClient) -> None:
        """By its name."""
        _needs(api, Operation.CREATE)
        required = [name for name, field in api.input_fields.items() if field.required]
        for name in required:
            body = api.body()
            del body[name]
            response = api.client.post(api.url, json=body)
            assert_error(response, 422, name, why=f"POST without {name}, which is required")

    def test_unknown_and_read_only_fields_are_refused(self, api: ResourceClient) -> None:
        """By their names, and nothing is written."""
        _needs(api, Operation.CREATE)
        for name in ("surely_unknown", *api.read_only):
            response = api.client.post(api.url, json={**api.body(), name: None})
            assert_error(
                response, 422, name, why=f"POST with {name}, which a client must not write"
            )

    def test_a_null_is_refused_where_there_must_be_a_value(self, api: ResourceClient) -> None:
        """By the name of the field."""
        _needs(api, Operation.CREATE)
        for name, field in api.input_fields.items():
            body = {**api.body(), name: None}
            response = api.client.post(api.url, json=body)
            if field.allow_none:
                assert response.status_code in {201, 409, 422}, f"POST with null as {name}"
            else:
                assert_error(response, 422, name, why=f"POST with null as {name}")

    @pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
    def test_what_no_database_stores_is_a_422(self, api: ResourceClient, text: str) -> None:
        """U+0000, and half of a surrogate pair, in any text."""
        _needs(api, Operation.CREATE)
        for name, value in api.body().items():
            if isinstance(value, str):
                response = api.client.post(api.url, json={**api.body(), name: text})
                assert_error(response, 422, name, why=f"POST with {text!r} as {name}")


class Writing:
    """Replacing, changing and deleting a row, and their preconditions."""

    def test_a_replaced_row_is_shown(self, api: ResourceClient) -> None:
        """By the answer and by the next GET, with a new `ETag`."""
        _needs(api, Operation.CREATE, Operation.REPLACE, Operation.GET)
        created = api.create()
        row_id, body = api.id_of(created), api.body()
        response = api.replace(row_id, body)
        assert response.status_code == 200, f"PUT refuses a valid body: {response.get_json()}"
        assert response.data == api.get(row_id).data
        assert created.headers["ETag"] != response.headers["ETag"]
        _assert_holds(response.get_json(), body)

    def test_a_replaced_row_is_as_a_new_one(self, api: ResourceClient) -> None:
        """A body with just the required fields has one result (RFC 9110, section 9.3.4)."""
        _needs(api, Operation.CREATE, Operation.REPLACE)
        row_id, body = api.id_of(api.create()), api.body()
        least = {name: body[name] for name, field in api.input_fields.items() if field.required}
        first, again = (api.replace(row_id, least) for _ in range(2))
        if first.status_code == 422:
            pytest.skip("the schema refuses a body with just the required fields")
        assert first.status_code == 200, f"PUT of {least}: {first.get_json()}"
        api.replace(row_id, api.body())  # so that unique values of the body are free
        created, replaced = api.create(least).get_json(), again.get_json()
        for name in api.input_fields.keys() & created.keys():
            if first.get_json()[name] == replaced[name]:  # or it is a time, or random
                assert created[name] == replaced[name], (
                    f"PUT of {least} makes {name} {replaced[name]!r}, POST makes it "
                    f"{created[name]!r}: give the field a load_default, or let `change` do what "
                    f"`make` does"
                )

    def test_a_patch_changes_what_it_has(self, api: ResourceClient) -> None:
        """One field at a time; the others stay."""
        _needs(api, Operation.CREATE, Operation.MERGE, Operation.GET)
        created = api.create()
        row_id, new = api.id_of(created), api.body()
        expected = created.get_json()
        for name in new:
            before = api.get(row_id).get_json()
            response = api.change(row_id, {name: new[name]})
            if response.status_code in {409, 422} and len(new) > 1:
                continue  # the schema checks fields together
            assert response.status_code == 200, f"PATCH of {name}: {response.get_json()}"
            expected = response.get_json()
            others = api.input_fields.keys() & before.keys() - {name}
            same = {one: before[one] for one in others}
            assert same == {one: expected[one] for one in others}, f"PATCH of {name}"
            _assert_holds(expected, {name: new[name]})
        assert expected == api.get(row_id).get_json()

    def test_an_empty_patch_changes_nothing(self, api: ResourceClient) -> None:
        """Not even the `ETag`."""
        _needs(api, Operation.CREATE, Operation.MERGE)
        created = api.create()
        response = api.change(api.id_of(created), {})
        assert response.status_code == 200
        assert created.headers["ETag"] == response.headers["ETag"]

    def test_a_null_in_a_patch_clears_a_field(self, api: ResourceClient) -> None:
        """Or is refused where there must be a value."""
        _needs(api, Operation.CREATE, Operation.MERGE)
        row_id = api.id_of(api.create())
        for name, field in api.input_fields.items():
            response = api.change(row_id, {name: None})
            if not field.allow_none:
                assert_error(response, 422, name, why=f"PATCH of {name} with null")
            elif response.status_code == 200 and name in response.get_json():
                assert response.get_json()[name] is None

    def test_a_patch_of_other_fields_is_a_422(self, api: ResourceClient) -> None:
        """Unknown and read-only ones, by their names; and what is no object."""
        _needs(api, Operation.CREATE, Operation.MERGE)
        row_id = api.id_of(api.create())
        for name in ("surely_unknown", *api.read_only):
            assert_error(api.change(row_id, {name: 1}), 422, name, why=f"PATCH of {name}")
        for body in OTHER_BODIES:
            url, kind = api.url_of(row_id), "application/merge-patch+json"
            response = api.client.patch(url, data=body, content_type=kind)
            assert_error(response, 422, why=f"PATCH with {body!r}")

    def test_a_patch_has_two_content_types(self, api: ResourceClient) -> None:
        """That of RFC 7396 and that of JSON; another is a 415."""
        _needs(api, Operation.CREATE, Operation.MERGE)
        url = api.url_of(api.id_of(api.create()))
        for kind in ("application/merge-patch+json", "application/json; charset=utf-8"):
            assert api.client.patch(url, data=b"{}", content_type=kind).status_code == 200, kind
        for other in ("application/json-patch+json", "text/plain", None):
            response = api.client.patch(url, data=b"{}", content_type=other)
            assert_error(response, 415, why=f"PATCH of {other}")

    def test_a_deleted_row_is_gone(self, api: ResourceClient) -> None:
        """204 without a body; then 404, however often it is asked for."""
        _needs(api, Operation.CREATE, Operation.DELETE)
        row_id = api.id_of(api.create())
        response = api.delete(row_id)
        assert (response.status_code, response.data) == (204, b"")
        assert_error(api.delete(row_id), 404, why="DELETE of a deleted row")
        if api.has(Operation.GET):
            assert_error(api.get(row_id), 404, why="GET of a deleted row")

    @pytest.mark.parametrize("operation", [Operation.REPLACE, Operation.MERGE, Operation.DELETE])
    def test_a_stale_tag_is_a_412(self, api: ResourceClient, operation: Operation) -> None:
        """And nothing is written; with the current one, or `*`, the write is done."""
        _needs(api, Operation.CREATE, Operation.GET, operation)
        created = api.create()
        row_id, before = api.id_of(created), created.data
        for tag in ('"stale"', "W/" + created.headers["ETag"]):
            response = self._write(api, operation, row_id, tag)
            assert_error(response, 412, why=f"{operation} with If-Match: {tag}")
            assert created.headers["ETag"] == response.headers["ETag"]
        assert before == api.get(row_id).data, f"{operation} with a stale tag has written"
        response = self._write(api, operation, row_id, created.headers["ETag"])
        assert response.status_code in {200, 204}, f"{operation} with the current tag"
        if operation != Operation.DELETE:
            assert self._write(api, operation, row_id, "*").status_code == 200

    @pytest.mark.parametrize("operation", [Operation.REPLACE, Operation.MERGE])
    def test_a_bad_body_comes_before_a_stale_tag(
        self, api: ResourceClient, operation: Operation
    ) -> None:
        """As the request would fail without the condition (RFC 9110, section 13.2.1)."""
        _needs(api, Operation.CREATE, operation)
        row_id = api.id_of(api.create())
        method = {Operation.REPLACE: "PUT", Operation.MERGE: "PATCH"}[operation]
        response = api.client.open(
            api.url_of(row_id),
            method=method,
            json={"surely_unknown": 1},
            headers={"If-Match": '"stale"'},
        )
        assert_error(response, 422, why=f"{method} with a bad body and a stale tag")

    @pytest.mark.parametrize("operation", [Operation.REPLACE, Operation.DELETE])
    def test_of_writers_with_one_tag_one_wins(
        self, api: ResourceClient, operation: Operation
    ) -> None:
        """The others are told that their tag is stale, or that the row is gone."""
        _needs(api, Operation.CREATE, operation)
        created = api.create()
        row_id, etag = api.id_of(created), created.headers["ETag"]
        bodies = [api.body() for _ in range(_WRITERS)]

        def write(body: JSON) -> int:
            client = api.another_client()
            url, headers = api.url_of(row_id), {"If-Match": etag}
            if operation == Operation.DELETE:
                return client.delete(url, headers=headers).status_code
            return client.put(url, json=body, headers=headers).status_code

        with ThreadPoolExecutor(_WRITERS) as pool:
            statuses = list(pool.map(write, bodies))
        won = [one for one in statuses if one in {200, 204}]
        assert len(won) == 1, f"of {_WRITERS} writers with one ETag not one won: {statuses}"

    def _write(self, api: ResourceClient, operation: Operation, row_id: int, tag: str) -> Any:
        if operation == Operation.DELETE:
            return api.delete(row_id, If_Match=tag)
        body = api.body()
        if operation == Operation.REPLACE:
            return api.replace(row_id, body, If_Match=tag)
        return api.change(row_id, body, If_Match=tag)


def _assert_holds(shown: JSON, body: JSON) -> None:
    """Check that an answer shows what a body has, where it is shown as it was sent."""
    for name, value in body.items():
        if name in shown and isinstance(value, bool | int | type(None)):
            assert value == shown[name], f"{name} is {shown[name]!r} after {value!r} was sent"
